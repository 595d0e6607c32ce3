"""Values as the ledger holds them in text, and back; what is to be said where they are not as they were written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from balancer.errors import DamagedLedger, StateError
from balancer.jobs import Job, Origin, Verdict
from balancer.patients import TableRef
from balancer.state import State

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


def require_not_emptied(state: State) -> None:
    """A file without content is what a kill leaves of a new ledger, but not beside what only a ledger's owner made.

    Raises:
        DamagedLedger: there are candidates beside an empty file.
    """
    if state.ledger.is_file() and not state.ledger.stat().st_size and any(state.candidates.glob("*")):
        raise damaged("a file without content")


def origin_to_json(origin: Origin | None) -> str | None:
    """The origin of an image that was made elsewhere, without the place of the store."""
    return None if origin is None else json.dumps({**asdict(origin), "given": origin.given.name}, sort_keys=True)


def origin_from(text: str | None, store: Path) -> Origin | None:
    """The same back, for files in `store`."""
    if text is None:
        return None
    fields = value_from(text)
    return Origin(**{**fields, "given": store / fields["given"]})


def verdict_from(decision: Any, scores: str, reasons: str, reviewer: str) -> Verdict:
    """A verdict, its scores and reasons from JSON."""
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
