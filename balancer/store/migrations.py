"""The tables of the database, and how each version's came from the ones before: named steps, applied in this order.

What was applied is recorded by name. Version 0.1 counted instead (SQLite's `user_version`), so its states have the
first so many. A change of the tables is a new step at the end of `MIGRATIONS`, and `TABLES` as it is then.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Mapping

from balancer.errors import StateError
from balancer.store.faults import damaged

_IMAGE = ("label", "part", "patient", "format", "mode", "bits", "width", "height", "size", "mtime_ns", "sha256")
_CONTENTS = ("size", "mtime_ns", "phash", "mirrored", "thumb", "mean", "spread", "border", "border_grey", "marked")
_OF_VERDICT = ("decision", "scores", "reasons", "reviewer", "at", "judge")
TABLES: Mapping[str, tuple[str, ...]] = {
    "collections": ("id", "root", "patient_pattern", "scanned_at", "patients_table", "place", "source"),
    "images": ("collection", "path", *_IMAGE, "sex", "age", "view", "labels", "told"),
    "marks": ("collection", "path", "marks"),
    "findings": ("collection", "kind", "paths", "message", "fix"),
    "contents": ("collection", "path", *_CONTENTS, "frames", "fault"),
    "pixels": ("collection", "path", "size", "mtime_ns", "digest"),
    "splits": ("collection", "origin", "seed"),
    "split_parts": ("collection", "path", "part", "fold"),
    "candidates": ("collection", "id", "label", "file", "sha256", "job", "origin", "pixels"),
    "devices": ("collection", "candidate", "device"),
    "verdicts": ("collection", "candidate", *_OF_VERDICT),
    "readings": ("collection", "study", "reader", "image", "truth", "answer", "at"),
    "openings": ("collection", "split", "comparison", "at"),
    "adapters": ("collection", "folder", "at"),
    "exposed_adapters": ("collection", "folder", "at"),
    "settings": ("collection", "name", "value"),
}
"""Every table with its columns; each has a column `checksum` over all of them beside."""
REAL = {"age", "mean", "spread", "border", "border_grey"}
"""Columns in which SQLite makes every number a float."""


def checksum(*values: object) -> int:
    """The CRC-32 of a row, called by SQL with the values as SQLite holds them: a turned byte changes it.

    >>> checksum("a", 1, None), checksum("a", 3, None)
    (1218698153, 90929826)
    """
    return zlib.crc32("\0".join(map(str, values)).encode())


def checksum_of(table: str, alias: str = "") -> str:
    """SQL for the checksum that the rows of a table should have."""
    return f"checksum({', '.join(f'{alias}{name}' for name in TABLES[table])})"


def is_sound(table: str, alias: str = "") -> str:
    """SQL for whether a row is as it was written; one that version 0.1 wrote afterwards has no checksum."""
    return f"coalesce({alias}checksum = {checksum_of(table, alias)}, 1)"


_LATER = ("marks", "devices")
"""Tables that had checksums from the beginning."""
_CHECKSUMS = "".join(
    f"ALTER TABLE {table} ADD COLUMN checksum INTEGER; UPDATE {table} SET checksum = {checksum_of(table)};\n"
    for table in TABLES
    if table not in _LATER
)
MIGRATIONS: Mapping[str, str] = {
    "first tables": """
        CREATE TABLE collections (id TEXT PRIMARY KEY, root TEXT, patient_pattern TEXT, scanned_at TEXT);
        CREATE TABLE images (
            collection TEXT, path TEXT, label TEXT, part TEXT, patient TEXT, format TEXT, mode TEXT, bits INTEGER,
            width INTEGER, height INTEGER, size INTEGER, mtime_ns INTEGER, sha256 TEXT, PRIMARY KEY (collection, path)
        ) WITHOUT ROWID;
        CREATE TABLE findings (collection TEXT, kind TEXT, paths TEXT, message TEXT, fix TEXT);
        CREATE TABLE splits (collection TEXT PRIMARY KEY, origin TEXT, seed INTEGER);
        CREATE TABLE split_parts (
            collection TEXT, path TEXT, part TEXT, PRIMARY KEY (collection, path)
        ) WITHOUT ROWID;
        CREATE TABLE candidates (
            collection TEXT, id TEXT, label TEXT, file TEXT, sha256 TEXT, job TEXT, PRIMARY KEY (collection, id)
        ) WITHOUT ROWID;
        CREATE TABLE verdicts (
            collection TEXT, candidate TEXT, decision TEXT, scores TEXT, reasons TEXT, reviewer TEXT, at TEXT
        );
        CREATE INDEX verdicts_of ON verdicts (collection, candidate);
        CREATE TABLE adapters (collection TEXT, folder TEXT, at TEXT, PRIMARY KEY (collection, folder));
        CREATE TABLE settings (collection TEXT, name TEXT, value TEXT, PRIMARY KEY (collection, name));
        """,
    "sex, age and view": """
        ALTER TABLE images ADD COLUMN sex TEXT;
        ALTER TABLE images ADD COLUMN age REAL;
        ALTER TABLE images ADD COLUMN view TEXT;
        """,
    "folds": """
        ALTER TABLE split_parts ADD COLUMN fold INTEGER;
        CREATE TABLE exposed_adapters (collection TEXT, folder TEXT, at TEXT, PRIMARY KEY (collection, folder));
        """,
    "table of patients": "ALTER TABLE collections ADD COLUMN patients_table TEXT;",
    "contents of images": """
        CREATE TABLE contents (
            collection TEXT, path TEXT, size INTEGER, mtime_ns INTEGER, phash BLOB, mirrored BLOB, thumb BLOB,
            mean REAL, spread REAL, border REAL, border_grey REAL, marked INTEGER, frames INTEGER, fault TEXT,
            PRIMARY KEY (collection, path)
        );
        """,
    "images made elsewhere": """
        ALTER TABLE candidates ADD COLUMN origin TEXT;
        ALTER TABLE verdicts ADD COLUMN judge TEXT;
        UPDATE verdicts SET judge = reviewer;
        CREATE TABLE pixels (
            collection TEXT, path TEXT, size INTEGER, mtime_ns INTEGER, digest TEXT, PRIMARY KEY (collection, path)
        ) WITHOUT ROWID;
        """,
    "blinded studies": """
        CREATE TABLE readings (
            collection TEXT, study TEXT, reader TEXT, image TEXT, truth TEXT, answer TEXT, at TEXT
        );
        CREATE INDEX readings_of ON readings (collection, study);
        """,
    "openings of the test split": """
        CREATE TABLE openings (
            collection TEXT, split TEXT, comparison TEXT, at TEXT, PRIMARY KEY (collection, split, comparison)
        ) WITHOUT ROWID;
        """,
    "collections that move": "ALTER TABLE collections ADD COLUMN place TEXT;",
    "pixels of candidates": "ALTER TABLE candidates ADD COLUMN pixels TEXT;",
    "labels from tables and paths": """
        ALTER TABLE images ADD COLUMN labels TEXT;
        ALTER TABLE images ADD COLUMN told TEXT;
        ALTER TABLE collections ADD COLUMN source TEXT;
        """,
    "checksums of rows": _CHECKSUMS,
    "several findings on an image": """
        CREATE TABLE marks (
            collection TEXT, path TEXT, marks TEXT, checksum INTEGER, PRIMARY KEY (collection, path)
        ) WITHOUT ROWID;
        """,
    "devices of candidates": """
        CREATE TABLE devices (
            collection TEXT, candidate TEXT, device TEXT, checksum INTEGER, PRIMARY KEY (collection, candidate)
        ) WITHOUT ROWID;
        """,
    "candidates by class": "CREATE INDEX candidates_of ON candidates (collection, label);",
}
"""Every step in SQL by its name, the oldest first."""
COUNTED = 8
"""How many of them version 0.1 had, which only counted."""
_FUTURE = 1000  # a higher number of a version is damage rather than a newer balance


def missing(base: sqlite3.Connection) -> list[str]:
    """The names of the steps that a database lacks, in order.

    Raises:
        StateError: a newer version of balance made it.
        DamagedLedger: the record of what was applied is not as it was written.
    """
    version = base.execute("PRAGMA user_version").fetchone()[0]
    if len(MIGRATIONS) < version < _FUTURE:
        raise StateError(
            needed=f"a state folder of version {len(MIGRATIONS)} or older",
            found=f"made by a newer version of balance: version {version}; this one supports up to {len(MIGRATIONS)}",
            next_step="use the newer version, or update this one: pip install --upgrade xray-balancer",
        )
    there = base.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'").fetchone()
    applied = (
        [name for (name,) in base.execute("SELECT name FROM migrations")]
        if there
        else [*MIGRATIONS][: min(version, COUNTED)]
    )
    if len(applied) != version or not MIGRATIONS.keys() >= set(applied):
        raise damaged("the record of its version is damaged")
    return [name for name in MIGRATIONS if name not in applied]


def script_of(names: list[str]) -> str:
    """SQL that applies these steps, all or none, and records by name what was applied."""
    lines = ["BEGIN IMMEDIATE;", "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY);"]
    lines += [MIGRATIONS[name] for name in names]
    lines += [f"INSERT OR IGNORE INTO migrations (name) VALUES ('{name}');" for name in MIGRATIONS]
    return "\n".join([*lines, f"PRAGMA user_version = {len(MIGRATIONS)};", "COMMIT;"])
