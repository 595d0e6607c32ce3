"""Synthetic images in the database, with every verdict on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import intern

from balancer.collection.scan import Collection
from balancer.jobs import BlindedAnswer, Candidate, Verdict
from balancer.store import serialization
from balancer.store.collections import Collections
from balancer.store.connection import now, require_sound
from balancer.store.review_log import ReviewRecord, read_decisions, write_down
from balancer.store.reviews import Reviews

_LAST = """FROM candidates c JOIN verdicts v ON v.rowid = (
    SELECT max(rowid) FROM verdicts WHERE collection = c.collection AND candidate = c.id
) LEFT JOIN devices d ON d.collection = c.collection AND d.candidate = c.id WHERE c.collection = ? AND c.label = ?"""
"""The candidates of a class, each with the verdict that counts."""


class Candidates(Reviews, Collections):
    """What the database holds of synthetic images."""

    def add_candidates(
        self, collection: Collection, judged: Iterable[tuple[Candidate, Verdict | None]], judge: str | None = None
    ) -> None:
        """Record images, whose files are already safe on disk, with what `judge` says of them (default: the reviewer).

        Without a verdict the one on record stays.
        """
        key, pairs = self._key(collection), list(judged)
        with self.atomic():
            self._insert("candidates", (_row(key, candidate) for candidate, _ in pairs))
            self._insert("devices", ((key, each.id, each.device) for each, _ in pairs if each.device))
            for candidate, verdict in pairs:
                if verdict is not None:
                    self.add_verdict(collection, candidate.id, verdict, judge or verdict.reviewer)

    def add_verdict(
        self, collection: Collection, candidate_id: str, verdict: Verdict, judge: str | None = None
    ) -> None:
        """Append a verdict; the latest one counts. `judge` names the screen; `None`: a person's, kept beside it too."""
        at, key = now(), self._key(collection)
        with self.atomic():
            if judge is None:
                self._write_down(key, candidate_id, verdict, at)
            self._insert_verdict(key, candidate_id, verdict, at, judge)

    def decisions(self, collection: Collection) -> Iterator[ReviewRecord]:
        """What people said of its images, as it is written down beside the database, the earliest first.

        What was said of a collection that the database does not know is among it: the database may be a new one, and
        nothing counts but for the very bytes that it was said of.
        """
        key, known = self._key(collection), {key for (key,) in self._rows("SELECT id FROM collections")}
        kept = read_decisions(self._state.folder)
        return (each for each in kept if each is not None and (each.collection == key or each.collection not in known))

    def replay(self, collection: Collection, decisions: Iterable[ReviewRecord]) -> None:
        """Append what is written down beside the database, with its own times."""
        key = self._key(collection)
        with self.atomic():
            for each in decisions:
                if isinstance(each.said, BlindedAnswer):
                    self._insert_reading(key, each.said, each.at)
                else:
                    judge = each.said.reviewer if each.by_screen else None
                    self._insert_verdict(key, each.image, each.said, each.at, judge)

    def candidates(self, collection: Collection, label: str) -> dict[str, tuple[Candidate, Verdict]]:
        """All candidates of a class by id, each with the verdict that counts; those made elsewhere have an origin."""
        columns = "c.id, c.file, c.sha256, c.job, c.origin, c.pixels, d.device"
        columns = f"{columns}, v.decision, v.scores, v.reasons, v.reviewer"
        tables = ("candidates", "c."), ("verdicts", "v."), ("devices", "d.")
        sound = " AND ".join(self._is_sound(*each) for each in tables)
        text = f"SELECT {columns}, {sound} {_LAST} ORDER BY c.id"
        found = {}
        for rows in self._chunks(text, (self._key(collection), label)):
            for row in require_sound("candidates and verdicts", rows):
                found[row[0]] = self._candidate(label, *row[:7]), serialization.verdict_from(*row[7:])
        return found

    def decision_counts(self, collection: Collection, label: str) -> dict[str, int]:
        """How many candidates of a class have each decision, without reading what they are."""
        text = f"SELECT v.decision, count(*), min({self._is_sound('verdicts', 'v.')}) {_LAST} GROUP BY v.decision"
        rows = self._rows(text, (self._key(collection), label))
        return {str(decision): count for decision, count in require_sound("verdicts", list(rows))}

    def candidate_labels(self, collection: Collection) -> list[str]:
        """The classes, or label sets, that any candidate has, sorted."""
        text = "SELECT DISTINCT label FROM candidates WHERE collection = ? ORDER BY label"
        return [str(label) for (label,) in self._rows(text, (self._key(collection),))]

    def judges(self, collection: Collection, label: str) -> dict[str, str | None]:
        """Which screen gave the verdict that counts, by candidate; `None`: a person.

        A person who takes a verdict back gives the word to the screen again.
        """
        text = f"""
            SELECT c.id, coalesce(v.judge, (
                SELECT judge FROM verdicts WHERE collection = c.collection AND candidate = c.id
                AND reviewer = v.reviewer AND judge IS NOT NULL ORDER BY rowid DESC LIMIT 1
            )) {_LAST}
        """
        return dict(self._rows(text, (self._key(collection), label)))

    def history(self, collection: Collection, job_id: str) -> list[tuple[str, Verdict]]:
        """All verdicts on a candidate, each with its time (ISO 8601, UTC), the earliest first; the last one counts."""
        columns = ("at", "decision", "scores", "reasons", "reviewer")
        of = "WHERE collection = ? AND candidate = ? ORDER BY rowid"
        rows = self._sound("verdicts", columns, of, (self._key(collection), job_id))
        return [(at, serialization.verdict_from(*verdict)) for at, *verdict in rows]

    def require_sound(self) -> None:
        """Read every row, and what is written in it as text of a certain form.

        Raises:
            DamagedLedger: one is not as it was written, or a job is not the one that its candidate is named after.
        """
        super().require_sound()
        store = self._state.candidates
        for key, label, job, origin in self._rows("SELECT id, label, job, origin FROM candidates"):
            serialization.job_from(key, label, job)
            serialization.origin_from(origin, store)
        for verdict in self._rows("SELECT decision, scores, reasons, reviewer FROM verdicts"):
            serialization.verdict_from(*verdict)
        serialization.require_parts(self._rows("SELECT DISTINCT part FROM split_parts"))
        texts = "SELECT value FROM settings UNION ALL SELECT paths FROM findings"
        for (text,) in self._rows(f"{texts} UNION ALL SELECT coalesce(patients_table, '{{}}') FROM collections"):
            serialization.value_from(text)

    def _candidate(
        self, label: str, key: str, file: str, sha256: str, job: str | None, origin: str | None, *more: str | None
    ) -> Candidate:
        store = self._state.candidates
        made, elsewhere = serialization.job_from(key, label, job), serialization.origin_from(origin, store)
        pixels, device = (each or "" for each in more)
        return Candidate(label, store / file, sha256, made, elsewhere, pixels, intern(device))

    def _write_down(self, key: str, candidate: str, verdict: Verdict, at: str) -> None:
        """Beside the database; the screen's own words are those of a person who takes theirs back."""
        known = self._first("SELECT sha256 FROM candidates WHERE collection = ? AND id = ?", (key, candidate))
        if known is None:
            return
        text = "SELECT 1 FROM verdicts WHERE collection = ? AND candidate = ? AND reviewer = ? AND judge IS NOT NULL"
        by_screen = self._first(text, (key, candidate, verdict.reviewer)) is not None
        write_down(self._state.folder, ReviewRecord(key, candidate, known[0], at, verdict, by_screen))

    def _insert_verdict(self, key: str, candidate: str, verdict: Verdict, at: str, judge: str | None) -> None:
        self._insert("verdicts", [(key, candidate, *serialization.verdict_to_row(verdict), at, judge)])


def _row(key: str, candidate: Candidate) -> tuple[str | None, ...]:
    job, origin = candidate.job and candidate.job.to_json(), serialization.origin_to_json(candidate.origin)
    name, pixels = candidate.path.name, candidate.pixels or None
    return (key, candidate.id, candidate.label, name, candidate.sha256, job, origin, pixels)  # type: ignore[return-value]
