"""Accepting and rejecting: each answer is a verdict of its reader, appended to those before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from analysis.review.cases import ReviewCase, is_there, listed_label, opaque_id
from analysis.review.nearest_real import NearestReal
from analysis.review.pixels import to_bytes
from analysis.review.sessions import Journal, Refusal
from balancer.collection.label_sets import rarest_in
from balancer.imaging.decode import read_grey
from balancer.jobs import Candidate, Verdict

SAID: Mapping[str, str] = {
    "accept": "accepted by a reader",
    "reject": "rejected by a reader",
    "review": "a reader was unsure",
}
"""The first reason of a reader's verdict, by decision."""
QUESTIONS = ("realistic", "shows_label")


class ReviewDesk:
    """Candidates to accept or reject."""

    blinded = False

    def __init__(
        self, journal: Journal, reader: str, cases: Sequence[ReviewCase], nearest: NearestReal, *, tell: bool
    ) -> None:
        """`tell` shows what the gates said, which would sway the reader of a random sample."""
        self.reader = reader
        self._journal = journal
        self._cases = {case.id: case for case in cases}
        self._nearest, self._tell = nearest, tell
        self._reals: dict[str, Path] = {}
        self._now: dict[str, Verdict] = {}  # this run's answers
        self._before: list[tuple[str, Verdict, Verdict | None]] = []  # the ledger's verdict, and this run's

    def overview(self) -> list[dict[str, Any]]:
        """What the page may know of every image, in order."""
        return [self._shown(case) for case in self._cases.values()]

    def pixels(self, name: str) -> bytes:
        """The grey values of a candidate, or of a real image that `nearest` named.

        Raises:
            Refusal: there is no such image, or its file is gone or changed.
            ImageError: it cannot be decoded.
        """
        if name in self._reals:
            return to_bytes(read_grey(self._reals[name]))
        candidate = self._case(name).candidate
        if not is_there(candidate.path, candidate.sha256):
            raise Refusal(
                410, "This image is missing or changed since it was screened: balance fill generates it again."
            )
        return to_bytes(read_grey(candidate.path))

    def nearest(self, name: str) -> dict[str, Any]:
        """The real image that screening found nearest, else that which looks most like it, under a name of its own.

        Raises:
            Refusal: there is no such candidate, or no real image.
            ImageError: an image cannot be decoded.
        """
        case = self._case(name)
        named = case.verdict.scores.get("copy_nearest")
        found = self._nearest(case.candidate.path, case.candidate.label, named if isinstance(named, str) else None)
        if found is None:
            raise Refusal(404, "There is no real training image to compare with.")
        known = next((each for each, path in self._reals.items() if path == found.path), None)
        name = known or opaque_id()
        self._reals[name] = found.path
        label = listed_label(found.label, self._journal.collection)
        return {"id": name, "label": label, "file": found.name, "correlation": round(found.correlation, 3)}

    def answer(self, name: str, fields: Mapping[str, Any]) -> None:
        """Append a verdict: `decision`, and the two questions where they were answered (true or false).

        Raises:
            Refusal: there is no such image, or the answer is none.
            StateError: another command is writing.
        """
        case = self._case(name)
        decision = fields.get("decision")
        if decision not in ("accept", "reject", "review") or not _are_answers(fields):
            raise Refusal(400, "An answer is accept, reject or review, and yes or no to the questions.")
        with self._journal.writing() as ledger:
            earlier = ledger.history(self._journal.collection, case.key)[-1][1]
            verdict = _verdict(earlier, decision, fields, self.reader)
            ledger.add_verdict(self._journal.collection, case.key, verdict)
            self._before.append((name, earlier, self._now.get(name)))
            self._now[name] = verdict

    def undo(self) -> dict[str, Any]:
        """Append the verdict that was before the last answer of this run; what the page shows of the image.

        Raises:
            Refusal: there is nothing to undo, or somebody else has judged the image since.
            StateError: another command is writing.
        """
        with self._journal.writing() as ledger:
            if not self._before:
                raise Refusal(409, "There is nothing to undo.")
            name, earlier, mine = self._before[-1]
            key = self._cases[name].key
            latest = ledger.history(self._journal.collection, key)[-1][1]
            if _said(latest) != _said(self._now[name]):
                raise Refusal(409, f"{latest.reviewer} has judged this image in the meantime: judge it again instead.")
            ledger.add_verdict(self._journal.collection, key, earlier)
            self._before.pop()
            del self._now[name]
            if mine:
                self._now[name] = mine
        return self._shown(self._cases[name])

    def counts(self) -> Counter[str]:
        """This run's answers by decision."""
        return Counter(verdict.decision for verdict in self._now.values())

    def taken_out(self) -> set[str]:
        """Hashes of the files that this run did not accept."""
        return {self._cases[name].candidate.sha256 for name, each in self._now.items() if each.decision != "accept"}

    def _case(self, name: str) -> ReviewCase:
        if name not in self._cases:
            raise Refusal(404, "There is no such image.")
        return self._cases[name]

    def _wanted(self, candidate: Candidate) -> str:
        """The finding that the second question asks for; "" where an image has one class."""
        sets = self._journal.collection.label_sets
        return "" if sets is None else candidate.wanted or rarest_in(candidate.label, sets.counts())

    def _shown(self, case: ReviewCase) -> dict[str, Any]:
        given = self._now.get(case.id)
        return {
            **{"id": case.id, "label": listed_label(case.candidate.label, self._journal.collection)},
            "asked": self._wanted(case.candidate),
            "prompt": case.candidate.job.prompt.text if case.candidate.job else "",
            "reasons": list(case.verdict.reasons) if self._tell else [],
            "answer": given.decision if given else None,
            **{each: _yes_no(given, each) for each in QUESTIONS},
        }


def _verdict(
    before: Verdict, decision: Literal["accept", "reject", "review"], fields: Mapping[str, Any], reader: str
) -> Verdict:
    """The reader's verdict; what the gates measured and said stays with it."""
    measured = {name: value for name, value in before.scores.items() if name not in QUESTIONS}
    answered = {name: float(fields[name]) for name in QUESTIONS if fields.get(name) is not None}
    said = tuple(reason for reason in before.reasons if reason not in SAID.values())
    return Verdict(decision, {**measured, **answered}, (SAID[decision], *said), reader)


def _said(verdict: Verdict) -> tuple[object, ...]:
    """What identifies a verdict; scores may hold what equals nothing, not even itself."""
    return verdict.decision, verdict.reasons, verdict.reviewer


def _are_answers(fields: Mapping[str, Any]) -> bool:
    return all(fields.get(name) is None or isinstance(fields[name], bool) for name in QUESTIONS)


def _yes_no(verdict: Verdict | None, question: str) -> bool | None:
    found = verdict.scores.get(question) if verdict else None
    return None if found is None else bool(found)
