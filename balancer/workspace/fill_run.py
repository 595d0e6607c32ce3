"""Generating what the rare classes lack, screening it, and merging it with the originals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from balancer.devices import supports_bfloat16
from balancer.errors import ScreenError, SettingsError
from balancer.filling.ray_cluster import require_ray
from balancer.filling.verdicts import ScreeningSummary, ScreenSource
from balancer.progress import SILENT, Progress, Task
from balancer.text import duration, many
from balancer.workspace.disk import require_room
from balancer.workspace.engines import Engine, engine_of
from balancer.workspace.exposure import learned_by
from balancer.workspace.fill_figures import FillFigures
from balancer.workspace.fill_setup import FillRequest, FillSetup, fill_request, prepare, prompt_of
from balancer.workspace.fill_time import FillTime, is_slow, seconds_each, time_of
from balancer.workspace.last_fill import FillManifest, portable
from balancer.workspace.merge_run import merge_accepted
from balancer.workspace.plan_run import PlanResult, plan_of
from balancer.workspace.pretraining import pool_files
from balancer.workspace.prompts_run import require_sound_wording
from balancer.workspace.reports import FILL, keep_report
from balancer.workspace.run_record import remember_run
from balancer.workspace.settings import FillSettings
from balancer.workspace.shard_run import made_as, take_over_shards
from balancer.workspace.workspace import Session, Workspace

if TYPE_CHECKING:
    from balancer.dataset.merge import MergeReport
    from balancer.filling.run import FillProgress, FillReport
    from balancer.generators.protocol import ImageGenerator

_SHOWN = 3  # prompts of a class in a preview


@dataclass(frozen=True, slots=True)
class FillResult:
    """What a fill made (`report`), what the screen says of it, and the balanced folder; `None`: nothing was to do.

    `figures` are its time, its rate, and how many images were rejected.
    """

    planned: PlanResult
    report: FillReport | None = None
    merged: MergeReport | None = None
    screening: ScreeningSummary = field(default_factory=ScreeningSummary)
    figures: FillFigures | None = None

    @property
    def short(self) -> Mapping[str, int]:
        """How many images classes lack because too many of theirs were rejected."""
        return {} if self.report is None else self.report.short

    def to_json(self) -> dict[str, Any]:
        """The fill in figures, for programs."""
        report, merged = self.report, self.merged
        return {
            "plan": self.planned.to_json(),
            "folder": None if merged is None else str(merged.folder),
            "dicom": None if merged is None or merged.dicom is None else str(merged.dicom),
            "synthetic": {} if merged is None else dict(merged.synthetic),
            "made": 0 if report is None else report.made,
            "accepted": {} if report is None else {label: len(some) for label, some in report.accepted.items()},
            "rejected": {} if report is None else {label: dict(some) for label, some in report.rejected.items()},
            "review": {} if report is None else dict(report.review),
            "short": dict(self.short),
            "screening": list(self.screening.stamps),
            "figures": None if self.figures is None else self.figures.to_json(),
        }


@dataclass(frozen=True, slots=True)
class FillPreview:
    """What a fill would ask for and take: prompts of each class, bytes of disk, and `time` on `device`.

    `time` is `None` where there is no model yet.
    """

    planned: PlanResult
    prompts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    negatives: Sequence[str] = ()
    disk: float = 0.0
    time: FillTime | None = None
    device: str = ""

    def to_json(self) -> dict[str, Any]:
        """The preview as JSON-compatible fields."""
        return {
            "plan": self.planned.to_json(),
            "prompts": {label: list(some) for label, some in self.prompts.items()},
            "negatives": list(self.negatives),
            "disk": self.disk,
            "seconds": None if self.time is None else self.time.seconds,
            "device": self.device,
            "time": None if self.time is None else self.time.to_json(),
        }


def fill(
    workspace: Workspace, settings: FillSettings, *, screen: ScreenSource, progress: Progress = SILENT
) -> FillResult:
    """Generate what the classes lack, screen it, and merge what is accepted with copies of the originals.

    `screen` is `analysis.fit_screen(workspace)`, or `NoScreen(reason)`. A fill that was stopped goes on where it
    stopped. Classes of which too many images were rejected stay `short`.

    Raises:
        PlanError: nothing was asked for, or what the collection or the model cannot do.
        SettingsError: the settings speak of another screen than the one handed in.
        ModelError: there is no model, or it does not fit the settings.
        PromptError: a wording has an error.
        ScreenError: the images cannot be screened, and the user has not said that they need not be.
        OutputError: the balanced folder or the disk will not do.
        GenerationError: the generator failed; what was finished before is kept.

    >>> _ = scan(Workspace.open(folder), ScanSettings(folder / "xrays"))
    >>> settings = FillSettings(target="max", model="noise:8")
    >>> fill(Workspace.open(folder), settings, screen=NoScreen("example")).to_json()["accepted"]
    {'nodule': 3}
    """
    from balancer.filling.shards import read_shards

    settings = _agreed(settings, screen)
    if settings.engine == "ray":
        require_ray("balance fill")
    began = time.monotonic()
    with workspace.session(write=True, several=True) as session:
        session = session.without_holdout() if settings.no_holdout else session
        planned = plan_of(session, settings)
        if not planned.wanted:
            return FillResult(planned)
        request = fill_request(session, settings, planned, progress, remember=True)
        shards = None if settings.collect is None else read_shards(settings.collect)
        setup = prepare(request, progress, remember=True, made_as=made_as(shards))
        screen.require(session.collection, progress)
        require_room(session, request.place, planned.wanted, progress)
        if shards is not None:
            take_over_shards(request, setup, shards, progress)
        return _carry_out(request, setup, screen, progress, began)


def preview_fill(
    workspace: Workspace, settings: FillSettings, *, screen: ScreenSource, progress: Progress = SILENT
) -> FillPreview:
    """Say what a fill would ask for and take, its time measured by a few steps of a batch; nothing is written.

    Raises:
        BalanceError: what `fill` would refuse, but for images that cannot be screened: that is a message.
    """
    settings = _agreed(settings, screen)
    if settings.engine == "ray":
        require_ray("balance fill")
    with workspace.session(write=False, several=True) as session:
        session = session.without_holdout() if settings.no_holdout else session
        planned = plan_of(session, settings)
        if not planned.wanted:
            return FillPreview(planned)
        request = fill_request(session, settings, planned, progress, remember=False)
        shown = {label: [prompt_of(request, label, i) for i in range(min(n, _SHOWN))] for label, n in request.wanted}
        negatives = list(dict.fromkeys(pack.negative for pack in request.templates.values()))
        disk = require_room(session, request.place, planned.wanted, progress)
        found = FillPreview(planned, shown, negatives, disk)
        if settings.model is None and not session.ledger.adapters(session.collection):
            require_sound_wording(request.templates, request.planned.labels, progress=progress)
            return found
        setup = prepare(request, progress, remember=False)
        try:
            screen.require(session.collection, progress)
        except ScreenError as error:
            progress.message(f"Images cannot be screened: {error.found}: fill will need --accept-unscreened.")
        return replace(found, time=time_of(request, setup), device=setup.device)


def _agreed(settings: FillSettings, screen: ScreenSource) -> FillSettings:
    """The settings with what the screen stands for, so that another process repeats it.

    Raises:
        SettingsError: they ask for an override that the screen does not make.
    """
    names = ("no_screen", "accept_unscreened")
    for name in names:
        if getattr(settings, name) and not screen.overrides.get(name):
            raise SettingsError(
                needed=f"a screen that fits {name}=True",
                found=f"{name}=True and screen={screen!r}",
                next_step="pass NoScreen(reason), or analysis.fit_screen(workspace, accept_unscreened=True); "
                "see balance fill --help",
            )
    no_screen, accept_unscreened = (bool(screen.overrides.get(name)) for name in names)
    return replace(settings, no_screen=no_screen, accept_unscreened=accept_unscreened)


def _carry_out(
    request: FillRequest, setup: FillSetup, screen: ScreenSource, progress: Progress, began: float
) -> FillResult:
    """Generate, screen and merge; the fill is remembered, so that it can be merged again."""
    from balancer.filling.run import generate

    session, collection = request.session, request.session.collection
    exposed = learned_by(setup.choice)
    elsewhere = pool_files(session, exposed)
    fitted = screen.fit(collection, session.split, exposed=exposed, elsewhere=elsewhere, progress=progress)
    with engine_of(request.settings, setup, progress) as engine:
        shown, start = _Generating(setup, progress, engine), time.monotonic()
        report = generate(
            collection,
            request.planned.plan,
            setup.recipe,
            ledger=session.ledger,
            store=session.state.candidates,
            runner=engine.runner,
            make_generator=shown.make_generator(),
            screen=fitted,
            records=request.records,
            retries=request.settings.retries,
            progress=shown.counting(),
        )
    generating = time.monotonic() - start
    summary = fitted.summary(report.judged)
    last = _manifest(request, setup, report, summary)
    with session.ledger.atomic():  # a merge that is stopped can be done again
        last.save(session.ledger, collection)
        _remember(session, request.settings, began)
    records = {label: some.with_judged(report.judged.get(label, ())) for label, some in request.records.items()}
    merged = merge_accepted(session, last, records, request.place, progress, request.settings.format)
    _remember(session, request.settings, began)
    figures = FillFigures.of(report, time.monotonic() - began, generating, setup.device)
    if report.made:  # a run that found all done says nothing of how long it takes
        keep_report(session.state, FILL, figures.to_json(), None)
    return FillResult(request.planned, report, merged, summary, figures)


def _manifest(request: FillRequest, setup: FillSetup, report: FillReport, summary: ScreeningSummary) -> FillManifest:
    packs = ", ".join(sorted({pack.source for pack in request.templates.values()}))
    return FillManifest(
        deficits=request.planned.plan.deficits,
        jobs={label: [candidate.id for candidate, _ in judged] for label, judged in report.judged.items()},
        run={"seed": str(request.settings.seed), "template pack": packs, **setup.recipe.sampler.facts},
        stamps=[*summary.stamps, *setup.stamps],
        place=portable(request.place, request.session.state),
        flat=request.session.split.origin == "none",
        form=request.settings.format,
    )


def _remember(session: Session, settings: FillSettings, began: float) -> None:
    """What was asked for, but for the place of the balanced folder, which another run chooses for itself."""
    remember_run(session, "fill", replace(settings.here(), out=None), time.monotonic() - began)


class _Generating:
    """Progress of a fill; without a GPU it also says that this takes long, and after the first batch how long."""

    def __init__(self, setup: FillSetup, progress: Progress, engine: Engine) -> None:
        self._setup, self._progress, self._engine = setup, progress, engine
        self._task: Task | None = None
        self._began, self._before = time.monotonic(), (0, 0)
        self._announced = setup.device.startswith("cuda")
        self._said_again = False
        self._counted: FillProgress | None = None

    def make_generator(self) -> Callable[[], ImageGenerator]:
        """What loads the model; in this process, the time that this takes says nothing about the images."""
        return self._engine.make_generator if self._engine.note() else self._load

    def counting(self) -> FillProgress:
        """The progress counter that `generate` needs."""
        from balancer.filling.run import FillProgress

        self._counted = FillProgress(notify=self._show)
        return self._counted

    def _load(self) -> ImageGenerator:
        if not self._announced:
            self._progress.message(
                f"Generating on {self._setup.device}, not on a GPU: an estimate follows the first batch."
            )
        generator = self._engine.make_generator()
        if self._counted is not None and is_slow(self._setup):
            left = self._counted.total - self._counted.done
            taken = left * seconds_each(self._setup, generator, next(iter(self._setup.recipe.packs)))
            exact = self._setup.recipe.config.dtype == "float32"
            faster = "--precision bfloat16, " if exact and supports_bfloat16("cpu") else ""
            self._progress.message(
                f"About {duration(taken)} for {many(left, 'image')} (from two denoising steps of one). Stop it "
                f"whenever you like: what is finished is kept. Faster: a GPU, {faster}a smaller --size, fewer --steps"
            )
        self._task, self._began = self._progress.start("Generating"), time.monotonic()
        return generator

    def _show(self, found: FillProgress) -> None:
        if found.made_again and not self._said_again:
            self._said_again = True
            self._progress.message(
                f"Warning: in {self._setup.recipe.config.dtype} the model gives values that are not numbers. Those "
                "images are made again in float32, as provenance records. To save the time of the first try: "
                "--precision float32"
            )
        note = self._engine.note()
        if note and self._task is None:  # workers load their models before the first batch, which says nothing
            self._task, self._began = self._progress.start("Generating"), time.monotonic()
            self._before = found.made, found.steps
            return
        made, steps = found.made - self._before[0], found.steps - self._before[1]
        others, taken = found.total - found.done, time.monotonic() - self._began
        if not self._announced and others and steps:
            recipe = self._setup.recipe
            left = duration(others * recipe.sampler.mean_steps(recipe.config.steps) / steps * taken)
            self._progress.message(f"The remaining {others} images will take about {left}")
        self._announced = True
        if self._task is not None:
            rate = f"{note}, {made / taken:.3g} images a second" if note else ""
            self._task(found.done, found.total, found.made, rate)
