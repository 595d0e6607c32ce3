"""What happens to every synthetic image, whoever made it: kept safe, judged, and its verdict remembered."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from balancer.collection.scan import Collection
from balancer.files import write_whole
from balancer.jobs import Candidate, Verdict
from balancer.store.database import Ledger
from balancer.store.review_log import Decision

Judged = tuple[Candidate, Verdict]
USABLE = ("accept",)
"""Decisions that let an image into the balanced folder; "review" becomes one of them when a person has looked."""
NO_SCREEN, BY_WORD, TOO_FEW = "no screen", "user's word", "too few patients"
"""Who lets an unscreened image in: the user, who wants no screening at all, or takes what cannot be screened; or that
patients are known, but too few for a threshold, of which the user is warned."""


class Screen(Protocol):
    """Judges a batch, given what is accepted of its class so far; a pure function of the two."""

    @property
    def name(self) -> str:
        """Who judges. What another screen has judged is judged anew, but for what a person decided."""
        ...

    def __call__(self, batch: Sequence[Candidate], accepted: Sequence[Candidate]) -> Sequence[Verdict]:
        """Return one verdict a candidate."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger holds of a class: candidates with the verdict that counts, and who gave it (`None`: a person).

    `kept` is what people said of images that the ledger does not know, since it is a new one.
    """

    judged: Mapping[str, Judged]
    judges: Mapping[str, str | None]
    kept: Mapping[str, Sequence[Decision]] = field(default_factory=dict)

    @classmethod
    def of(cls, ledger: Ledger, collection: Collection, label: str) -> Known:
        """All candidates of a class, by id."""
        judged, kept = ledger.candidates(collection, label), defaultdict(list)
        for each in ledger.decisions(collection):
            if each.image not in judged and isinstance(each.said, Verdict):
                kept[each.image].append(each)
        return cls(judged, ledger.judges(collection, label), kept)

    def stands(self, candidate: Candidate, screen: Screen, decisions: Container[str] = USABLE) -> bool:
        """Whether the verdict on record is still the one to go by: a person's, or the same screen's.

        What it could not screen then, and must, it is to screen now.
        """
        key = candidate.id
        if key not in self.judged or self.judges[key] not in (None, name_of(screen)):
            return False
        verdict = self.judged[key][1]
        return self.judges[key] is None or verdict.decision != "unscreened" or is_usable(verdict, decisions)

    def by_person(self, candidate: Candidate) -> Verdict | None:
        """What a person decided about just this image."""
        if kept := self.kept_of(candidate):
            return cast(Verdict, kept[-1].said)
        earlier = self.judged.get(candidate.id)
        if earlier is None or self.judges[candidate.id] is not None or earlier[0].sha256 != candidate.sha256:
            return None
        return earlier[1]

    def kept_of(self, candidate: Candidate) -> list[Decision]:
        """What people said of just this image, which the ledger does not know; nothing where they took it back."""
        found = [each for each in self.kept.get(candidate.id, ()) if each.sha256 == candidate.sha256]
        return [] if found and found[-1].by_screen else found

    def made_elsewhere(self) -> list[Judged]:
        """Usable images of another generator, in order of their ids."""
        return [each for each in self.judged.values() if each[0].job is None and is_usable(each[1])]


def keep(path: Path, content: bytes) -> str:
    """Put an image into the store, whole; its SHA-256."""
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def judge(
    batch: Sequence[Candidate],
    accepted: Sequence[Candidate],
    screen: Screen,
    *,
    known: Known,
    collection: Collection,
    ledger: Ledger | None,
) -> list[Judged]:
    """Judge a batch whose files are safe on disk and record all of it at once; what a person decided stands.

    Without a ledger nothing is recorded.
    """
    persons = [known.by_person(candidate) for candidate in batch]
    verdicts = screen(batch, accepted)
    if ledger is not None:
        stands = [person is not None and each.id in known.judged for each, person in zip(batch, persons, strict=True)]
        said = [None if stand else verdict for stand, verdict in zip(stands, verdicts, strict=True)]
        with ledger.atomic():
            ledger.add_candidates(collection, zip(batch, said, strict=True), name_of(screen))
            ledger.take_up(collection, (each for candidate in batch for each in known.kept_of(candidate)))
    found = [person or verdict for person, verdict in zip(persons, verdicts, strict=True)]
    return list(zip(batch, found, strict=True))


def is_usable(verdict: Verdict, decisions: Container[str] = USABLE) -> bool:
    """Whether an image may be merged: by what was decided; where nothing could be, by the user's word or a warning.

    >>> is_usable(Verdict("unscreened", {}, (), NO_SCREEN), ["accept"])
    True
    """
    return verdict.decision in decisions or (
        verdict.decision == "unscreened" and verdict.reviewer in (NO_SCREEN, BY_WORD, TOO_FEW)
    )


def name_of(screen: Screen) -> str:
    """Who judges; a plain function may do so too."""
    return str(getattr(screen, "name", None) or getattr(screen, "__name__", type(screen).__name__))
