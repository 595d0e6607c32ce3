"""The connection to the database: here SQLite is asked, and here alone its errors become ours."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import Any, Self

from balancer.errors import DamagedLedger, StateError
from balancer.store import faults
from balancer.store.migrations import REAL, TABLES, checksum, is_sound, missing, script_of
from balancer.store.state_dir import State, locked

Row = tuple[Any, ...]
_OURS = (sqlite3.ProgrammingError, sqlite3.InterfaceError)
"""Errors of whoever asks: they are no fault of the file."""
_TRIES = 25
_ROWS = 10_000  # at once: a million would take much memory
_COLUMNS = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLite says in this block into an error of ours.

    Raises:
        DamagedLedger: the file is damaged; SQLite's own words may hold bytes that are no text.
        StateError: it cannot be read or written.
    """
    try:
        yield
    except _OURS:
        raise
    except (sqlite3.Error, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        raise faults.failed(code, str(error)) from error


class Connection:
    """A state folder's database; use it in a `with` block.

    Raises:
        DamagedLedger: it is damaged: the structure is looked at whenever it is opened, which takes a
            fifth of a second for a million images; rows, when they are read.
        StateError: it cannot be read or written, or a newer version of balance made it.
    """

    def __init__(self, state: State, *, checked: bool = False, private: bool = False) -> None:
        """`checked`: every row was looked at just now, under the same lock; it takes microseconds a row.

        `private`: a copy is opened, since machines that share a disk cannot share a database on it.
        """
        self._state, self._turn, self._checked = state, RLock(), checked
        faults.require_not_emptied(state)
        self._copy = TemporaryDirectory() if private else None
        place = state.ledger if self._copy is None else _copied(state.ledger, Path(self._copy.name))
        with translated():
            self._base = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
        try:
            with translated():
                self._prepare()
        except BaseException:
            self._base.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()
        if self._copy is not None:
            self._copy.cleanup()

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All writes of the block, or none; in a block within another one too.

        Nobody else writes to the state folder meanwhile.

        Raises:
            StateError: another command is using it.
        """
        with self._turn, locked(self._state):
            inner = self._base.in_transaction
            self._tell("SAVEPOINT inner" if inner else "BEGIN IMMEDIATE")
            try:
                yield
                self._tell("RELEASE inner" if inner else "COMMIT")
            except BaseException:
                if self._base.in_transaction:  # SQLite may have ended it by itself, as for a full disk
                    for text in ("ROLLBACK TO inner", "RELEASE inner") if inner else ("ROLLBACK",):
                        self._tell(text)
                raise

    def _prepare(self) -> None:
        self._base.create_function("checksum", -1, checksum, deterministic=True)
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute("PRAGMA synchronous=FULL")
        found = self._base.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise faults.damaged(found)
        if missing(self._base):
            with locked(self._state):
                if names := missing(self._base):  # unless another command came first
                    self._base.executescript(script_of(names))
        self._require_tables()

    def _require_tables(self) -> None:
        wanted = {(table, column) for table, columns in TABLES.items() for column in (*columns, "checksum")}
        lacking = wanted - set(self._base.execute(_COLUMNS))
        if lacking:
            raise faults.damaged(f"without the {' '.join(min(lacking))} that it had")

    def _tell(self, text: str, values: Sequence[Any] = ()) -> None:
        with translated():
            self._base.execute(text, values)

    def _rows(self, text: str, values: Sequence[Any] = ()) -> list[Row]:
        with translated():
            return self._base.execute(text, values).fetchall()

    def _first(self, text: str, values: Sequence[Any] = ()) -> Row | None:
        with translated():
            found: Row | None = self._base.execute(text, values).fetchone()
            return found

    def _chunks(self, text: str, values: Sequence[Any] = ()) -> Iterator[list[Row]]:
        """The rows of a query, some thousands at a time."""
        with translated():
            cursor = self._base.execute(text, values)
        while True:
            with translated():
                rows = cursor.fetchmany(_ROWS)
            if not rows:
                return
            yield rows

    def _insert(self, table: str, rows: Iterable[Sequence[Any]], *, otherwise: str = "REPLACE") -> None:
        """Write rows, of all columns of a table in their order; `otherwise`: what becomes of one that is there."""
        columns = TABLES[table]
        places = [_place(name, number) for number, name in enumerate(columns, start=1)]
        text = (
            f"INSERT OR {otherwise} INTO {table} ({', '.join(columns)}, checksum) "
            f"VALUES ({', '.join(places)}, checksum({', '.join(places)}))"
        )
        rows = iter(rows)
        with self.atomic():
            while some := list(islice(rows, _ROWS)):  # first made, then written: what fails in making is no fault here
                with translated():
                    self._base.executemany(text, some)

    def _update(self, table: str, changes: Sequence[str], where: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Change some columns of the rows that are named by others; `rows`: values of both."""
        at = {name: _place(name, number) for number, name in enumerate((*changes, *where), start=1)}
        changed = ", ".join(f"{name} = {at[name]}" for name in changes)
        values = ", ".join(at[name] if name in changes else name for name in TABLES[table])
        which = " AND ".join(f"{name} = {at[name]}" for name in where)
        text = f"UPDATE {table} SET {changed}, checksum = checksum({values}) WHERE {which}"
        with self.atomic(), translated():
            self._base.executemany(text, list(rows))

    def _sound(self, table: str, columns: Sequence[str], rest: str, values: Sequence[Any] = ()) -> list[Row]:
        """Columns of the rows of a table that `rest` of the query names.

        Raises:
            DamagedLedger: one is damaged.
        """
        rows = self._rows(f"SELECT {', '.join((*columns, self._is_sound(table)))} FROM {table} {rest}", values)
        return require_sound(table, rows)

    def _is_sound(self, table: str, alias: str = "") -> str:
        """SQL for whether a row is as it was written."""
        return "1" if self._checked else is_sound(table, alias)

    def require_sound(self) -> None:
        """Read every row, so that damage is found now.

        Raises:
            DamagedLedger: one is damaged, or an index does not fit its table.
        """
        found = self._first("PRAGMA integrity_check(1)")
        if found != ("ok",):
            raise faults.damaged(str(found and found[0]))
        for table in TABLES:
            if self._first(f"SELECT 1 FROM {table} WHERE NOT {is_sound(table)} LIMIT 1"):
                raise not_as_written(table)


def _copied(database: Path, folder: Path) -> Path:
    """A copy of a database, with what SQLite keeps beside it, as it was while nobody wrote to it.

    Raises:
        StateError: it changes all the time.
    """
    parts = [database.with_name(f"{database.name}{end}") for end in ("", "-wal")]
    for _ in range(_TRIES):
        before = [(each.stat().st_size, each.stat().st_mtime_ns) if each.exists() else None for each in parts]
        for each in parts:
            (folder / each.name).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                shutil.copyfile(each, folder / each.name)
        if before == [(each.stat().st_size, each.stat().st_mtime_ns) if each.exists() else None for each in parts]:
            return folder / database.name
        time.sleep(0.2)
    raise StateError(
        needed="a state folder that no other command is writing to",
        found=f"{database}, which changed while it was copied",
        next_step="wait until the other commands have ended, then run the same balance fill again",
    )


def _place(name: str, number: int) -> str:
    return f"CAST(?{number} AS REAL)" if name in REAL else f"?{number}"


def require_sound(table: str, rows: Sequence[Row]) -> list[Row]:
    """The rows without their last column, which says whether they are as they were written.

    Raises:
        DamagedLedger: one is not.
    """
    if not all(row[-1] for row in rows):
        raise not_as_written(table)
    return [row[:-1] for row in rows]


def not_as_written(table: str) -> DamagedLedger:
    """The error for a row that was turned into another."""
    return faults.damaged(f"a row of {table} is damaged")


def now() -> str:
    """The time as it is kept: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
