"""From jobs to screened candidates: generate, match intensities, encode, store, screen, replace the rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from balancer.collection.scan import Collection
from balancer.dataset.xmp import make_xmp
from balancer.files import sha256_if_there, sync_path
from balancer.filling.acceptance import is_accepted
from balancer.filling.batch_checksums import has_checksums, verified_batch, write_checksums
from balancer.filling.intensity_matching import HistogramCache
from balancer.filling.recipe import Recipe
from balancer.filling.runner import Runner
from balancer.filling.verdicts import Judged, LabelRecords, Screen, load_records, screen_and_record, store_bytes
from balancer.generators.protocol import ImageGenerator
from balancer.generators.scheduler import edit_steps
from balancer.imaging.decode import GreyImage, encode, resize
from balancer.imaging.pixel_hash import digest_of
from balancer.jobs import Candidate, Job, batch_ranges
from balancer.parallel import cores, in_threads
from balancer.planning import Plan
from balancer.store.database import Ledger


@dataclass(frozen=True, slots=True)
class FillReport:
    """What came of a plan: the images to merge, how many were rejected and why, and classes that stay short.

    `review` counts those that wait for a person; `judged` holds all that were looked at, in order. `judged_anew`
    counts those that an earlier run had made and another screen judged, `taken_up` those that it had made and the
    database does not know.
    """

    accepted: Mapping[str, Sequence[Judged]]
    made: int
    rejected: Mapping[str, Mapping[str, int]]
    short: Mapping[str, int]
    review: Mapping[str, int] = field(default_factory=dict)
    judged: Mapping[str, Sequence[Judged]] = field(default_factory=dict)
    judged_anew: int = 0
    taken_up: int = 0


@dataclass(slots=True)
class FillProgress:
    """Where a run stands: `done` of `total` images are safe in the database, `made` of them by this run.

    `steps` are the denoising steps that these took: fewer for an image that is made from another.
    """

    done: int = 0
    total: int = 0
    made: int = 0
    steps: int = 0
    notify: Callable[[FillProgress], None] = field(default=lambda progress: None)

    def add(self, jobs: Sequence[Job]) -> None:
        """Count a batch that is safe."""
        self.done += len(jobs)
        self.made += len(jobs)
        self.steps += sum(edit_steps(job.config.steps, job.method.strength) for job in jobs)
        self.notify(self)


def generate(
    collection: Collection,
    plan: Plan,
    recipe: Recipe,
    *,
    ledger: Ledger,
    store: Path,
    runner: Runner,
    make_generator: Callable[[], ImageGenerator],
    screen: Screen,
    records: Mapping[str, LabelRecords] | None = None,
    retries: int = 3,
    progress: FillProgress | None = None,
) -> FillReport:
    """Make and screen images until every deficit is covered, or `retries` times as many were rejected.

    Batches that the database knows are not made again, so a run that was stopped goes on where it stopped and ends
    with the same images. Those that another screen judged are judged anew, but for what a person decided. `records`
    is what the database holds, where it was loaded already.

    Raises:
        GenerationError: the generator failed; what was finished before is kept.
        CollectionError: a real image that one is made from, or takes its intensities from, is gone or changed.
    """
    store.mkdir(exist_ok=True)
    for leftover in store.glob(".tmp-*"):  # of a run that was killed
        leftover.unlink()
    progress = progress or FillProgress()
    records = load_records(ledger, collection) if records is None else records
    run = _FillRun(collection, recipe, ledger, store, screen, records, HistogramCache(collection.root))
    short = {label: count for label, count in plan.deficits.items() if count}
    while short:
        rounds = {
            label: run.next_batches(label, count, plan.deficits[label], retries) for label, count in short.items()
        }
        rounds = {label: ranges for label, ranges in rounds.items() if ranges}
        if not rounds:
            break
        progress.total += sum(len(indices) for ranges in rounds.values() for indices in ranges)
        _run_round(run, rounds, runner, make_generator, progress)
        short = {label: missing for label in short if (missing := plan.deficits[label] - len(run.accepted(label))) > 0}
    return _report(run, plan, progress.made)


@dataclass(slots=True)
class _FillRun:
    """One run's view of the database: what is made and judged of each class, in order of index."""

    collection: Collection
    recipe: Recipe
    ledger: Ledger
    store: Path
    screen: Screen
    records: Mapping[str, LabelRecords]
    histograms: HistogramCache
    judged: dict[str, list[Judged]] = field(default_factory=dict)
    judged_anew: int = 0
    taken_up: int = 0

    def next_batches(self, label: str, missing: int, deficit: int, retries: int) -> list[range]:
        """Batches after those already judged that may cover what is missing; none when `retries` is used up."""
        start, size = len(self.judged.get(label, [])), self.recipe.config.batch_size
        allowed = deficit * (1 + retries) - start
        return list(batch_ranges(min(missing, allowed), size, start)) if allowed > 0 else []

    def accepted(self, label: str) -> list[Judged]:
        return [each for each in self.judged.get(label, []) if is_accepted(each[1])]

    def holds(self, jobs: Sequence[Job]) -> bool:
        """Whether the database holds a batch whole, and its files are as they were judged."""
        found = [self.records[jobs[0].label].judged.get(job.id) for job in jobs]
        return all(each is not None and sha256_if_there(each[0].path) == each[0].sha256 for each in found)

    def take(self, jobs: Sequence[Job]) -> bool:
        """Take over a batch that is there already, if it is whole."""
        if not self.holds(jobs):
            return self._take_up(jobs)
        self._recall(jobs)
        return True

    def finish(self, jobs: Sequence[Job], images: Sequence[GreyImage]) -> Sequence[Job]:
        """Match, encode, write, screen and record one batch: the files first, then, all at once, their rows."""
        made = list(zip(jobs, images, strict=True))
        batch = list(in_threads(lambda each: self._write(*each), made, threads=min(8, cores())))
        write_checksums(self.store, batch)
        sync_path(self.store)
        label = jobs[0].label
        judged = self._screen(label, batch)
        self.judged.setdefault(label, []).extend(judged)
        return jobs

    def _recall(self, jobs: Sequence[Job]) -> None:
        """Take over a batch that the database holds; if another screen judged it, judge it anew."""
        label, known = jobs[0].label, self.records[jobs[0].label]
        batch = [known.judged[job.id] for job in jobs]
        if not all(known.is_current(candidate, self.screen) for candidate, _ in batch):
            batch = self._screen(label, [candidate for candidate, _ in batch])
            self.judged_anew += len(batch)
        self.judged.setdefault(label, []).extend(batch)

    def _take_up(self, jobs: Sequence[Job]) -> bool:
        """Judge and record a batch that is whole on disk though the database does not know it."""
        found = verified_batch(self.store, jobs)
        if found is None:
            return False
        self.judged.setdefault(jobs[0].label, []).extend(self._screen(jobs[0].label, found))
        self.taken_up += len(jobs)
        return True

    def _screen(self, label: str, batch: Sequence[Candidate]) -> list[Judged]:
        known = self.records[label]
        accepted = [candidate for candidate, _ in (*known.external_accepted, *self.accepted(label))]
        return screen_and_record(
            batch, accepted, self.screen, records=known, collection=self.collection, ledger=self.ledger
        )

    def _write(self, job: Job, image: GreyImage) -> Candidate:
        width, height = job.output.size or image.shape[::-1]
        image = resize(image, width, height)
        if job.method.reference is not None:
            image = self.histograms.match_intensity(image, job.method.reference)
        content = encode(image, job.output, make_xmp(job.label, job))
        path = self.store / f"{job.id}{job.output.extension}"
        return Candidate(job.label, path, store_bytes(path, content), job, pixels=digest_of(path))


def _run_round(
    run: _FillRun,
    rounds: Mapping[str, Sequence[range]],
    runner: Runner,
    make_generator: Callable[[], ImageGenerator],
    progress: FillProgress,
) -> None:
    """Make a round's batches; while one is encoded and recorded, the next is already being generated."""

    def pending() -> Iterator[Sequence[Job]]:
        for label, ranges in rounds.items():
            for indices in ranges:
                jobs = [run.recipe.job(label, index) for index in indices]
                if not (run.holds(jobs) or has_checksums(run.store, jobs)):
                    yield jobs
                    continue
                settle()  # the batches of a class are taken in order
                if run.take(jobs):
                    progress.done += len(jobs)
                else:
                    yield jobs

    in_hand: list[Future[Sequence[Job]]] = []

    def settle() -> None:
        while in_hand:
            progress.add(in_hand.pop().result())

    with ThreadPoolExecutor(1) as writer:
        for jobs, images in runner(make_generator, pending()):
            settle()
            in_hand.append(writer.submit(run.finish, jobs, images))
        settle()


def _report(run: _FillRun, plan: Plan, made: int) -> FillReport:
    wanted = {label: count for label, count in plan.deficits.items() if count}
    judged = {label: run.judged.get(label, []) for label in wanted}
    accepted = {label: run.accepted(label)[:count] for label, count in wanted.items()}
    rejected = {label: _reasons(judged[label]) for label in wanted}
    waiting = {label: sum(v.decision == "review" for _, v in judged[label]) for label in wanted}
    short = {label: count - len(accepted[label]) for label, count in wanted.items() if len(accepted[label]) < count}
    return FillReport(
        accepted,
        made,
        {label: why for label, why in rejected.items() if why},
        short,
        {label: count for label, count in waiting.items() if count},
        judged,
        run.judged_anew,
        run.taken_up,
    )


def _reasons(judged: Sequence[Judged]) -> dict[str, int]:
    """How often each reason was given for keeping an image out, without what it says of one image in brackets."""
    out = (v for _, v in judged if v.decision != "review" and not is_accepted(v))
    return dict(Counter(reason.split(" (")[0] for v in out for reason in v.reasons))
