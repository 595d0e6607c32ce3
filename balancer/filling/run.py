"""From jobs to screened candidates: generate, match intensities, encode, store, screen, replace the rejected."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from balancer.collection.scan import Collection
from balancer.devices import MADE_AGAIN
from balancer.errors import GenerationError, UnfitModel
from balancer.files import sha256_if_there
from balancer.filling.acceptance import is_accepted
from balancer.filling.batch_checksums import has_checksums, verified_batch
from balancer.filling.batch_files import BatchFiles
from balancer.filling.recipe import Recipe
from balancer.filling.runner import Batch, Made, Runner, SetAside
from balancer.filling.verdicts import Judged, JudgesModel, LabelRecords, Screen, load_records, screen_and_record
from balancer.generators.protocol import ImageGenerator
from balancer.generators.scheduler import edit_steps
from balancer.jobs import Candidate, Job, Verdict, batch_ranges
from balancer.planning import Plan
from balancer.store.database import Ledger

_NAMED = 5  # batches in a message
FIRST = 4
"""Images that a model is judged by, at least: of fewer, odd ones could be taken for the model."""
_UNJUDGED = Verdict("accept", {}, (), "")


@dataclass(frozen=True, slots=True)
class FillReport:
    """What came of a plan: the images to merge, how many were rejected and why, and classes that stay short.

    `review` counts those that wait for a person; `judged` holds all that were looked at, in order. `judged_anew`
    counts those that an earlier run had made and another screen judged, `taken_up` those that it had made and the
    database does not know. `finishing` are the seconds in which the made ones were encoded, screened and recorded.
    """

    accepted: Mapping[str, Sequence[Judged]]
    made: int
    rejected: Mapping[str, Mapping[str, int]]
    short: Mapping[str, int]
    review: Mapping[str, int] = field(default_factory=dict)
    judged: Mapping[str, Sequence[Judged]] = field(default_factory=dict)
    judged_anew: int = 0
    taken_up: int = 0
    finishing: float = 0.0


@dataclass(slots=True)
class FillProgress:
    """Where a run stands: `done` of `total` images are safe in the database, `made` of them by this run.

    `steps` are the denoising steps that these took: fewer for an image that is made from another. `made_again` of them
    took float32, since half precision gave no numbers.
    """

    done: int = 0
    total: int = 0
    made: int = 0
    steps: int = 0
    made_again: int = 0
    notify: Callable[[FillProgress], None] = field(default=lambda progress: None)

    def add(self, found: Made) -> None:
        """Count a batch that is safe."""
        jobs = found.batch.jobs
        self.made_again += len(jobs) * found.device.endswith(MADE_AGAIN)
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
        UnfitModel: the screen says that the first images look like none of the collection; they are kept too.
        CollectionError: a real image that one is made from, or takes its intensities from, is gone or changed.
    """
    files = BatchFiles(collection, recipe, store)
    files.clear()
    progress = progress or FillProgress()
    records = load_records(ledger, collection) if records is None else records
    run = _FillRun(collection, recipe.config.batch_size, ledger, files, screen, records)
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


def lacking_batches(
    collection: Collection,
    plan: Plan,
    recipe: Recipe,
    *,
    store: Path,
    records: Mapping[str, LabelRecords],
    retries: int = 3,
) -> list[list[Job]]:
    """The batches that `generate` would make next, as far as it can be told without a screen; nothing is made.

    Verdicts on record count as they are; what is on disk without one counts as accepted.
    """
    run = _FillRun(collection, recipe.config.batch_size, None, BatchFiles(collection, recipe, store), None, records)
    short = {label: count for label, count in plan.deficits.items() if count}
    while short:
        rounds = {label: run.next_batches(label, n, plan.deficits[label], retries) for label, n in short.items()}
        batches = [run.files.jobs(label, indices) for label, ranges in rounds.items() for indices in ranges]
        lacking = [jobs for jobs in batches if not run.recall(jobs)]
        if lacking or not batches:
            return lacking
        short = {label: missing for label in short if (missing := plan.deficits[label] - len(run.accepted(label))) > 0}
    return []


@dataclass(slots=True)
class _FillRun:
    """One run's view of the database: what is made and judged of each class, in order of index."""

    collection: Collection
    batch_size: int
    ledger: Ledger | None
    files: BatchFiles
    screen: Screen | None
    records: Mapping[str, LabelRecords]
    judged: dict[str, list[Judged]] = field(default_factory=dict)
    set_aside: dict[str, list[SetAside]] = field(default_factory=dict)
    judged_anew: int = 0
    taken_up: int = 0
    finishing: float = 0.0
    first: list[Candidate] = field(default_factory=list)
    unfit: str | None = None  # why the model does not fit; `None` until that is known

    def next_batches(self, label: str, missing: int, deficit: int, retries: int) -> list[range]:
        """Batches after those already judged that may cover what is missing; none when `retries` is used up."""
        start = len(self.judged.get(label, []))
        allowed = deficit * (1 + retries) - start
        return list(batch_ranges(min(missing, allowed), self.batch_size, start)) if allowed > 0 else []

    def accepted(self, label: str) -> list[Judged]:
        return [each for each in self.judged.get(label, []) if is_accepted(each[1])]

    def known(self, jobs: Sequence[Job]) -> Sequence[Judged] | Sequence[Candidate] | None:
        """A batch that is there already and whole: as the database holds it, or, where it does not, as it is on disk.

        Its files are as they were judged, or as they were made. `None`: it is to be made.
        """
        found = [self.records[jobs[0].label].judged.get(job.id) for job in jobs]
        judged = [each for each in found if each is not None and sha256_if_there(each[0].path) == each[0].sha256]
        if len(judged) == len(jobs):
            return judged
        return verified_batch(self.files.store, jobs) if has_checksums(self.files.store, jobs) else None

    def recall(self, jobs: Sequence[Job]) -> bool:
        """Count a batch that is there by the verdicts on record; whether it is there."""
        known = self.known(jobs)
        taken = [(each, _UNJUDGED) if isinstance(each, Candidate) else each for each in known or ()]
        self.judged.setdefault(jobs[0].label, []).extend(taken)
        return known is not None

    def take(self, label: str, known: Sequence[Judged] | Sequence[Candidate]) -> None:
        """Take over a batch that is there; if another screen, or none, judged it, judge it anew."""
        if label in self.set_aside:  # a batch before it is missing, and a class is judged in order
            return
        batch = [each for each in known if not isinstance(each, Candidate)]
        if not batch:
            found = [each for each in known if isinstance(each, Candidate)]
            batch = self._screen(label, found)
            self.taken_up += len(batch)
        elif self.screen and not all(self.records[label].is_current(candidate, self.screen) for candidate, _ in batch):
            batch = self._screen(label, [candidate for candidate, _ in batch])
            self.judged_anew += len(batch)
        self._judge(label, batch)

    def finish(self, made: Made) -> Made:
        """Write, screen and record one batch: the files first, then, all at once, their rows.

        Behind a batch of its class that could not be made it is only written: a later run takes it up.
        """
        began = time.perf_counter()
        label, batch = made.batch.jobs[0].label, self.files.write(made)
        if label not in self.set_aside:
            self._judge(label, self._screen(label, batch))
        self.finishing += time.perf_counter() - began
        return made

    def require_fit(self) -> None:
        """Raise an UnfitModel where the first images show that the others are not worth their time."""
        if self.unfit:
            raise UnfitModel(
                needed="a model that generates images like those of the collection",
                found=f"{self.first[0].job.config.model.name if self.first[0].job else 'this one'}: {self.unfit}",
                next_step="look at what it generates (balance prompts --sample), then adapt it (balance adapt --base "
                "FOLDER), train it longer, or use another --model. What was generated is kept; to go on all the same: "
                "balance fill --no-screen",
            )

    def _judge(self, label: str, batch: Sequence[Judged]) -> None:
        """Count a batch of a class, and ask of the first ones whether the model fits."""
        self.judged.setdefault(label, []).extend(batch)
        if self.unfit is None:
            self.first += [candidate for candidate, _ in batch]
            if not isinstance(self.screen, JudgesModel):
                self.unfit = ""
            elif len(self.first) >= FIRST:
                self.unfit = self.screen.why_unfit(self.first)

    def require_all_made(self) -> None:
        """Raise a GenerationError that names the batches that could not be made."""
        aside = [each for some in self.set_aside.values() for each in some]
        if aside:
            names = "; ".join(each.batch.name for each in aside[:_NAMED])
            raise GenerationError(
                needed="each batch made by one of the workers",
                found=f"batches that failed on several workers: {len(aside)} ({names}); the last: {aside[-1].reason}",
                next_step="run the same balance fill again (finished batches are kept), or without workers: "
                "balance fill --engine local",
            )

    def _screen(self, label: str, batch: Sequence[Candidate]) -> list[Judged]:
        known = self.records[label]
        assert self.screen is not None
        accepted = [candidate for candidate, _ in (*known.external_accepted, *self.accepted(label))]
        return screen_and_record(
            batch, accepted, self.screen, records=known, collection=self.collection, ledger=self.ledger
        )


def _run_round(
    run: _FillRun,
    rounds: Mapping[str, Sequence[range]],
    runner: Runner,
    make_generator: Callable[[], ImageGenerator],
    progress: FillProgress,
) -> None:
    """Make a round's batches; while one is encoded and recorded, the next is already being generated.

    All batches are taken in order, those that are there already too, however far a runner looks ahead.
    """
    there: deque[tuple[Batch, Sequence[Judged] | Sequence[Candidate] | None]] = deque()

    in_hand: list[Future[Made]] = []

    def settle() -> None:
        while in_hand:
            progress.add(in_hand.pop().result())

    def to_make() -> Iterator[Batch]:
        for label, ranges in rounds.items():
            for indices in ranges:
                jobs = run.files.jobs(label, indices)
                known = run.known(jobs)
                there.append((Batch(jobs), known))
                if known is None:
                    if run.unfit is None:
                        settle()  # what the first images show is worth waiting for
                    run.require_fit()
                    yield run.files.batch(jobs)
                else:
                    take_known()

    def take_known() -> None:
        while there and there[0][1] is not None:
            settle()  # the batches of a class are taken in order
            batch, known = there.popleft()
            run.take(batch.jobs[0].label, known or ())
            progress.done += len(batch.jobs)

    with ThreadPoolExecutor(1) as writer:
        for found in runner(make_generator, to_make()):
            take_known()
            there.popleft()
            settle()
            if isinstance(found, SetAside):
                run.set_aside.setdefault(found.batch.jobs[0].label, []).append(found)
            else:
                in_hand.append(writer.submit(run.finish, found))
        take_known()
        settle()
    if progress.made:  # what is all there costs no more time
        run.require_fit()
    run.require_all_made()


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
        run.finishing,
    )


def _reasons(judged: Sequence[Judged]) -> dict[str, int]:
    """How often each reason was given for keeping an image out, without what it says of one image in brackets."""
    out = (v for _, v in judged if v.decision != "review" and not is_accepted(v))
    return dict(Counter(reason.split(" (")[0] for v in out for reason in v.reasons))
