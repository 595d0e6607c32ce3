"""`balance adapt`: teach a generator the collection."""

from __future__ import annotations

from pathlib import Path

import typer

from balancer.cli.console import Progress, message, result, shown
from balancer.cli.session import choose_templates, opened
from balancer.errors import ModelError


def adapt(
    from_scratch: bool = typer.Option(
        False, "--from-scratch", help="Train a small Stable Diffusion on your images alone."
    ),
    size: int = typer.Option(64, help="Side of its images in pixels."),
    steps: int = typer.Option(None, min=2, help="Train for so many steps."),
    minutes: float = typer.Option(None, help="Train for so many minutes (default: 30)."),
    name: str = typer.Option("scratch", help="What to call it."),
    pack: str = typer.Option(None, help="Template pack: chest, bone, or your own YAML file."),
    seed: int = typer.Option(0, help="Same seed, same training."),
    device: str = typer.Option("auto", help="cuda, mps or cpu."),
) -> None:
    """Teach a generator your collection, from its training part alone.

    Example: balance adapt --from-scratch --minutes 60
    """
    if not from_scratch:
        raise ModelError(
            needed="a way to adapt",
            found="none",
            next_step="balance adapt --from-scratch (another base cannot be adapted yet)",
        )
    from balancer.adapt.scratch import train_from_scratch
    from balancer.adapt.settings import ScratchSettings
    from balancer.attributes import attributes_of
    from balancer.scan import samples, with_hashes

    settings = ScratchSettings(size=size, steps=steps, minutes=minutes, seed=seed, device=device)
    folder_name = _plain_name(name)
    with opened(write=True) as session:
        paths = session.split.paths("train")
        collection = with_hashes(session.collection, paths)
        session.ledger.save_hashes(collection)
        learned = samples(collection.images.loc[paths])
        templates = choose_templates(pack, sorted({sample.label for sample in learned}))
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
