"""Pending jobs to judged candidates: generate, harmonise, encode, keep safe, screen, top up."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pandas as pd

from balancer.collection.attributes import JointDistribution
from balancer.collection.scan import Collection
from balancer.dataset.xmp import make_xmp
from balancer.files import sha256_if_there, sync_path
from balancer.filling.batch_checksums import found_whole, has_sums, write_sums
from balancer.filling.generation_modes import Methods
from balancer.filling.intensity_matching import References
from balancer.filling.runner import Engine
from balancer.filling.screening import USABLE, Judged, Known, Screen, is_usable, judge, keep
from balancer.generators.protocol import ImageGenerator
from balancer.generators.scheduler import edit_steps
from balancer.imaging.decode import GreyImage, Header, OutputFormat, common_format, encode, resize
from balancer.jobs import Candidate, GenerationConfig, Job, Mode, batch_ranges, job_seed
from balancer.parallel import cores
from balancer.planning import Plan
from balancer.prompting.packs import TemplatePack
from balancer.prompting.prompts import make_prompt
from balancer.splits.split import Split
from balancer.store.database import Ledger
from balancer.store.settings import ATTRIBUTES, LOOK, AttributesFields, LookFields

_SIZES = 200  # sizes of a class to draw from, where no size is common


@dataclass(frozen=True, slots=True)
class Look:
    """What files a collection has: their format and, where no pixel size is common, sizes of each class."""

    output: OutputFormat
    sizes: Mapping[str, Sequence[tuple[int, int]]]

    @classmethod
    def from_fields(cls, fields: LookFields) -> Look:
        """The look whose fields went through JSON."""
        sizes = {label: [(width, height) for width, height in pairs] for label, pairs in fields["sizes"].items()}
        return cls(OutputFormat.from_fields(fields["output"]), sizes)

    def sizes_of(self, label: str) -> Sequence[tuple[int, int]]:
        """Sizes of a class's own images; of all images where it has none."""
        return self.sizes.get(label) or [size for sizes in self.sizes.values() for size in sizes]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides which images are made: with the same recipe, image `index` of a label is the same image.

    `guidance` has the scales of modes that are not drawn by that of `config`.
    """

    packs: Mapping[str, TemplatePack]
    config: GenerationConfig
    look: Look
    seed: int = 0
    attributes: JointDistribution = field(default_factory=JointDistribution)
    methods: Methods = field(default_factory=Methods)
    guidance: Mapping[Mode, float] = field(default_factory=dict)

    def job(self, label: str, index: int) -> Job:
        """The job of image `index` of `label`."""
        seed = job_seed(self.seed, label, index)
        known = self.packs[label].words(self.attributes.draw(index, self.seed))
        prompt = make_prompt(self.packs[label], label, index, self.seed, known)
        size = self.look.output.size or random.Random(seed).choice(self.look.sizes_of(label))
        method = self.methods.draw(self.seed, label, index)
        scale = self.guidance.get(method.mode, self.config.guidance_scale)
        config = replace(self.config, guidance_scale=scale)
        return Job(label, index, prompt, seed, config, method, replace(self.look.output, size=size))


@dataclass(frozen=True, slots=True)
class FillReport:
    """What came of a plan: the images to merge, how many were rejected and why, and classes that stay short.

    `review` counts those that wait for a person; `judged` holds all that were looked at, in order. `judged_anew`
    counts those that an earlier run had made and another screen judged, `taken_up` those that it had made and the
    ledger does not know.
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
    """Where a run stands: `done` of `total` images are safe in the ledger, `made` of them by this run.

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


def measure_look(collection: Collection, split: Split) -> Look:
    """The file format of the training images, and the pixel sizes of each class where no size is common.

    Raises:
        ImageError: a training image that was looked at cannot be decoded.
    """
    train = collection.images.loc[split.paths("train", "holdout")]
    columns = ("format", "mode", "bits", "width", "height")
    rows = zip(train.index, *(train[name] for name in columns), strict=True)
    output = common_format(((path, Header(*row)) for path, *row in rows), collection.root)
    return Look(output, _sizes(train) if output.size is None else {})


def settle_look(collection: Collection, split: Split, ledger: Ledger, *, remember: bool) -> Look:
    """The look that the first fill measured, as long as the format is the same: images made then remain usable.

    Raises:
        ImageError: a training image that was looked at cannot be decoded.
    """
    now, stored = measure_look(collection, split), ledger.setting(collection, LOOK)
    earlier = None if stored is None else Look.from_fields(stored)
    if earlier is not None and earlier.output.kind == now.output.kind and earlier.sizes.keys() == now.sizes.keys():
        return earlier
    if remember:
        ledger.save_setting(collection, LOOK, LookFields(output=asdict(now.output), sizes=now.sizes))
    return now


def settle_attributes(
    collection: Collection, split: Split, ledger: Ledger, *, remember: bool
) -> tuple[JointDistribution, bool]:
    """The distribution of sex, age group and view in the training part, and whether prompts change because of it.

    With the same table it is the one that the first fill saw, so that images made then remain usable.
    """
    table = None if collection.table is None else collection.table.sha256
    columns = {} if collection.table is None else dict(collection.table.columns)
    source = [table, columns, collection.patient_source, split.origin]
    stored = ledger.setting(collection, ATTRIBUTES)
    if stored is not None and stored["source"] == source:
        return JointDistribution.from_fields(stored["counts"]), False
    found = JointDistribution.fit(collection.images.loc[split.paths("train")])
    before = () if stored is None else JointDistribution.from_fields(stored["counts"]).counts
    if remember and (stored is not None or found.counts):
        ledger.save_setting(collection, ATTRIBUTES, AttributesFields(source=source, counts=found.counts))
    return found, found.counts != before and ledger.setting(collection, LOOK) is not None


def fill(
    collection: Collection,
    plan: Plan,
    recipe: Recipe,
    *,
    ledger: Ledger,
    store: Path,
    engine: Engine,
    make_generator: Callable[[], ImageGenerator],
    screen: Screen,
    usable: Container[str] = USABLE,
    retries: int = 3,
    progress: FillProgress | None = None,
) -> FillReport:
    """Make and judge images until every deficit is covered by `usable` ones, or `retries` times as many were rejected.

    Batches that the ledger knows are not made again, so a run that was stopped goes on where it stopped and ends
    with the same images. Those that another screen judged are judged anew, but for what a person decided.

    Raises:
        GenerationError: the generator failed; what was finished before is kept.
        CollectionError: a real image that one is made from, or takes its intensities from, is gone or changed.
    """
    store.mkdir(exist_ok=True)
    for leftover in store.glob(".tmp-*"):  # of a run that was killed
        leftover.unlink()
    progress = progress or FillProgress()
    known = {label: Known.of(ledger, collection, label) for label, count in plan.deficits.items() if count}
    desk = _Desk(collection, recipe, ledger, store, screen, known, usable, References(collection.root))
    short = {label: count for label, count in plan.deficits.items() if count}
    while short:
        rounds = {
            label: desk.next_batches(label, count, plan.deficits[label], retries) for label, count in short.items()
        }
        rounds = {label: ranges for label, ranges in rounds.items() if ranges}
        if not rounds:
            break
        progress.total += sum(len(indices) for ranges in rounds.values() for indices in ranges)
        _run_round(desk, rounds, engine, make_generator, progress)
        short = {label: missing for label in short if (missing := plan.deficits[label] - len(desk.usable(label))) > 0}
    return _report(desk, plan, progress.made)


@dataclass(slots=True)
class _Desk:
    """One run's view of the ledger: what is made and judged of each class, in order of index."""

    collection: Collection
    recipe: Recipe
    ledger: Ledger
    store: Path
    screen: Screen
    known: Mapping[str, Known]
    decisions: Container[str]
    references: References
    judged: dict[str, list[Judged]] = field(default_factory=dict)
    judged_anew: int = 0
    taken_up: int = 0

    def next_batches(self, label: str, missing: int, deficit: int, retries: int) -> list[range]:
        """Batches after those already judged that may cover what is missing; none when `retries` is used up."""
        start, size = len(self.judged.get(label, [])), self.recipe.config.batch_size
        allowed = deficit * (1 + retries) - start
        return list(batch_ranges(min(missing, allowed), size, start)) if allowed > 0 else []

    def usable(self, label: str) -> list[Judged]:
        return [each for each in self.judged.get(label, []) if is_usable(each[1], self.decisions)]

    def holds(self, jobs: Sequence[Job]) -> bool:
        """Whether the ledger holds a batch whole, and its files are as they were judged."""
        found = [self.known[jobs[0].label].judged.get(job.id) for job in jobs]
        return all(each is not None and sha256_if_there(each[0].path) == each[0].sha256 for each in found)

    def take(self, jobs: Sequence[Job]) -> bool:
        """Take over a batch that is there already, if it is whole."""
        if not self.holds(jobs):
            return self._take_up(jobs)
        self._recall(jobs)
        return True

    def _recall(self, jobs: Sequence[Job]) -> None:
        """Take over a batch that the ledger holds; if another screen judged it, judge it anew."""
        label, known = jobs[0].label, self.known[jobs[0].label]
        batch = [known.judged[job.id] for job in jobs]
        if not all(known.stands(candidate, self.screen, self.decisions) for candidate, _ in batch):
            batch = self._judge(label, [candidate for candidate, _ in batch])
            self.judged_anew += len(batch)
        self.judged.setdefault(label, []).extend(batch)

    def _take_up(self, jobs: Sequence[Job]) -> bool:
        """Judge and record a batch that is whole on disk though the ledger does not know it."""
        found = found_whole(self.store, jobs)
        if found is None:
            return False
        self.judged.setdefault(jobs[0].label, []).extend(self._judge(jobs[0].label, found))
        self.taken_up += len(jobs)
        return True

    def finish(self, jobs: Sequence[Job], images: Sequence[GreyImage]) -> Sequence[Job]:
        """Harmonise, encode, write, screen and record one batch: the files first, then, all at once, their rows."""
        with ThreadPoolExecutor(min(8, cores())) as pool:
            batch = list(pool.map(self._write, jobs, images))
        write_sums(self.store, batch)
        sync_path(self.store)
        label = jobs[0].label
        judged = self._judge(label, batch)
        self.judged.setdefault(label, []).extend(judged)
        return jobs

    def _judge(self, label: str, batch: Sequence[Candidate]) -> list[Judged]:
        known = self.known[label]
        accepted = [candidate for candidate, _ in (*known.made_elsewhere(), *self.usable(label))]
        return judge(batch, accepted, self.screen, known=known, collection=self.collection, ledger=self.ledger)

    def _write(self, job: Job, image: GreyImage) -> Candidate:
        width, height = job.output.size or image.shape[::-1]
        image = resize(image, width, height)
        if job.method.reference is not None:
            image = self.references.lend(image, job.method.reference)
        content = encode(image, job.output, make_xmp(job.label, job))
        path = self.store / f"{job.id}{job.output.extension}"
        return Candidate(job.label, path, keep(path, content), job)


def _run_round(
    desk: _Desk,
    rounds: Mapping[str, Sequence[range]],
    engine: Engine,
    make_generator: Callable[[], ImageGenerator],
    progress: FillProgress,
) -> None:
    """Make a round's batches; while one is encoded and recorded, the next is already being generated."""

    def pending() -> Iterator[Sequence[Job]]:
        for label, ranges in rounds.items():
            for indices in ranges:
                jobs = [desk.recipe.job(label, index) for index in indices]
                if not (desk.holds(jobs) or has_sums(desk.store, jobs)):
                    yield jobs
                    continue
                settle()  # the batches of a class are taken in order
                if desk.take(jobs):
                    progress.done += len(jobs)
                else:
                    yield jobs

    in_hand: list[Future[Sequence[Job]]] = []

    def settle() -> None:
        while in_hand:
            progress.add(in_hand.pop().result())

    with ThreadPoolExecutor(1) as clerk:
        for jobs, images in engine(make_generator, pending()):
            settle()
            in_hand.append(clerk.submit(desk.finish, jobs, images))
        settle()


def _report(desk: _Desk, plan: Plan, made: int) -> FillReport:
    wanted = {label: count for label, count in plan.deficits.items() if count}
    judged = {label: desk.judged.get(label, []) for label in wanted}
    accepted = {label: desk.usable(label)[:count] for label, count in wanted.items()}
    rejected = {label: _reasons(judged[label], desk.decisions) for label in wanted}
    waiting = {label: sum(v.decision == "review" for _, v in judged[label]) for label in wanted}
    short = {label: count - len(accepted[label]) for label, count in wanted.items() if len(accepted[label]) < count}
    return FillReport(
        accepted,
        made,
        {label: why for label, why in rejected.items() if why},
        short,
        {label: count for label, count in waiting.items() if count},
        judged,
        desk.judged_anew,
        desk.taken_up,
    )


def _reasons(judged: Sequence[Judged], decisions: Container[str]) -> dict[str, int]:
    """How often each reason was given for keeping an image out, without what it says of one image in brackets."""
    out = (v for _, v in judged if v.decision != "review" and not is_usable(v, decisions))
    return dict(Counter(reason.split(" (")[0] for v in out for reason in v.reasons))


def _sizes(train: pd.DataFrame) -> dict[str, list[tuple[int, int]]]:
    """Pixel sizes of each class's training images, about as often as they occur."""
    found = {}
    for label, rows in train.groupby("label"):
        some = rows.iloc[:: max(1, len(rows) // _SIZES)]
        found[str(label)] = [(int(w), int(h)) for w, h in zip(some["width"], some["height"], strict=True)]
    return found
