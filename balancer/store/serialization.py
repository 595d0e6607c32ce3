"""Values as the ledger holds them in text, and back; what is to be said where they are not as they were written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pandas as pd

from balancer.collection.findings import Finding
from balancer.collection.image_stats import Contents
from balancer.collection.metadata_table import TableRef
from balancer.collection.scan import COLUMNS, DTYPES
from balancer.errors import DamagedLedger, StateError
from balancer.jobs import DECISIONS, ExternalOrigin, Job, Verdict
from balancer.splits.split import PARTS, Split
from balancer.store.state_dir import State

CONTENTS = tuple(field.name for field in fields(Contents))
"""The columns of what is inside an image."""
_ROWS = 10_000
_REPEATED = ("label", "part", "patient", "format", "mode", "sex", "view")
_SHORT_READ = 522
_DISK = ("a disk that works", "see whether it does")
_PERMISSION = ("permission to write", "see to that")
_ALONE = ("a moment in which nobody else writes", "wait for the other command")
_OUTSIDE = {
    3: _PERMISSION,
    5: _ALONE,
    6: _ALONE,
    8: _PERMISSION,
    10: _DISK,
    13: ("free space on the disk", "free some space"),
    14: ("permission, and a disk that works,", "see to that"),
}
"""What is no damage, by SQLite's result codes (https://www.sqlite.org/rescode.html)."""


class Cursor(Protocol):
    """Rows of a query, some at a time."""

    def fetchmany(self, size: int, /) -> list[tuple[Any, ...]]:
        """At most so many more."""
        ...


def value_from(text: str) -> Any:
    """What JSON holds.

    Raises:
        DamagedLedger: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, TypeError) as error:
        raise damaged(f"a value that is no JSON: {str(text)[:40]!r}") from error


def job_from(key: str, label: str, text: str | None) -> Job | None:
    """The job of a candidate; `None` where it was made elsewhere.

    Raises:
        DamagedLedger: it cannot be read, or is not the one that the candidate is named after, or of another class.
    """
    if text is None:
        return None
    try:
        job = Job.from_json(text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(f"the job of candidate {key} cannot be read") from error
    if (job.id, job.label) != (key, label):
        raise damaged(f"the job of candidate {key} is not the one that it is named after")
    return job


def table_to_json(table: TableRef | None, portable: Callable[[Path], str]) -> str | None:
    """Where the table of patients is, by `portable`, and how it was read."""
    if table is None:
        return None
    fields = {"named": dict(table.named), "columns": dict(table.columns), "sha256": table.sha256}
    return json.dumps({"path": portable(table.path), **fields})


def table_from(text: str | None, place: Callable[[str], Path]) -> TableRef | None:
    """The same back.

    Raises:
        DamagedLedger: it is no JSON.
    """
    if text is None:
        return None
    fields = value_from(text)
    return TableRef(**{**fields, "path": place(fields["path"])})


def images_from(cursor: Cursor) -> pd.DataFrame:
    """The table of images, gathered by columns: rows of a million images would take twice the memory."""
    columns: dict[str, list[Any]] = {name: [] for name in ("path", *COLUMNS)}
    same: dict[Any, Any] = {}  # one object for each label, patient, format that many images share
    while rows := cursor.fetchmany(_ROWS):
        for (name, values), more in zip(columns.items(), zip(*rows, strict=True), strict=True):
            values.extend((same.setdefault(each, each) for each in more) if name in _REPEATED else more)
    index = pd.Index(columns.pop("path"), dtype=object, name="path")
    return pd.DataFrame(
        {name: pd.Series(values, index, dtype=DTYPES.get(name)) for name, values in columns.items()}, index=index
    )


def require_parts(rows: Iterable[tuple[str]]) -> None:
    """See that each part of a split is one that there is.

    Raises:
        DamagedLedger: it is not.
    """
    for (part,) in rows:
        if part not in PARTS:
            raise damaged(f"a part that is none: {str(part)[:40]!r}")


def split_from(rows: Sequence[tuple[str, str, Any]], origin: Any, seed: int) -> Split:
    """A split from paths with their parts and folds."""
    index = pd.Index([path for path, _, _ in rows], dtype=object)  # with its type: lookups are ten times as fast
    parts = pd.Series([part for _, part, _ in rows], index, dtype=object)
    folds = pd.Series([fold for _, _, fold in rows], index, dtype=object).dropna().astype("int64")
    return Split(parts, origin, seed, folds)


def contents_from(row: Sequence[Any]) -> Contents:
    """What is inside an image."""
    found = Contents(**dict(zip(CONTENTS, row, strict=True)))
    return replace(found, marked=bool(found.marked))


def finding_to_row(finding: Finding) -> tuple[str, str, str, str]:
    """A finding with its paths as JSON."""
    return finding.kind, json.dumps([str(path) for path in finding.paths]), finding.message, finding.fix


def finding_from(kind: str, paths: str, message: str, fix: str) -> Finding:
    """The same back."""
    return Finding(kind, tuple(PurePosixPath(path) for path in value_from(paths)), message, fix)


def require_not_emptied(state: State) -> None:
    """A file without content is what a kill leaves of a new ledger, but not beside what only a ledger's owner made.

    Raises:
        DamagedLedger: there are candidates beside an empty file.
    """
    if state.ledger.is_file() and not state.ledger.stat().st_size and any(state.candidates.glob("*")):
        raise damaged("a file without content")


def origin_to_json(origin: ExternalOrigin | None) -> str | None:
    """The origin of an image that was made elsewhere, without the place of the store."""
    return None if origin is None else json.dumps({**asdict(origin), "given": origin.given.name}, sort_keys=True)


def origin_from(text: str | None, store: Path) -> ExternalOrigin | None:
    """The same back, for files in `store`."""
    if text is None:
        return None
    fields = value_from(text)
    return ExternalOrigin(**{**fields, "given": store / fields["given"]})


def verdict_to_row(verdict: Verdict) -> tuple[str, str, str, str]:
    """A verdict with its scores and reasons as JSON."""
    scores, reasons = json.dumps(dict(verdict.scores), sort_keys=True), json.dumps(verdict.reasons)
    return verdict.decision, scores, reasons, verdict.reviewer


def verdict_from(decision: Any, scores: str, reasons: str, reviewer: str) -> Verdict:
    """The same back.

    Raises:
        DamagedLedger: it is none.
    """
    if decision not in DECISIONS:
        raise damaged(f"a decision that is none: {str(decision)[:40]!r}")
    return Verdict(decision, value_from(scores), tuple(value_from(reasons)), reviewer)


def failed(code: int, text: str) -> StateError:
    """What SQLite says, as damage or as something else; `code` is its extended result code."""
    if code == _SHORT_READ or code & 0xFF not in _OUTSIDE:
        return damaged(text)
    needed, advice = _OUTSIDE[code & 0xFF]
    return StateError(
        needed=f"{needed} for .balance/ledger.sqlite",
        found=text,
        next_step=f"{advice}, then the same balance command again: it goes on from here",
    )


def damaged(found: str) -> DamagedLedger:
    """The message about a damaged ledger."""
    return DamagedLedger(
        needed="the ledger (.balance/ledger.sqlite) as it was written",
        found=f"damage: {found}",
        next_step="scan again: balance scan FOLDER sets the file aside and makes a new one; then the same fill again "
        "takes up the images that are there",
    )
