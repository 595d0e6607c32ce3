"""Telling real from synthetic: each answer is a reading, appended to those before, and never a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from analysis.review.cases import BlindedCase, listed_label
from analysis.review.pixels import alike
from analysis.review.sessions import Journal, Refusal
from balancer.files import sha256_of
from balancer.imaging.decode import read_grey
from balancer.jobs import BlindedAnswer


class BlindedDesk:
    """Real and synthetic images to tell apart; all of them are decoded at the start and sent alike."""

    blinded = True

    def __init__(self, journal: Journal, study: str, reader: str, cases: Sequence[BlindedCase]) -> None:
        """Take up a study where this reader left it.

        Raises:
            ImageError: an image cannot be decoded.
        """
        self.reader, self.study = reader, study
        self._journal = journal
        self._cases = {case.id: case for case in cases}
        self._pixels = dict(zip(self._cases, alike([read_grey(case.path) for case in cases]), strict=True))
        names = {case.key: case.id for case in cases}
        mine = (each for each in journal.ledger.readings(journal.collection) if each.reader == reader)
        known = {each.image: each.answer for each in mine if each.study == study}
        self._now: dict[str, Literal["real", "synthetic"] | None] = {
            names[key]: answer for key, answer in known.items() if key in names
        }
        self._before: list[tuple[str, Literal["real", "synthetic"] | None]] = []

    def overview(self) -> list[dict[str, Any]]:
        """What the page may know of every image, in order: nothing that tells where it comes from."""
        return [self._shown(case) for case in self._cases.values()]

    def pixels(self, name: str) -> bytes:
        """The grey values of an image: as many bytes for each.

        Raises:
            Refusal: there is no such image.
        """
        return self._pixels[self._case(name).id]

    def nearest(self, name: str) -> dict[str, Any]:
        """Nothing here: what looks most like it would tell.

        Raises:
            Refusal: always.
        """
        raise Refusal(404, "There is no such image.")

    def answer(self, name: str, fields: Mapping[str, Any]) -> None:
        """Append a reading: `answer`, real or synthetic.

        Raises:
            Refusal: there is no such image, or the answer is none.
            StateError: another command is writing.
        """
        case, answer = self._case(name), fields.get("answer")
        if answer not in ("real", "synthetic"):
            raise Refusal(400, "An answer is real or synthetic.")
        before = self._now.get(name)
        self._append(case, answer)
        self._before.append((name, before))

    def undo(self) -> dict[str, Any]:
        """Append what was answered before the last answer of this run; what the page shows of the image.

        Raises:
            Refusal: there is nothing to undo.
            StateError: another command is writing.
        """
        if not self._before:
            raise Refusal(409, "There is nothing to undo.")
        name, before = self._before[-1]
        self._append(self._cases[name], before)
        self._before.pop()
        return self._shown(self._cases[name])

    @property
    def answered(self) -> int:
        """How many images have an answer of this reader."""
        return sum(answer is not None for answer in self._now.values())

    def _shown(self, case: BlindedCase) -> dict[str, Any]:
        return {
            "id": case.id,
            "label": listed_label(case.label, self._journal.collection),
            "answer": self._now.get(case.id),
        }

    def _append(self, case: BlindedCase, answer: Literal["real", "synthetic"] | None) -> None:
        with self._journal.writing() as ledger:
            reading = BlindedAnswer(self.study, self.reader, case.key, case.truth, answer)
            ledger.add_reading(self._journal.collection, reading, case.sha256 or sha256_of(case.path))
            self._now[case.id] = answer

    def _case(self, name: str) -> BlindedCase:
        if name not in self._cases:
            raise Refusal(404, "There is no such image.")
        return self._cases[name]
