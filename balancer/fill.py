"""Pending jobs to judged candidates: generate, encode, keep safe, screen, top up."""

from __future__ import annotations

import hashlib
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Collection as Collection_
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from balancer.engines import Engine
from balancer.files import sha256_if_there, sync_path, write_whole
from balancer.generators import ImageGenerator
from balancer.images import GreyImage, Header, OutputFormat, common_format, encode, resize
from balancer.jobs import Candidate, GenerationConfig, Job, Method, Verdict, batch_ranges, job_seed
from balancer.ledger import Ledger
from balancer.plan import Plan
from balancer.prompts import TemplatePack, make_prompt
from balancer.scan import Collection
from balancer.split import Split
from balancer.xmp import make_xmp

_SIZES = 200  # sizes of a class to draw from, where no size is common

Judged = tuple[Candidate, Verdict]
USABLE = ("accept",)
"""Decisions that let an image into the balanced folder; "review" becomes one of them when a person has looked."""


class Screen(Protocol):
    """Judges a batch, given what is accepted of its class so far; a pure function of the two."""

    def __call__(self, batch: Sequence[Candidate], accepted: Sequence[Candidate]) -> Sequence[Verdict]:
        """Return one verdict a candidate."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """What files a collection has: their format and, where no pixel size is common, sizes of each class."""

    output: OutputFormat
    sizes: Mapping[str, Sequence[tuple[int, int]]]

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Look:
        """The look whose fields went through JSON."""
        sizes = {label: [(width, height) for width, height in pairs] for label, pairs in fields["sizes"].items()}
        return cls(OutputFormat.from_fields(fields["output"]), sizes)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides which images are made: with the same recipe, image `index` of a label is the same image."""

    packs: Mapping[str, TemplatePack]
    config: GenerationConfig
    look: Look
    seed: int = 0

    def job(self, label: str, index: int) -> Job:
        """The job of image `index` of `label`."""
        seed = job_seed(self.seed, label, index)
        prompt = make_prompt(self.packs[label], label, index, self.seed)
        size = self.look.output.size or random.Random(seed).choice(self._sizes(label))
        return Job(label, index, prompt, seed, self.config, Method(), replace(self.look.output, size=size))

    def _sizes(self, label: str) -> Sequence[tuple[int, int]]:
        """Sizes of the class's own images; of all images where it has none."""
        return self.look.sizes.get(label) or [size for sizes in self.look.sizes.values() for size in sizes]


@dataclass(frozen=True, slots=True)
class FillReport:
    """What came of a plan: the images to merge, how many were rejected and why, and classes that stay short.

    `review` counts the images that wait for a person; `judged` holds all, whatever was decided.
    """

    accepted: Mapping[str, Sequence[Judged]]
    made: int
    rejected: Mapping[str, Mapping[str, int]]
    short: Mapping[str, int]
    review: Mapping[str, int] = field(default_factory=dict)
    judged: Mapping[str, Sequence[Judged]] = field(default_factory=dict)


@dataclass(slots=True)
class FillProgress:
    """Where a run stands: `done` of `total` images are safe in the ledger, `made` of them by this run."""

    done: int = 0
    total: int = 0
    made: int = 0
    notify: Callable[[FillProgress], None] = field(default=lambda progress: None)

    def add(self, count: int) -> None:
        """Count a batch that is safe."""
        self.done += count
        self.made += count
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
    now, stored = measure_look(collection, split), ledger.setting(collection, "look")
    earlier = None if stored is None else Look.from_fields(stored)
    if earlier is not None and earlier.output.kind == now.output.kind and earlier.sizes.keys() == now.sizes.keys():
        return earlier
    if remember:
        ledger.save_setting(collection, "look", asdict(now))
    return now


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
    usable: Collection_[str] = USABLE,
    retries: int = 3,
    progress: FillProgress | None = None,
) -> FillReport:
    """Make and judge images until every deficit is covered by `usable` ones, or `retries` times as many were rejected.

    Batches that the ledger knows are not made again, so a run that was stopped goes on where it stopped and ends
    with the same images.

    Raises:
        GenerationError: the generator failed; what was finished before is kept.
    """
    store.mkdir(exist_ok=True)
    for leftover in store.glob(".tmp-*"):  # of a run that was killed
        leftover.unlink()
    progress = progress or FillProgress()
    known = {label: ledger.candidates(collection, label) for label, count in plan.deficits.items() if count}
    desk = _Desk(collection, recipe, ledger, store, screen, known, frozenset(usable))
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
    known: Mapping[str, Mapping[str, Judged]]
    decisions: frozenset[str]
    judged: dict[str, list[Judged]] = field(default_factory=dict)

    def next_batches(self, label: str, missing: int, deficit: int, retries: int) -> list[range]:
        """Batches after those already judged that may cover what is missing; none when `retries` is used up."""
        start, size = len(self.judged.get(label, [])), self.recipe.config.batch_size
        allowed = deficit * (1 + retries) - start
        return list(batch_ranges(min(missing, allowed), size, start)) if allowed > 0 else []

    def usable(self, label: str) -> list[Judged]:
        return [each for each in self.judged.get(label, []) if each[1].decision in self.decisions]

    def holds(self, jobs: Sequence[Job]) -> bool:
        """Whether the ledger holds a batch whole, and its files are as they were judged."""
        found = [self.known[jobs[0].label].get(job.id) for job in jobs]
        return all(each is not None and sha256_if_there(each[0].path) == each[0].sha256 for each in found)

    def recall(self, jobs: Sequence[Job]) -> None:
        """Take over a batch that the ledger holds; what could not be screened then, and must be, is screened now."""
        label = jobs[0].label
        held = [self.known[label][job.id] for job in jobs]
        if any(verdict.decision == "unscreened" for _, verdict in held) and "unscreened" not in self.decisions:
            held = self._judge_again(held)
        self.judged.setdefault(label, []).extend(held)

    def finish(self, jobs: Sequence[Job], images: Sequence[GreyImage]) -> int:
        """Encode, write, screen and record one batch: the files first, then, all at once, their rows."""
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            batch = list(pool.map(self._write, jobs, images))
        sync_path(self.store)
        label = jobs[0].label
        verdicts = self.screen(batch, [candidate for candidate, _ in self.usable(label)])
        judged = list(zip(batch, verdicts, strict=True))
        self.ledger.add_candidates(self.collection, judged)
        self.judged.setdefault(label, []).extend(judged)
        return len(jobs)

    def _judge_again(self, held: Sequence[Judged]) -> list[Judged]:
        batch = [candidate for candidate, _ in held]
        fresh = self.screen(batch, [candidate for candidate, _ in self.usable(batch[0].label)])
        judged = [
            old if old[1].decision != "unscreened" else (old[0], new) for old, new in zip(held, fresh, strict=True)
        ]
        with self.ledger.atomic():
            for (candidate, verdict), (_, before) in zip(judged, held, strict=True):
                if verdict != before and candidate.job is not None:
                    self.ledger.add_verdict(self.collection, candidate.job.id, verdict)
        return judged

    def _write(self, job: Job, image: GreyImage) -> Candidate:
        width, height = job.output.size or image.shape[::-1]
        content = encode(resize(image, width, height), job.output, make_xmp(job.label, job))
        path = self.store / f"{job.id}{job.output.extension}"
        write_whole(path, content)
        return Candidate(job.label, path, hashlib.sha256(content).hexdigest(), job)


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
                if desk.holds(jobs):
                    settle()  # the batches of a class are taken in order
                    desk.recall(jobs)
                    progress.done += len(jobs)
                else:
                    yield jobs

    in_hand: list[Future[int]] = []

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
    accepted = {label: desk.usable(label)[:count] for label, count in wanted.items()}
    judged = {label: tuple(desk.judged.get(label, [])) for label in wanted}
    rejected = {label: why for label in wanted if (why := _reasons(judged[label], desk.decisions))}
    short = {label: count - len(accepted[label]) for label, count in wanted.items() if len(accepted[label]) < count}
    waiting = {label: sum(v.decision == "review" for _, v in judged[label]) for label in wanted}
    return FillReport(accepted, made, rejected, short, {label: n for label, n in waiting.items() if n}, judged)


def _reasons(judged: Sequence[Judged], usable: Collection_[str]) -> dict[str, int]:
    """How often each reason was given; what a reason says in brackets is of one image alone."""
    out = (v for _, v in judged if v.decision not in (*usable, "review"))
    return dict(Counter(reason.split(" (")[0] for v in out for reason in v.reasons))


def _sizes(train: pd.DataFrame) -> dict[str, list[tuple[int, int]]]:
    """Pixel sizes of each class's training images, about as often as they occur."""
    found = {}
    for label, rows in train.groupby("label"):
        some = rows.iloc[:: max(1, len(rows) // _SIZES)]
        found[str(label)] = [(int(w), int(h)) for w, h in zip(some["width"], some["height"], strict=True)]
    return found
