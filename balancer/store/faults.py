"""What is wrong with the database, in words: damage, or the disk, or another command."""

from __future__ import annotations

from balancer.errors import DamagedLedger, StateError
from balancer.store.state_dir import State

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


def require_not_emptied(state: State) -> None:
    """A file without content is what a kill leaves of a new ledger, but not beside what only a ledger's owner made.

    Raises:
        DamagedLedger: there are candidates beside an empty file.
    """
    if state.ledger.is_file() and not state.ledger.stat().st_size and any(state.candidates.glob("*")):
        raise damaged("a file without content")


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
        "uses the images that are there",
    )
