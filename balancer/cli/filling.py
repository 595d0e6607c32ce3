"""`balance fill`: make what is missing and merge it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.again import remembered
from balancer.cli.console import message, printable, result, shown, size_of
from balancer.cli.doctoring import look_before
from balancer.cli.filled import Generation, show_excess, show_plan, show_prompts, show_report, show_time
from balancer.cli.judging import Word, choose_screen, fit_gates
from balancer.cli.linted import require_sound_wording
from balancer.cli.making import Making, choose_drawer, choose_methods
from balancer.cli.merging import merge_again, show_elsewhere
from balancer.cli.models import exposure, learned_by, require_learnt, with_adapter
from balancer.cli.powering import say_power
from balancer.cli.screened import show_screening, show_short, stamps
from balancer.cli.session import Session, choose_templates, known_attributes, opened, without_holdout
from balancer.errors import OutputError

if TYPE_CHECKING:
    from analysis.screening import Screen
    from balancer.attributes import JointDistribution
    from balancer.fill import FillReport, Recipe
    from balancer.generators import ImageGenerator
    from balancer.generators.stable_diffusion import Sampling
    from balancer.merge import MergeReport
    from balancer.plan import Plan
    from balancer.prompts import TemplatePack

_ENLARGED = 1.5  # times; less is hardly seen
_RECORD, _LEDGER = 10_000, 4_000_000  # bytes: what is written down about an image, and what the files begin with


def fill(
    context: typer.Context,
    target: list[str] = typer.Option(None, help="N, max, median, or LABEL=N; may be given more than once."),
    strategy: str = typer.Option(None, help='Bring to the largest class: minority, "not majority" or all.'),
    times: list[str] = typer.Option(
        None,
        help="So many synthetic images for each real one, in every class below the largest however little it lacks, "
        "or LABEL=X; with --strategy minority in the smallest alone.",
    ),
    max_ratio: float = typer.Option(10, help="At most so many synthetic images for each real one of the class."),
    symmetric: bool = typer.Option(False, "--symmetric", help="Add the same number to every class."),
    model: str = typer.Option(
        None,
        help="Stable Diffusion folder, fetched name or .safetensors, or FAMILY:WEIGHTS of an installed package; "
        "default: what adapt made.",
    ),
    adapter: Path = typer.Option(None, help="LoRA adapter for the model."),
    mode: str = typer.Option(
        "text",
        help="How images are made: text; image (from a real one of the class); mix (from one of another class, edited "
        "to the wanted one); or shares, such as text=0.5,mix=0.5.",
    ),
    strength: str = typer.Option(
        None, help="How much of a real image is made anew, drawn from these (default: 0.5,0.7,0.9)."
    ),
    harmonise: bool = typer.Option(
        True,
        "--harmonise/--as-drawn",
        help="Give each image the exposure and contrast of a random real training image of its class, or leave it.",
    ),
    steps: int = typer.Option(25, min=1, help="Denoising steps."),
    guidance: float = typer.Option(
        None,
        min=0,
        help="Guidance scale (default: 1 for one trained from scratch, in --mode mix 2; else 3; a raw one needs 7.5).",
    ),
    size: int = typer.Option(None, min=1, help="Side in pixels that the model draws at (default: its own)."),
    batch_size: str = typer.Option("auto", help="Images made at once."),
    device: str = typer.Option("auto", help="cuda, mps or cpu."),
    seed: int = typer.Option(0, help="Same seed, same images."),
    pack: str = typer.Option(None, help="Template pack: chest, bone, or your own YAML file."),
    retries: int = typer.Option(3, min=0, help="Make at most so many times the deficit again for what is rejected."),
    no_screen: bool = typer.Option(
        False, "--no-screen", help="Judge nothing but that images can be read; provenance and card say so."
    ),
    no_holdout: bool = typer.Option(
        False, "--no-holdout", help="A flat collection stays flat: nothing is kept for testing."
    ),
    accept_unscreened: bool = typer.Option(
        False,
        "--accept-unscreened",
        help="Where patients are unknown: take images that could not be screened for copies.",
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Write nothing; show deficits, prompts, disk and time."),
    out: Path = typer.Option(None, help="The balanced folder (default: <collection>-balanced beside the collection)."),
) -> None:
    """Generate what the rare classes lack and merge it with the originals, every added image traceable.

    Exit 1 when a class stays short because too many of its images were rejected.

    Example: balance fill --target 500 --dry-run
    """
    from balancer.generators.checkpoint import WAYS
    from balancer.generators.stable_diffusion import Sampling
    from balancer.merge import check_out, default_out
    from balancer.plan import make_plan
    from balancer.split import training_counts

    sampling = Sampling(steps, guidance, size, _batch_size(batch_size), device)
    making = Making.read(mode, strength, harmonised=harmonise)
    with opened(write=not dry_run) as session:
        session = without_holdout(session) if no_holdout else session
        counts = training_counts(session.collection, session.split)
        plan = make_plan(
            counts, target or (), strategy=strategy, times=times or (), max_ratio=max_ratio, symmetric=symmetric
        )
        place = out or default_out(session.collection.root)
        check_out(place, session.collection.root, session.state.folder)
        show_plan(counts, plan, max_ratio)
        if times:
            show_excess(counts, plan)
        say_power(session)
        if not any(plan.deficits.values()):
            result("Nothing to do: no class is below its target.")
            return
        _warn_of_removal(place, plan, show_elsewhere(session))
        templates = choose_templates(pack, session.collection.labels)
        attributes = known_attributes(session, remember=not dry_run)
        order = Order(session, plan, templates, seed, place, attributes, retries, Word(no_screen, accept_unscreened))
        if dry_run:
            show_prompts(order)
            _require_room(order)
            if model is None and not session.ledger.adapters(session.collection):
                require_sound_wording(order.templates, (label for label, n in plan.deficits.items() if n))
                result(f"Time: not measured, since there is no model yet:\n      {WAYS}")
                return
        work = _prepare(order, model, adapter, sampling, making, remember=not dry_run)
        order.word.require(session.collection, dry_run=dry_run)
        if dry_run:
            show_time(order, work)
            return
        _require_room(order)
        gates = None if order.word.no_screen else fit_gates(session, work.exposed)
        with remembered(session, context):
            report, merged = _carry_out(order, work, gates)
        show_report(order, counts, report, merged)
        if gates is not None:
            show_screening(gates, report)
        show_short(report)
        if report.short:
            raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made, and where it goes."""

    session: Session
    plan: Plan
    templates: Mapping[str, TemplatePack]
    seed: int
    place: Path
    attributes: JointDistribution
    retries: int
    word: Word

    @property
    def wanted(self) -> int:
        """How many images to make."""
        return sum(self.plan.deficits.values())


@dataclass(frozen=True, slots=True)
class Work:
    """What it is made with."""

    recipe: Recipe
    make_generator: Callable[[], ImageGenerator]
    device: str
    stamps: tuple[str, ...]
    exposed: frozenset[str] = frozenset()


def _prepare(
    order: Order, model: str | None, adapter: Path | None, sampling: Sampling, making: Making, *, remember: bool
) -> Work:
    """Everything that can be refused before the first image is made."""
    from balancer.fill import Recipe, settle_look
    from balancer.layout import plan_layout

    session = order.session
    plan_layout(session.collection, session.split, ())  # only looks whether all originals are there
    drawer = choose_drawer(session, model, adapter, sampling)
    if drawer.choice is not None:
        look_before(session, sum(file.stat().st_size for file in drawer.choice.checkpoint.weights), room=False)
    look = settle_look(session.collection, session.split, session.ledger, remember=remember)
    few = {
        label: min(count, 500) for label, count in order.plan.deficits.items() if count
    }  # wordings repeat long before
    methods = choose_methods(session, making, look.output, drawer, few, remember=remember)
    recipe = Recipe(order.templates, drawer.config, look, order.seed, order.attributes, methods, drawer.guidance)
    prompts = [recipe.job(label, index).prompt for label, n in few.items() for index in range(n)]
    require_sound_wording(order.templates, few, prompts)
    drawer.require_readable(prompts)
    config = drawer.config
    message(
        f"Model: {printable(config.model.name)}{with_adapter(config)}, {config.width} x {config.height} px, "
        f"{config.steps} steps, guidance {drawer.guidance_in(making.weights)}, on {drawer.device}, "
        f"batches of {config.batch_size}"
    )
    unlearnt = "" if drawer.choice is None else require_learnt(drawer.choice, few)
    stamps = tuple(filter(None, (exposure(session, drawer.choice), unlearnt, _enlargement(recipe))))
    for stamp in stamps:
        message(f"Note: {stamp}")
    return Work(recipe, drawer.make, drawer.device, stamps, learned_by(drawer.choice))


def _enlargement(recipe: Recipe) -> str:
    """What is to be said when the model draws much smaller than the collection's images are."""
    sizes = (
        [recipe.look.output.size]
        if recipe.look.output.size
        else [s for many in recipe.look.sizes.values() for s in many]
    )
    wanted, drawn = sum(max(size) for size in sizes) / len(sizes), max(recipe.config.width, recipe.config.height)
    if wanted <= _ENLARGED * drawn:
        return ""
    return f"images are drawn at {drawn} px and enlarged to {wanted:.0f} px: they lack the detail of real ones"


def _require_room(order: Order) -> None:
    """Refuse before the first image what would fill a disk; what is there already is not needed again."""
    from balancer.trees import staging_of

    images, state, place = order.session.collection.images, order.session.state, order.place.absolute()
    made = order.wanted * (float(images["size"].mean()) + _RECORD) + _LEDGER
    wanted = (
        (state.folder, made, [state.candidates]),
        (place, float(images["size"].sum()) + made, [place, staging_of(place)]),
    )
    missing: dict[int, float] = {}
    for folder, size, there in wanted:
        disk = _existing(folder)
        still = max(0.0, size - sum(map(_size_of_all, there)))
        missing[disk.stat().st_dev] = missing.get(disk.stat().st_dev, 0.0) + still
        if missing[disk.stat().st_dev] * 1.05 > (free := shutil.disk_usage(disk).free):
            raise OutputError(
                needed=f"{size_of(missing[disk.stat().st_dev])} of disk for {printable(folder.name)}",
                found=f"{size_of(free)} free",
                next_step="free some space, or choose another disk: balance fill --out FOLDER",
            )
    message(f"Disk: {size_of(sum(missing.values()))} for {shown(order.place)} and the candidates")


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _size_of_all(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _carry_out(order: Order, work: Work, gates: Screen | None) -> tuple[FillReport, MergeReport]:
    """Generate, screen and merge; the plan is remembered, so that it can be merged again."""
    from balancer.engines import LocalEngine
    from balancer.fill import USABLE
    from balancer.fill import fill as generate
    from balancer.remembered import LastFill, portable

    session, collection = order.session, order.session.collection
    show = Generation(work)
    report = generate(
        collection,
        order.plan,
        work.recipe,
        ledger=session.ledger,
        store=session.state.candidates,
        engine=LocalEngine(),
        make_generator=show.make_generator,
        screen=choose_screen(gates, order.word),
        retries=order.retries,
        progress=show.progress(),
    )
    show.close()
    packs = ", ".join(sorted({pack.source for pack in order.templates.values()}))
    run = {"seed": str(order.seed), "template pack": packs, **work.recipe.methods.facts}
    jobs = {label: [candidate.id for candidate, _ in judged] for label, judged in report.judged.items()}
    place, flat = portable(order.place, session.state), session.split.origin == "none"
    said = (*([] if gates is None else stamps(gates, report)), *work.stamps)
    last = LastFill(order.plan.deficits, jobs, run, said, place, flat, USABLE)
    last.save(session.ledger, collection)
    return report, merge_again(session, last, order.place)


def _warn_of_removal(place: Path, plan: Plan, elsewhere: Mapping[str, int]) -> None:
    """Say which classes lose synthetic images of an earlier fill, because this plan asks for fewer."""
    from balancer.merge import synthetic_counts

    for label, count in synthetic_counts(place).items():
        left = plan.deficits.get(label, 0) + elsewhere.get(label, 0)
        if left < count:
            message(f"{printable(label)} keeps {left} of its {count} synthetic images: this plan asks for no more.")


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise typer.BadParameter("a number above 0, or auto", param_hint="--batch-size")
