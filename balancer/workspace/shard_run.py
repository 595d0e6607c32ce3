"""A fill in shards: parts that are made anywhere without a shared database, and what is taken over from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import GenerationError, OutputError, SettingsError
from balancer.progress import SILENT, Progress
from balancer.settings import as_command
from balancer.text import printable
from balancer.workspace.fill_setup import FillRequest, FillSetup, fill_request, prepare
from balancer.workspace.plan_run import plan_of
from balancer.workspace.settings import FillSettings
from balancer.workspace.workspace import Session, Workspace

if TYPE_CHECKING:
    from balancer.filling.runner import Batch, Made
    from balancer.filling.shards import WholeShard
    from balancer.generators.protocol import ImageGenerator
    from balancer.jobs import Job

_OF_THE_MACHINE = ("dtype", "batch_size")
"""Settings of the generator that are chosen by the machine that it runs on."""


@dataclass(frozen=True, slots=True)
class ShardResult:
    """A whole shard: its folder, how many images are in it, and how many of them were made now."""

    shard: str
    folder: Path
    images: int
    made: int

    def to_json(self) -> dict[str, Any]:
        """The shard in figures, for programs."""
        return {**asdict(self), "folder": str(self.folder)}


def fill_shard(workspace: Workspace, settings: FillSettings, *, progress: Progress = SILENT) -> ShardResult:
    """Generate one part of what the classes lack into a folder of its own; nothing is screened, merged or remembered.

    The state is read from a copy, so many machines may do so at once. A shard that was stopped goes on where it
    stopped. `fill` with `collect` takes the shards over.

    Raises:
        SettingsError: the settings name no shard.
        BalanceError: what `fill` would refuse, but for the screen.
        OutputError: the folder of the shards is inside the collection.
        GenerationError: the generator failed; what was finished before is kept.

    >>> _ = scan(Workspace.open(folder), ScanSettings(folder / "xrays"))
    >>> settings = FillSettings(target="max", model="noise:8", shard="1/1", shard_dir=folder / "shards")
    >>> fill_shard(Workspace.open(folder), settings).images
    16
    """
    from balancer.filling.batch_files import BatchFiles
    from balancer.filling.runner import LocalRunner
    from balancer.filling.shards import make_shard

    shard, place = settings.chosen_shard, settings.shard_dir
    if shard is None or place is None:
        raise SettingsError(
            needed="a shard and its folder",
            found=f"shard={settings.shard!r}, shard_dir={place!r}",
            next_step='FillSettings(shard="1/8", shard_dir="shards"); see balance fill --help',
        )
    with workspace.session(write=False, several=True, private=True) as session:
        _require_outside(place, session)
        session = session.without_holdout() if settings.no_holdout else session
        planned = plan_of(session, settings)
        request = fill_request(session, settings, planned, progress, remember=False)
        setup = prepare(request, progress, remember=False)
        recipe = setup.recipe
        own = shard.own(_lacking(request, setup), planned.labels, recipe.config.batch_size)
        files = BatchFiles(session.collection, recipe, place / shard.folder)
        task = progress.start(f"Generating shard {shard}")
        runner = LocalRunner(setup.device)
        found = make_shard(
            shard, files, own, recipe.config, runner=runner, make_generator=setup.make_generator, progress=task
        )
    return ShardResult(str(shard), found.folder, found.images, found.made)


def made_as(shards: Sequence[WholeShard] | None) -> dict[str, Any]:
    """The settings of the generator that hung on the machine that made the shards: it need not be this one."""
    return {} if shards is None else {name: shards[0].config[name] for name in _OF_THE_MACHINE}


def take_over_shards(request: FillRequest, setup: FillSetup, shards: Sequence[WholeShard], progress: Progress) -> None:
    """Copy into the state folder what the fill lacks of the shards' images; it then finds, screens and merges them.

    Raises:
        GenerationError: a shard is missing, foreign or damaged; it is named.
    """
    from balancer.filling.shards import require_same_maker, take_over

    require_same_maker(shards, setup.recipe.config)
    batches = _lacking(request, setup)
    if not batches:
        return
    task, store = progress.start("Taking over shards"), request.session.state.candidates
    take_over(shards, batches, request.planned.labels, store, task)


class NothingMade:
    """The runner of a fill that takes over shards: what they do not have is named, and not made here."""

    def __init__(self, settings: FillSettings) -> None:
        self._settings = settings

    def __call__(self, make_generator: Callable[[], ImageGenerator], batches: Iterable[Batch]) -> Iterator[Made]:
        """Raise a GenerationError where anything is left to be made."""
        left = list(batches)
        if not left:
            return
        counts: dict[str, int] = {}
        for batch in left:
            label = batch.jobs[0].label
            counts[label] = counts.get(label, 0) + len(batch.jobs)
        lacking = ", ".join(f"{printable(label)} {count}" for label, count in counts.items())
        here = replace(self._settings.here(), batch_size=str(left[0].jobs[0].config.batch_size))
        raise GenerationError(
            needed=f"further images, since some of the shards' were rejected: {lacking}",
            found="all shards taken over and screened; every verdict is kept",
            next_step=f"run each shard again (balance fill --shard K/N --shard-dir DIR), then: "
            f"{as_command(self._settings)}\n        or generate them here: {as_command(here)}",
        )
        yield


def _lacking(request: FillRequest, setup: FillSetup) -> list[list[Job]]:
    from balancer.filling.run import lacking_batches

    session = request.session
    return lacking_batches(
        session.collection,
        request.planned.plan,
        setup.recipe,
        store=session.state.candidates,
        records=request.records,
        retries=request.settings.retries,
    )


def _require_outside(place: Path, session: Session) -> None:
    root = session.collection.root.resolve()
    if place.resolve().is_relative_to(root):
        raise OutputError(
            needed="a folder for shards outside the collection, which balance never changes",
            found=f"{place}, inside {root}",
            next_step="choose another: balance fill --shard K/N --shard-dir FOLDER",
        )
