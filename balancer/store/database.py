"""The memory of everything: collections, splits, candidates, verdicts, adapters. Only this module speaks SQL."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd

from balancer.collection.findings import Finding
from balancer.collection.image_stats import Contents
from balancer.collection.listed import COLUMNS
from balancer.collection.scan import Collection
from balancer.errors import StateError
from balancer.jobs import Candidate, Reading, Verdict
from balancer.splits.split import Split
from balancer.store import serialization
from balancer.store.migrations import MIGRATIONS
from balancer.store.review_log import Decision, read_decisions, write_down
from balancer.store.state_dir import State

_DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)  # its messages quote what is damaged
_COLLECTION = "id, root, patient_pattern, patients_table, source"
_COLUMNS = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"


class Ledger:
    """The state folder's database; use it in a `with` block.

    Raises:
        DamagedLedger: it is not as it was written: the structure is looked at whenever it is opened, which takes a
            fifth of a second for a million images; contents, when they are read.
        StateError: it cannot be read or written.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        serialization.require_not_emptied(state)
        try:
            self._db = sqlite3.connect(state.ledger, isolation_level=None, check_same_thread=False)
        except _DAMAGE as error:
            raise _failed(error) from error
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._require_structure()
            self._migrate()
            self._require_tables()
        except _DAMAGE as error:
            self._db.close()
            raise _failed(error) from error
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        if isinstance(error, _DAMAGE):
            raise _failed(error) from error

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All writes of the block, or none; blocks nest."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def require_sound(self) -> None:
        """Read all that is written as text of a certain form, as other methods would.

        Raises:
            DamagedLedger: something cannot be read, or a job is not the one that its candidate is named after.
        """
        for key, label, job, origin in self._db.execute("SELECT id, label, job, origin FROM candidates"):
            serialization.job_from(key, label, job)
            serialization.origin_from(origin, self._state.candidates)
        for verdict in self._db.execute("SELECT decision, scores, reasons, reviewer FROM verdicts"):
            serialization.verdict_from(*verdict)
        serialization.require_parts(self._db.execute("SELECT DISTINCT part FROM split_parts"))
        texts = "SELECT value FROM settings UNION ALL SELECT paths FROM findings"
        for (text,) in self._db.execute(f"{texts} UNION ALL SELECT coalesce(patients_table, '{{}}') FROM collections"):
            serialization.value_from(text)

    def save_collection(self, collection: Collection) -> None:
        """Remember a scanned collection; it becomes the current one."""
        key, place = self._key(collection), self._state.portable
        table_of_patients = serialization.table_to_json(collection.table, place)
        source = serialization.source_to_json(collection.source, place)
        table = collection.images.astype(object).where(collection.images.notna(), None)
        rows = zip(table.index, *(table[name] for name in COLUMNS), strict=True)
        findings = ((key, *serialization.finding_to_row(finding)) for finding in collection.findings)
        with self.atomic():
            for name in ("images", "findings"):
                self._db.execute(f"DELETE FROM {name} WHERE collection = ?", (key,))
            self._db.execute(
                f"INSERT OR REPLACE INTO collections ({_COLLECTION}, scanned_at) VALUES (?, ?, ?, ?, ?, ?)",
                (key, place(collection.root), collection.patient_pattern, table_of_patients, source, _now()),
            )
            places = ", ".join("?" * (len(COLUMNS) + 2))
            self._db.executemany(f"INSERT INTO images VALUES ({places})", ((key, *row) for row in rows))
            self._db.executemany("INSERT INTO findings VALUES (?, ?, ?, ?, ?)", findings)

    def make_current(self, collection: Collection) -> None:
        """Remember that a collection that is as it was saved was scanned again; it becomes the current one."""
        with self.atomic():
            row = (_now(), self._key(collection))
            self._db.execute("UPDATE collections SET scanned_at = ? WHERE id = ?", row)

    def load_collection(self, root: Path | None = None) -> Collection | None:
        """The collection at `root`, by default the one scanned last; `None` when there is none."""
        where, values = ("", ()) if root is None else ("WHERE id = ?", (self._key_of(root),))
        query = f"SELECT {_COLLECTION} FROM collections {where} ORDER BY scanned_at DESC, rowid DESC LIMIT 1"
        found = self._db.execute(query, values).fetchone()
        if found is None:
            return None
        key, place, pattern, reference, source = found
        at = self._state.place
        table, origin = serialization.table_from(reference, at), serialization.source_from(source, at)
        return Collection(at(place), self._images(key), self._findings(key), pattern, table, origin)

    def roots(self) -> list[Path]:
        """Where the collections are, the one scanned last at the end."""
        rows = self._db.execute("SELECT root FROM collections ORDER BY scanned_at, rowid")
        return [self._state.place(root) for (root,) in rows]

    def save_hashes(self, collection: Collection) -> None:
        """Remember content hashes that were found since the scan."""
        known = collection.images["sha256"].dropna()
        key = self._key(collection)
        rows = ((sha256, key, path) for path, sha256 in known.items())
        with self.atomic():
            self._db.executemany("UPDATE images SET sha256 = ? WHERE collection = ? AND path = ?", rows)

    def save_contents(self, collection: Collection, contents: Mapping[str, Contents]) -> None:
        """Remember what is inside the images of a collection, in place of what was known of it."""
        with self.atomic():
            self._db.execute("DELETE FROM contents WHERE collection = ?", (self._key(collection),))
            self.add_contents(collection, contents)

    def add_contents(self, collection: Collection, contents: Mapping[str, Contents]) -> None:
        """Remember what is inside some more images of a collection."""
        key, read = self._key(collection), attrgetter(*serialization.CONTENTS)
        with self.atomic():
            places = ", ".join("?" * (len(serialization.CONTENTS) + 2))
            rows = ((key, path, *read(each)) for path, each in contents.items())
            self._db.executemany(f"INSERT OR REPLACE INTO contents VALUES ({places})", rows)

    def load_contents(self, root: Path, *, faults: bool = False) -> dict[str, Contents]:
        """What is known of the inside of the images below `root`; with `faults`, of those that could not be decoded."""
        where = "AND fault IS NOT NULL" if faults else ""
        query = f"SELECT path, {', '.join(serialization.CONTENTS)} FROM contents WHERE collection = ? {where}"
        rows = self._db.execute(query, (self._key_of(root),))
        return {path: serialization.contents_from(row) for path, *row in rows}

    def save_split(self, collection: Collection, split: Split) -> None:
        """Remember where each image belongs."""
        key = self._key(collection)
        with self.atomic():
            self._db.execute("DELETE FROM split_parts WHERE collection = ?", (key,))
            self._db.execute("INSERT OR REPLACE INTO splits VALUES (?, ?, ?)", (key, split.origin, split.seed))
            folds = {path: int(fold) for path, fold in split.folds.items()}
            rows = ((key, path, part, folds.get(path)) for path, part in split.parts.items())
            self._db.executemany("INSERT INTO split_parts (collection, path, part, fold) VALUES (?, ?, ?, ?)", rows)

    def load_split(self, collection: Collection) -> Split | None:
        """The stored split of a collection."""
        key = self._key(collection)
        found = self._db.execute("SELECT origin, seed FROM splits WHERE collection = ?", (key,)).fetchone()
        if found is None:
            return None
        origin, seed = found
        query = "SELECT path, part, fold FROM split_parts WHERE collection = ? ORDER BY path"
        return serialization.split_from(self._db.execute(query, (key,)).fetchall(), origin, seed)

    def add_candidates(
        self, collection: Collection, judged: Iterable[tuple[Candidate, Verdict | None]], judge: str | None = None
    ) -> None:
        """Record images, whose files are already safe on disk, with what `judge` says of them (default: the reviewer).

        Without a verdict the one on record stays.
        """
        names = "collection, id, label, file, sha256, job, origin"
        with self.atomic():
            for candidate, verdict in judged:
                job, origin = candidate.job and candidate.job.to_json(), serialization.origin_to_json(candidate.origin)
                row = (self._key(collection), candidate.id, candidate.label, candidate.path.name, candidate.sha256)
                self._db.execute(
                    f"INSERT OR REPLACE INTO candidates ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, job, origin)
                )
                if verdict is not None:
                    self.add_verdict(collection, candidate.id, verdict, judge or verdict.reviewer)

    def add_verdict(
        self, collection: Collection, candidate_id: str, verdict: Verdict, judge: str | None = None
    ) -> None:
        """Append a verdict; the latest one counts. `judge` names the screen; `None`: a person's, kept beside it too."""
        at = _now()
        if judge is None:
            self._write_down(self._key(collection), candidate_id, verdict, at)
        with self.atomic():
            self._insert_verdict(self._key(collection), candidate_id, verdict, at, judge)

    def decisions(self, collection: Collection) -> Iterator[Decision]:
        """What people said of its images, as it is written down beside the ledger, the earliest first."""
        key, kept = self._key(collection), read_decisions(self._state.folder)
        return (each for each in kept if each is not None and each.collection == key)

    def take_up(self, collection: Collection, decisions: Iterable[Decision]) -> None:
        """Append what is written down beside the ledger, with its own times."""
        with self.atomic():
            for each in decisions:
                if isinstance(each.said, Reading):
                    self._insert_reading(self._key(collection), each.said, each.at)
                else:
                    judge = each.said.reviewer if each.by_screen else None
                    self._insert_verdict(self._key(collection), each.image, each.said, each.at, judge)

    def candidates(self, collection: Collection, label: str) -> dict[str, tuple[Candidate, Verdict]]:
        """All candidates of a class by id, each with the verdict that counts; those made elsewhere have an origin."""
        query = """
            SELECT c.id, c.file, c.sha256, c.job, c.origin, v.decision, v.scores, v.reasons, v.reviewer
            FROM candidates c JOIN verdicts v ON v.rowid = (
                SELECT max(rowid) FROM verdicts WHERE collection = c.collection AND candidate = c.id
            ) WHERE c.collection = ? AND c.label = ? ORDER BY c.id
        """
        found = {}
        store = self._state.candidates
        for key, file, sha256, job, origin, *verdict in self._db.execute(query, (self._key(collection), label)):
            candidate = Candidate(
                label,
                store / file,
                sha256,
                serialization.job_from(key, label, job),
                serialization.origin_from(origin, store),
            )
            found[key] = (candidate, serialization.verdict_from(*verdict))
        return found

    def judges(self, collection: Collection, label: str) -> dict[str, str | None]:
        """Which screen gave the verdict that counts, by candidate; `None`: a person.

        A person who takes a verdict back gives the word to the screen again.
        """
        query = """
            SELECT c.id, coalesce(v.judge, (
                SELECT judge FROM verdicts WHERE collection = c.collection AND candidate = c.id
                AND reviewer = v.reviewer AND judge IS NOT NULL ORDER BY rowid DESC LIMIT 1
            )) FROM candidates c JOIN verdicts v ON v.rowid = (
                SELECT max(rowid) FROM verdicts WHERE collection = c.collection AND candidate = c.id
            ) WHERE c.collection = ? AND c.label = ?
        """
        return dict(self._db.execute(query, (self._key(collection), label)).fetchall())

    def pixel_digests(self, collection: Collection) -> dict[str, str]:
        """Known hashes of the grey values of images that did not change since, by path."""
        query = "SELECT path, size, mtime_ns, digest FROM pixels WHERE collection = ?"
        known = {(path, *stat): digest for path, *stat, digest in self._db.execute(query, (self._key(collection),))}
        rows = zip(collection.images.index, collection.images["size"], collection.images["mtime_ns"], strict=True)
        return {row[0]: known[row] for row in rows if row in known}

    def save_pixel_digests(self, collection: Collection, digests: Mapping[str, str]) -> None:
        """Remember hashes of grey values, by path."""
        images = collection.images.loc[list(digests), ["size", "mtime_ns"]].astype(object)
        stats = zip(images["size"], images["mtime_ns"], strict=True)
        rows = [
            (self._key(collection), path, int(size), int(mtime), digest)
            for (path, digest), (size, mtime) in zip(digests.items(), stats, strict=True)
        ]
        with self.atomic():
            self._db.executemany("INSERT OR REPLACE INTO pixels VALUES (?, ?, ?, ?, ?)", rows)

    def history(self, collection: Collection, job_id: str) -> list[tuple[str, Verdict]]:
        """All verdicts on a candidate, each with its time (ISO 8601, UTC), the earliest first; the last one counts."""
        query = """
            SELECT at, decision, scores, reasons, reviewer FROM verdicts
            WHERE collection = ? AND candidate = ? ORDER BY rowid
        """
        rows = self._db.execute(query, (self._key(collection), job_id))
        return [(at, serialization.verdict_from(*verdict)) for at, *verdict in rows]

    def add_reading(self, collection: Collection, reading: Reading, sha256: str) -> None:
        """Append an answer in a blinded study; a reader's latest one on an image of this content counts."""
        key, at = self._key(collection), _now()
        write_down(self._state.folder, Decision(key, reading.image, sha256, at, reading))
        with self.atomic():
            self._insert_reading(key, reading, at)

    def readings(self, collection: Collection) -> list[Reading]:
        """All answers in blinded studies, the earliest first."""
        query = "SELECT study, reader, image, truth, answer FROM readings WHERE collection = ? ORDER BY rowid"
        return [Reading(*row) for row in self._db.execute(query, (self._key(collection),))]

    def add_opening(self, collection: Collection, split_sha256: str, comparison: str) -> None:
        """Remember that a comparison, named by a key of its own, looked at the test part; once for each key."""
        row = (self._key(collection), split_sha256, comparison, _now())
        with self.atomic():
            self._db.execute("INSERT OR IGNORE INTO openings VALUES (?, ?, ?, ?)", row)

    def openings(self, collection: Collection, split_sha256: str) -> int:
        """How many different comparisons looked at the test part of a split."""
        query = "SELECT count(*) FROM openings WHERE collection = ? AND split = ?"
        return int(self._db.execute(query, (self._key(collection), split_sha256)).fetchone()[0])

    def add_adapter(self, collection: Collection, folder: Path) -> None:
        """Remember a finished adapter or checkpoint of a collection."""
        row = (self._key(collection), folder.name, _now())
        with self.atomic():
            self._db.execute("INSERT OR REPLACE INTO adapters VALUES (?, ?, ?)", row)

    def adapters(self, collection: Collection) -> Sequence[Path]:
        """What `adapt` made for a collection, the newest first."""
        query = "SELECT folder FROM adapters WHERE collection = ? ORDER BY at DESC, rowid DESC"
        return [self._state.adapters / name for (name,) in self._db.execute(query, (self._key(collection),))]

    def mark_exposed(self, collection: Collection, folders: Iterable[Path]) -> None:
        """Remember that the split was changed after these adapters had learned from it."""
        rows = [(self._key(collection), folder.name, _now()) for folder in folders]
        with self.atomic():
            self._db.executemany("INSERT OR REPLACE INTO exposed_adapters VALUES (?, ?, ?)", rows)

    def exposed(self, collection: Collection) -> set[Path]:
        """The adapters that learned from a split which was changed afterwards."""
        query = "SELECT folder FROM exposed_adapters WHERE collection = ?"
        return {self._state.adapters / name for (name,) in self._db.execute(query, (self._key(collection),))}

    def setting(self, collection: Collection, name: str) -> Any:
        """A remembered decision, `None` when there is none."""
        query = "SELECT value FROM settings WHERE collection = ? AND name = ?"
        found = self._db.execute(query, (self._key(collection), name)).fetchone()
        return None if found is None else serialization.value_from(found[0])

    def save_setting(self, collection: Collection, name: str, value: Any) -> None:
        """Remember a decision that later runs must repeat; `value` is anything JSON holds."""
        row = (self._key(collection), name, json.dumps(value))
        with self.atomic():
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", row)

    def _write_down(self, key: str, candidate: str, verdict: Verdict, at: str) -> None:
        """Beside the ledger; the screen's own words are those of a person who takes theirs back."""
        query = "SELECT sha256 FROM candidates WHERE collection = ? AND id = ?"
        known = self._db.execute(query, (key, candidate)).fetchone()
        if known is None:
            return
        query = "SELECT 1 FROM verdicts WHERE collection = ? AND candidate = ? AND reviewer = ? AND judge IS NOT NULL"
        by_screen = self._db.execute(query, (key, candidate, verdict.reviewer)).fetchone() is not None
        write_down(self._state.folder, Decision(key, candidate, known[0], at, verdict, by_screen))

    def _insert_verdict(self, key: str, candidate: str, verdict: Verdict, at: str, judge: str | None) -> None:
        names = "collection, candidate, decision, scores, reasons, reviewer, at, judge"
        row = (key, candidate, *serialization.verdict_to_row(verdict), at, judge)
        self._db.execute(f"INSERT INTO verdicts ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _insert_reading(self, key: str, reading: Reading, at: str) -> None:
        row = (key, reading.study, reading.reader, reading.image, reading.truth, reading.answer, at)
        self._db.execute("INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def _require_structure(self) -> None:
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise serialization.damaged(found)

    def _require_tables(self) -> None:
        missing = _columns_wanted() - set(self._db.execute(_COLUMNS))
        if missing:
            raise serialization.damaged(f"without the {' '.join(min(missing))} that it had")

    def _migrate(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self._db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")

    def _images(self, key: str) -> pd.DataFrame:
        query = f"SELECT {', '.join(('path', *COLUMNS))} FROM images WHERE collection = ? ORDER BY path"
        return serialization.images_from(self._db.execute(query, (key,)))

    def _findings(self, key: str) -> tuple[Finding, ...]:
        query = "SELECT kind, paths, message, fix FROM findings WHERE collection = ? ORDER BY rowid"
        return tuple(serialization.finding_from(*row) for row in self._db.execute(query, (key,)))

    def _key(self, collection: Collection) -> str:
        return self._key_of(collection.root)

    def _key_of(self, root: Path) -> str:
        return hashlib.sha256(self._state.portable(root).encode()).hexdigest()[:16]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _columns_wanted() -> set[tuple[str, str]]:
    """Every table of a whole ledger, with its columns."""
    with closing(sqlite3.connect(":memory:")) as whole:
        for script in MIGRATIONS:
            whole.executescript(script)
        return set(whole.execute(_COLUMNS))


def _failed(error: Exception) -> StateError:
    return serialization.failed(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR), str(error))
