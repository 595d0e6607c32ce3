"""`balance adapt`: teach a generator the collection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from balancer.cli.again import remembered
from balancer.cli.console import ConsoleProgress, Progress, here, message, result, shown
from balancer.errors import ModelError
from balancer.workspace.prompts_run import choose_templates


def adapt(
    context: typer.Context,
    base: str = typer.Option(
        None, help="Stable Diffusion 1.x, 2.x or XL to adapt by LoRA: a folder, fetched name or .safetensors."
    ),
    from_scratch: bool = typer.Option(
        False, "--from-scratch", help="Train a small Stable Diffusion on your images alone."
    ),
    rank: int = typer.Option(None, min=1, help="With --base: rank of the adapter (default: 16)."),
    learning_rate: float = typer.Option(None, help="With --base: peak learning rate (default: 0.0001)."),
    text_encoder: bool = typer.Option(False, "--text-encoder", help="With --base: adapt the text encoder too."),
    batch_size: int = typer.Option(None, min=1, help="Images a step (default: 8 with --base, 32 from scratch)."),
    size: int = typer.Option(None, help="Side of its images in pixels (default: the base's own, 64 from scratch)."),
    steps: int = typer.Option(None, min=2, help="Train for so many steps."),
    minutes: float = typer.Option(None, help="Train for so many minutes (default: 30)."),
    name: str = typer.Option(None, help="What to call it (default: lora, or scratch)."),
    pack: str = typer.Option(None, help="Template pack: chest, bone, or your own YAML file."),
    seed: int = typer.Option(0, help="Same seed, same training."),
    device: str = typer.Option("auto", help="cuda, mps or cpu."),
    accept_licence: bool = typer.Option(
        False, "--accept-licence", help="With --base: you accept its licence; remembered."
    ),
) -> None:
    """Teach a generator your collection, from its training part alone.

    With --base, the same seeds are drawn with and without the adapter, the holdout part is judged on the way, and
    the best checkpoint is kept.

    Example: balance adapt --base ./sd15 --minutes 60
    """
    if from_scratch == (base is not None):
        raise ModelError(
            needed="one way to adapt: a base, or from scratch",
            found="both" if from_scratch else "none",
            next_step="balance adapt --base FOLDER, or: balance adapt --from-scratch",
        )
    given = {"size": size, "steps": steps, "minutes": minutes, "batch_size": batch_size}
    given |= {"rank": rank, "learning_rate": learning_rate}
    chosen = {name: value for name, value in given.items() if value is not None} | {"seed": seed, "device": device}
    folder_name = _plain_name(name or ("scratch" if from_scratch else "lora"))
    if base is not None:
        _adapt_base(context, base, {**chosen, "text_encoder": text_encoder}, folder_name, pack, accept_licence)
        return
    if text_encoder or rank is not None or learning_rate is not None:
        raise ModelError(
            needed="a base for --rank, --learning-rate and --text-encoder",
            found="--from-scratch, which trains all there is",
            next_step="leave them out, or: balance adapt --base FOLDER",
        )
    _adapt_from_scratch(context, chosen, folder_name, pack)


def _adapt_base(
    context: typer.Context,
    base: str,
    chosen: dict[str, Any],
    folder_name: str,
    pack: str | None,
    accept_licence: bool,
) -> None:
    from balancer.adapting.lora.settings import LoraSettings
    from balancer.cli.commands.adapt_base import adapt_base

    settings = LoraSettings(**chosen)
    show = _Phases()
    with here().session(write=True) as session, remembered(session, context, folder_name):
        adapt_base(session, base, settings, folder_name, pack, show, accept_licence=accept_licence)
    show.close()


def _adapt_from_scratch(context: typer.Context, chosen: dict[str, Any], folder_name: str, pack: str | None) -> None:
    from balancer.adapting.scratch.settings import ScratchSettings
    from balancer.adapting.scratch.train import train_from_scratch
    from balancer.collection.attributes import attributes_of
    from balancer.collection.scan import samples, with_hashes
    from balancer.workspace.doctor import check_before

    settings = ScratchSettings(**chosen)
    with here().session(write=True) as session, remembered(session, context, folder_name):
        paths = session.split.paths("train")
        collection = with_hashes(session.collection, paths)
        session.ledger.save_hashes(collection)
        learned = samples(collection.images.loc[paths])
        templates = choose_templates(pack, sorted({sample.label for sample in learned}), ConsoleProgress())
        check_before(session.state, ConsoleProgress())
        session.state.adapters.mkdir(exist_ok=True)
        folder = session.state.adapters / folder_name
        known = folder.is_dir()
        show = _Phases()
        told = attributes_of(collection.images.loc[paths])
        train_from_scratch(learned, collection.root, templates, settings, folder, session.split.sha256, show, told)
        show.close()
        session.ledger.add_adapter(collection, folder)
        message(f"See what it draws: {shown(folder / 'samples.png')}")
        again = ", and not again: for a longer training give another --name" if known else ""
        result(f"Trained: {shown(folder)}{again}")
        result("Next: balance fill --target max --dry-run")


def _plain_name(name: str) -> str:
    if name and name == Path(name).name and not name.startswith("."):
        return name
    raise typer.BadParameter("a plain name, without / and not beginning with a dot", param_hint="--name")


class _Phases:
    """Progress of a training that has several phases."""

    def __init__(self) -> None:
        self._bars: dict[str, Progress] = {}

    def __call__(self, phase: str, done: int, total: int, note: str) -> None:
        if note and (done == 0 or (done == total and phase in ("images", "samples"))):
            self.close()
            message(note)
            return
        if phase not in self._bars:
            self.close()
            self._bars[phase] = Progress(phase.capitalize(), before=done)
        self._bars[phase](done, total, note=note)

    def close(self) -> None:
        for bar in self._bars.values():
            bar.close()
