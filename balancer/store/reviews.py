"""Blinded studies, and how often comparisons looked at the test part."""

from __future__ import annotations

from balancer.collection.scan import Collection
from balancer.jobs import BlindedAnswer
from balancer.store.collections import Collections
from balancer.store.connection import now
from balancer.store.review_log import ReviewRecord, write_down


class Reviews(Collections):
    """What the database holds of readers' answers and of openings of the test part."""

    def add_reading(self, collection: Collection, reading: BlindedAnswer, sha256: str) -> None:
        """Append an answer in a blinded study; a reader's latest one on an image of this content counts."""
        key, at = self._key(collection), now()
        with self.atomic():
            write_down(self._state.folder, ReviewRecord(key, reading.image, sha256, at, reading))
            self._insert_reading(key, reading, at)

    def readings(self, collection: Collection) -> list[BlindedAnswer]:
        """All answers in blinded studies, the earliest first."""
        columns = ("study", "reader", "image", "truth", "answer")
        rows = self._sound("readings", columns, "WHERE collection = ? ORDER BY rowid", (self._key(collection),))
        return [BlindedAnswer(*row) for row in rows]

    def add_opening(self, collection: Collection, split_sha256: str, comparison: str) -> None:
        """Remember that a comparison, named by a key of its own, looked at the test part; once for each key."""
        self._insert("openings", [(self._key(collection), split_sha256, comparison, now())], otherwise="IGNORE")

    def openings(self, collection: Collection, split_sha256: str) -> int:
        """How many different comparisons looked at the test part of a split."""
        where = "WHERE collection = ? AND split = ?"
        return len(self._sound("openings", ("comparison",), where, (self._key(collection), split_sha256)))

    def _insert_reading(self, key: str, reading: BlindedAnswer, at: str) -> None:
        row = (key, reading.study, reading.reader, reading.image, reading.truth, reading.answer, at)
        self._insert("readings", [row])
