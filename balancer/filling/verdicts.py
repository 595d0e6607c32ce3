"""What happens to every synthetic image, whoever made it: stored, screened, and its verdict remembered."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, cast, runtime_checkable

from balancer.collection.label_sets import findings_in
from balancer.collection.scan import Collection
from balancer.files import write_whole
from balancer.filling.acceptance import NO_SCREEN, is_accepted
from balancer.jobs import Candidate, Verdict
from balancer.progress import SILENT, Progress
from balancer.splits.split import Split
from balancer.store.database import Ledger
from balancer.store.review_log import ReviewRecord

Judged = tuple[Candidate, Verdict]


class Screen(Protocol):
    """Judges a batch, given what is accepted of its class so far; a pure function of the two."""

    @property
    def name(self) -> str:
        """Who judges. What another screen has judged is judged anew, but for what a person decided."""
        ...

    def __call__(self, batch: Sequence[Candidate], accepted: Sequence[Candidate]) -> Sequence[Verdict]:
        """Return one verdict a candidate."""
        ...


@runtime_checkable
class JudgesModel(Protocol):
    """A screen that also tells from its first images whether a model draws what the collection shows at all."""

    def why_unfit(self, first: Sequence[Candidate]) -> str:
        """Return in words why it does not; "" unless that is clear beyond doubt."""
        ...


@dataclass(frozen=True, slots=True)
class ScreeningSummary:
    """What a screen says of all images of a run together.

    `notes` say how it was fitted, `warning` that the generator repeats its training images; the dataset card has both.
    `unscreened` is why copies of patients could not be looked for ("" where they could). `diversity` is, of classes in
    which images contradict their label, the mean embedding distance of all images and of those that do not.
    """

    notes: Sequence[str] = ()
    warning: str = ""
    unscreened: str = ""
    diversity: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def stamps(self) -> tuple[str, ...]:
        """What the dataset card must say."""
        return (*filter(None, (self.warning,)), *self.notes)


class FittedScreen(Screen, Protocol):
    """A screen that learned what the real images of a collection look like."""

    def summary(self, judged: Mapping[str, Sequence[Judged]]) -> ScreeningSummary:
        """Return what is to be said of all judged images, by class."""
        ...


class ScreenSource(Protocol):
    """Where a screen comes from: `analysis.fit_screen(workspace)`, or `NoScreen()`.

    `overrides` are the settings `no_screen` and `accept_unscreened` that it stands for, as far as they are true.
    """

    @property
    def overrides(self) -> Mapping[str, bool]:
        """The settings by which another process finds the same."""
        ...

    def require(self, collection: Collection, progress: Progress) -> None:
        """Refuse before the first image what could only be refused after the last.

        Raises:
            ScreenError: the images cannot be screened, and the user has not said that they need not be.
        """
        ...

    def fit(
        self,
        collection: Collection,
        split: Split,
        *,
        exposed: frozenset[str],
        elsewhere: Mapping[str, Path],
        progress: Progress,
    ) -> FittedScreen:
        """Fit a screen to the training images; `exposed` are the SHA-256 of all that the generator learned from.

        `elsewhere` are files outside the collection among these, by their hashes.
        """
        ...


@dataclass(frozen=True, slots=True)
class NoScreen:
    """No screening but whether a file can be read; every verdict says so, with the `reason`.

    >>> NoScreen("pilot").overrides
    {'no_screen': True}
    """

    reason: str = "--no-screen"
    name: ClassVar[str] = NO_SCREEN

    @property
    def overrides(self) -> Mapping[str, bool]:
        """The setting by which another process finds the same."""
        return {"no_screen": True}

    def require(self, collection: Collection, progress: Progress) -> None:
        """Say that nothing is screened."""
        progress.message(f"Screening: none (override: {self.reason}). Provenance and dataset card record it.")

    def fit(
        self,
        collection: Collection,
        split: Split,
        *,
        exposed: frozenset[str] = frozenset(),
        elsewhere: Mapping[str, Path] = {},
        progress: Progress = SILENT,
    ) -> NoScreen:
        """Return itself: there is nothing to fit."""
        return self

    def __call__(self, batch: Sequence[Candidate], accepted: Sequence[Candidate]) -> list[Verdict]:
        """Return one verdict a candidate."""
        return [self._judge(candidate) for candidate in batch]

    def summary(self, judged: Mapping[str, Sequence[Judged]]) -> ScreeningSummary:
        """Return that there is nothing to say."""
        return ScreeningSummary()

    def _judge(self, candidate: Candidate) -> Verdict:
        from balancer.errors import ImageError
        from balancer.imaging.decode import raise_if_disk_failed, read_grey

        try:
            read_grey(candidate.path)
        except ImageError as error:
            raise_if_disk_failed(error)
            return Verdict("reject", {}, (f"unreadable: {error.found}",), self.name)
        return Verdict("unscreened", {}, (f"screening: none (override: {self.reason})",), self.name)


@dataclass(frozen=True, slots=True)
class LabelRecords:
    """What the database holds of a class: candidates with the verdict that counts, and who gave it (`None`: a person).

    `kept` is what people said of images that the database does not know, since it is a new one.
    """

    judged: Mapping[str, Judged]
    judges: Mapping[str, str | None]
    kept: Mapping[str, Sequence[ReviewRecord]] = field(default_factory=dict)

    def with_judged(self, judged: Iterable[Judged]) -> LabelRecords:
        """The records with more verdicts added, ordered by id as in the database."""
        known = {**self.judged, **{each[0].id: each for each in judged}}
        return LabelRecords({key: known[key] for key in sorted(known)}, self.judges, self.kept)

    def is_current(self, candidate: Candidate, screen: Screen) -> bool:
        """Whether the verdict on record still counts: a person's, or the same screen's.

        What it could not screen then, and must, it is to screen now.
        """
        key = candidate.id
        if key not in self.judged or self.judges[key] not in (None, name_of(screen)):
            return False
        verdict = self.judged[key][1]
        return self.judges[key] is None or verdict.decision != "unscreened" or is_accepted(verdict)

    def human_verdict(self, candidate: Candidate) -> Verdict | None:
        """What a person decided about this very file."""
        if kept := self.unreplayed(candidate):
            return cast(Verdict, kept[-1].said)
        earlier = self.judged.get(candidate.id)
        if earlier is None or self.judges[candidate.id] is not None or earlier[0].sha256 != candidate.sha256:
            return None
        return earlier[1]

    def unreplayed(self, candidate: Candidate) -> list[ReviewRecord]:
        """What people said of this very file, which the database does not know; nothing where they took it back."""
        found = [each for each in self.kept.get(candidate.id, ()) if each.sha256 == candidate.sha256]
        return [] if found and found[-1].by_screen else found

    @property
    def external(self) -> list[Judged]:
        """All images of other generators, in order of their ids."""
        return [each for each in self.judged.values() if each[0].job is None]

    @property
    def external_accepted(self) -> list[Judged]:
        """The accepted ones of these."""
        return [each for each in self.external if is_accepted(each[1])]


def load_records(ledger: Ledger, collection: Collection, more: Iterable[str] = ()) -> dict[str, LabelRecords]:
    """What the database holds of every class: each candidate is read and hashed, so load it once and hand it on.

    `more` are label sets that no real image has, and that have no candidate yet.
    """
    decisions = [each for each in ledger.decisions(collection) if isinstance(each.said, Verdict)]
    found = {}
    for label in dict.fromkeys((*judged_labels(ledger, collection), *more)):
        judged, kept = ledger.candidates(collection, label), defaultdict(list)
        for each in decisions:
            if each.image not in judged:
                kept[each.image].append(each)
        found[label] = LabelRecords(judged, ledger.judges(collection, label), kept)
    return found


def judged_labels(ledger: Ledger, collection: Collection) -> list[str]:
    """The classes that may have candidates; of images with several findings, their sets and those of candidates."""
    if not collection.is_multi_label:
        return collection.classes
    known = {*collection.labels}
    made = (name for name in ledger.candidate_labels(collection) if known.issuperset(findings_in(name)))
    return list(dict.fromkeys((*collection.classes, *made)))


def store_bytes(path: Path, content: bytes) -> str:
    """Write a file whole or not at all; its SHA-256."""
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def screen_and_record(
    batch: Sequence[Candidate],
    accepted: Sequence[Candidate],
    screen: Screen,
    *,
    records: LabelRecords,
    collection: Collection,
    ledger: Ledger | None,
) -> list[Judged]:
    """Judge a batch whose files are safe on disk and record all of it at once; what a person decided stays.

    Without a ledger nothing is recorded.
    """
    persons = [records.human_verdict(candidate) for candidate in batch]
    verdicts = screen(batch, accepted)
    if ledger is not None:
        stays = [person is not None and each.id in records.judged for each, person in zip(batch, persons, strict=True)]
        new = [None if stay else verdict for stay, verdict in zip(stays, verdicts, strict=True)]
        with ledger.atomic():
            ledger.add_candidates(collection, zip(batch, new, strict=True), name_of(screen))
            ledger.replay(collection, (each for candidate in batch for each in records.unreplayed(candidate)))
    found = [person or verdict for person, verdict in zip(persons, verdicts, strict=True)]
    return list(zip(batch, found, strict=True))


def name_of(screen: Screen) -> str:
    """Who judges; a plain function may do so too."""
    return str(getattr(screen, "name", None) or getattr(screen, "__name__", type(screen).__name__))
