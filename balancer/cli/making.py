"""`balance adapt` and `balance fill`: teach a generator the collection, and make what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer import __version__
from balancer.cli.console import Progress, duration, message, printable, result, size_of, table
from balancer.cli.session import Session, choose_templates, opened
from balancer.errors import ModelError, OutputError, SplitError

if TYPE_CHECKING:
    from balancer.fill import FillProgress, FillReport, Recipe
    from balancer.generators import ImageGenerator
    from balancer.generators.stable_diffusion import Sampling
    from balancer.merge import MergeReport
    from balancer.plan import Plan
    from balancer.prompts import TemplatePack

_SAMPLE_PROMPTS = 3
_RECORD, _LEDGER = 5_000, 2_000_000  # bytes: what is written down about an image, and what the files begin with
_MUCH_TOO_MANY = 3  # synthetic for each real image; gains of more are rare in what is published


def adapt(
    from_scratch: bool = typer.Option(
        False, "--from-scratch", help="Train a small Stable Diffusion on your images alone."
    ),
    size: int = typer.Option(64, help="Side of its images in pixels."),
    steps: int = typer.Option(None, min=1, help="Train for so many steps."),
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
        show = _Phases()
        train_from_scratch(learned, collection.root, templates, settings, folder, session.split.sha256, show)
        show.close()
        session.ledger.add_adapter(collection, folder)
        message(f"See what it draws: {_shown(folder / 'samples.png')}")
        result(f"Trained: {_shown(folder)}")
        result("Next: balance fill --target max --dry-run")


def fill(
    target: list[str] = typer.Option(..., help="N, max, median, or LABEL=N; may be given more than once."),
    max_ratio: float = typer.Option(10, help="At most so many synthetic images for each real one of the class."),
    symmetric: bool = typer.Option(False, "--symmetric", help="Add the same number to every class."),
    model: str = typer.Option(
        None, help="Stable Diffusion folder, fetched name or .safetensors; default: what adapt made."
    ),
    adapter: Path = typer.Option(None, help="LoRA adapter for the model."),
    steps: int = typer.Option(25, min=1, help="Denoising steps."),
    guidance: float = typer.Option(3.0, min=0, help="Guidance scale: about 3 for an adapted model, 7.5 for a raw one."),
    size: int = typer.Option(None, min=1, help="Side in pixels that the model draws at (default: its own)."),
    batch_size: str = typer.Option("auto", help="Images made at once."),
    device: str = typer.Option("auto", help="cuda, mps or cpu."),
    seed: int = typer.Option(0, help="Same seed, same images."),
    pack: str = typer.Option(None, help="Template pack: chest, bone, or your own YAML file."),
    retries: int = typer.Option(3, min=0, help="Give a class up after so many times its deficit."),
    no_holdout: bool = typer.Option(
        False, "--no-holdout", help="A flat collection stays flat: nothing is kept for testing."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Write nothing; show deficits, prompts, disk and time."),
    out: Path = typer.Option(None, help="The balanced folder (default: <collection>-balanced beside the collection)."),
) -> None:
    """Generate what the rare classes lack and merge it with the originals, every added image traceable.

    Example: balance fill --target 500 --dry-run
    """
    from balancer.generators.stable_diffusion import Sampling
    from balancer.merge import check_out, default_out
    from balancer.plan import make_plan
    from balancer.split import training_counts

    sampling = Sampling(steps, guidance, size, _batch_size(batch_size), device)
    with opened(write=not dry_run) as session:
        session = _without_holdout(session) if no_holdout else session
        counts = training_counts(session.collection, session.split)
        plan = make_plan(counts, target, max_ratio=max_ratio, symmetric=symmetric)
        place = out or default_out(session.collection.root)
        check_out(place, session.collection.root, session.state.folder)
        _show_plan(counts, plan, max_ratio)
        if not any(plan.deficits.values()):
            result("Nothing to do: no class is below its target.")
            return
        order = _Order(session, plan, choose_templates(pack, session.collection.labels), seed, place)
        if dry_run:
            _show_prompts(order)
            _require_room(order)
        work = _prepare(order, model, adapter, sampling, remember=not dry_run)
        if dry_run:
            _show_time(order, work)
            return
        _require_room(order)
        report, merged = _carry_out(order, work, retries)
        _show_report(order, counts, report, merged)


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be made, and where it goes."""

    session: Session
    plan: Plan
    templates: Mapping[str, TemplatePack]
    seed: int
    place: Path

    @property
    def wanted(self) -> int:
        return sum(self.plan.deficits.values())


@dataclass(frozen=True, slots=True)
class _Work:
    """What it is made with."""

    recipe: Recipe
    make_generator: Callable[[], ImageGenerator]
    device: str


def _prepare(order: _Order, model: str | None, adapter: Path | None, sampling: Sampling, *, remember: bool) -> _Work:
    """Everything that can be refused before the first image is made."""
    from balancer.fill import Recipe, settle_look
    from balancer.generators.checkpoint import find_adapter, find_checkpoint
    from balancer.generators.stable_diffusion import (
        StableDiffusion,
        choose_device,
        require_tokens_fit,
        settle_config,
    )

    checkpoint = find_checkpoint(model, order.session.ledger.adapters(order.session.collection))
    file, ref = (None, None) if adapter is None else find_adapter(adapter)
    config = settle_config(checkpoint, ref, sampling)
    session = order.session
    look = settle_look(session.collection, session.split, session.ledger, remember=remember)
    recipe = Recipe(order.templates, config, look, order.seed)
    few = {label: min(count, 500) for label, count in order.plan.deficits.items()}  # wordings repeat long before
    require_tokens_fit(checkpoint, (recipe.job(label, index).prompt for label, n in few.items() for index in range(n)))
    device = choose_device(sampling.device)
    message(
        f"Model: {printable(checkpoint.ref.name)}, {config.width} x {config.height} px, "
        f"on {device}, batches of {config.batch_size}"
    )
    return _Work(recipe, lambda: StableDiffusion(checkpoint, file, config, device), device)


def _carry_out(order: _Order, work: _Work, retries: int) -> tuple[FillReport, MergeReport]:
    """Generate, screen and merge."""
    from analysis.screening import Soundness
    from balancer.engines import LocalEngine
    from balancer.fill import fill as generate
    from balancer.merge import merge

    session, collection = order.session, order.session.collection
    known = [collection.root / path for path in session.split.paths("train")]
    show = _Generation(work.device)
    report = generate(
        collection,
        order.plan,
        work.recipe,
        ledger=session.ledger,
        store=session.state.candidates,
        engine=LocalEngine(),
        make_generator=work.make_generator,
        screen=Soundness.fit(known),
        retries=retries,
        progress=show.progress(),
    )
    show.close()
    accepted = [each for judged in report.accepted.values() for each in judged]
    copying = Progress("Merging")
    merged = merge(collection, session.split, accepted, order.place, facts=_facts(order), progress=copying)
    copying.close()
    return report, merged


def _facts(order: _Order) -> dict[str, str]:
    """What the balanced folder says of the run that made it; the same on every run."""
    split, collection = order.session.split, order.session.collection
    stamps = ["label, repetition and copies of patients were not checked"]
    if collection.images["patient"].isna().any():
        stamps.append("patient leakage not excluded: patients unknown")
    if split.origin == "none":
        stamps.append("nothing was held out: whether these images help cannot be shown")
    return {
        "tool": f"balance {__version__}",
        "seed": str(order.seed),
        "template pack": ", ".join(sorted({pack.source for pack in order.templates.values()})),
        "split": f"{split.origin}, seed {split.seed}, sha256 {split.sha256}",
        "stamps": "; ".join(stamps),
    }


def _show_plan(counts: Mapping[str, int], plan: Plan, max_ratio: float) -> None:
    rows = [
        [
            label,
            count,
            plan.target_counts[label],
            plan.deficits[label],
            f"{plan.deficits[label] / count:.2g}x" if count else "-",
        ]
        for label, count in counts.items()
    ]
    result(table(["class", "training images", "target", "to make", "of real"], rows))
    for label, missing in plan.capped.items():
        message(
            f"{printable(label)}: {plan.deficits[label]} instead of {missing}: "
            f"at most {max_ratio:g} for each real image (--max-ratio)"
        )
    much = [label for label, count in counts.items() if plan.deficits[label] > _MUCH_TOO_MANY * count]
    if much:
        names = ", ".join(map(printable, much))
        message(
            f"More than {_MUCH_TOO_MANY} synthetic for each real image of {names}: "
            "what is published seldom finds a gain there."
        )
    left = {label: count + plan.deficits[label] for label, count in counts.items()}
    if any(plan.deficits.values()) and min(left.values()) > 0 and max(left.values()) > 1.2 * min(left.values()):
        message(
            f"An imbalance of {max(left.values()) / min(left.values()):.1f} remains: "
            "train with a class-balanced sampler."
        )


def _show_prompts(order: _Order) -> None:
    from balancer.prompts import make_prompt

    result()
    for label, count in order.plan.deficits.items():
        for index in range(min(count, _SAMPLE_PROMPTS)):
            result(f"{printable(label)}: {make_prompt(order.templates[label], label, index, order.seed).text}")
    for negative in dict.fromkeys(pack.negative for pack in order.templates.values()):
        result(f"negative: {negative}")


def _require_room(order: _Order) -> None:
    """Refuse before the first image what would fill the disk; says what is needed."""
    images = order.session.collection.images
    made = order.wanted * float(images["size"].mean())
    records = order.wanted * _RECORD + _LEDGER
    needed = {
        order.session.state.folder: made + records,
        order.place.absolute().parent: float(images["size"].sum()) + made + records,
    }
    for folder, count in needed.items():
        free = shutil.disk_usage(folder).free
        if count * 1.05 > free:
            raise OutputError(
                needed=f"{size_of(count)} of disk for {printable(folder.name)}",
                found=f"{size_of(free)} free",
                next_step="free some space, or choose another disk: balance fill --out FOLDER",
            )
    message(f"Disk: {size_of(sum(needed.values()))} for the balanced folder and the candidates")


def _show_time(order: _Order, work: _Work) -> None:
    from balancer.generators.drawing import seconds_per_batch

    size = work.recipe.config.batch_size
    label = next(label for label, count in order.plan.deficits.items() if count)
    batches = sum(-(-count // size) for count in order.plan.deficits.values())
    seconds = seconds_per_batch(work.make_generator(), [work.recipe.job(label, index) for index in range(size)])
    result(
        f"Time: about {duration(batches * seconds)} for {order.wanted} images on {work.device} (from one warm-up batch)"
    )
    result("Dry run: nothing was written.")


def _show_report(order: _Order, counts: Mapping[str, int], report: FillReport, merged: MergeReport) -> None:
    from analysis.imbalance import measure_imbalance

    after = {label: count + merged.synthetic[label] for label, count in counts.items()}
    rows = [[label, count, merged.synthetic[label], after[label]] for label, count in counts.items()]
    result()
    result(table(["class", "real", "synthetic", "training images"], rows))
    before_ratio, after_ratio = measure_imbalance(counts).ratio, measure_imbalance(after).ratio
    result(f"Imbalance ratio {before_ratio:.1f} before, {after_ratio:.1f} after")
    for label, reasons in report.rejected.items():
        for reason, count in reasons.items():
            message(f"Rejected: {printable(label)}: {count} {reason}")
    for label, missing in report.short.items():
        message(
            f"Short: {printable(label)} lacks {missing}: the sound gate stopped it (see above). Look at what the model"
        )
        message("       draws (balance prompts --sample), train it longer, or use another --model.")
    message("Not screened yet: labels, repetition and copies of patients were not checked.")
    message(f"Contact sheet, real above synthetic: {_shown(_draw_sheet(order, report))}")
    result(f"Balanced folder: {_shown(merged.folder)}")
    result(f"Next: balance verify {_shown(merged.folder)}")


def _draw_sheet(order: _Order, report: FillReport) -> Path:
    from analysis.figures import real_above_synthetic

    collection, train = order.session.collection, order.session.split.paths("train", "holdout")
    labels = collection.images.loc[train, "label"]
    real = {label: [collection.root / path for path in labels.index[labels == label]] for label in collection.labels}
    synthetic = {label: [candidate.path for candidate, _ in judged] for label, judged in report.accepted.items()}
    path = order.session.state.reports / "contact-sheet.png"
    path.parent.mkdir(exist_ok=True)
    real_above_synthetic(real, synthetic).save(path)
    return path


def _without_holdout(session: Session) -> Session:
    from balancer.split import no_split

    if session.collection.has_parts:
        raise SplitError(
            needed="a flat collection for --no-holdout",
            found="one with parts of its own, which are kept",
            next_step="leave --no-holdout out",
        )
    return Session(session.state, session.ledger, session.collection, no_split(session.collection))


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise typer.BadParameter("a number above 0, or auto", param_hint="--batch-size")


def _plain_name(name: str) -> str:
    if name and name == Path(name).name and not name.startswith("."):
        return name
    raise typer.BadParameter("a plain name, without / and not beginning with a dot", param_hint="--name")


def _shown(path: Path) -> str:
    """A path as the user would type it: relative to here where it lies below."""
    here = Path.cwd()
    return str(path.resolve().relative_to(here)) if path.resolve().is_relative_to(here) else str(path)


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


class _Generation:
    """Progress of a fill; without a GPU it also says, after the first batch, how long it will take."""

    def __init__(self, device: str) -> None:
        self._bar = Progress("Generating")
        self._announced = device.startswith("cuda")

    def progress(self) -> FillProgress:
        from balancer.fill import FillProgress

        return FillProgress(notify=self._show)

    def _show(self, progress: FillProgress) -> None:
        if not self._announced:
            self._announced = True
            left = (progress.total - progress.done) / progress.made * self._bar.seconds
            message(
                f"No GPU is used: the other {progress.total - progress.done} images will take about {duration(left)}"
            )
        self._bar(progress.done, progress.total, progress.made)

    def close(self) -> None:
        self._bar.close()
