"""What is wrong with the database, in words: damage, or the disk, or another command."""

from __future__ import annotations

from balancer.errors import DamagedLedger, StateError
from balancer.store.state_dir import State

_SHORT_READ = 522
_DISK = ("a working disk", "check the disk")
_PERMISSION = ("permission to write", "check the permissions and the disk")
_ALONE = ("exclusive access", "wait for the other command")
_OUTSIDE = {
    3: _PERMISSION,
    5: _ALONE,
    6: _ALONE,
    8: _PERMISSION,
    10: _DISK,
    13: ("free space on the disk", "free some space"),
    14: ("permission, and a working disk,", "check the permissions and the disk"),
}
"""What is no damage, by SQLite's result codes (https://www.sqlite.org/rescode.html)."""


def require_not_emptied(state: State) -> None:
    """A file without content is what a kill leaves of a new ledger, but not beside what only a ledger's owner made.

    Raises:
        DamagedLedger: there are candidates beside an empty file.
    """
    if state.ledger.is_file() and not state.ledger.stat().st_size and any(state.candidates.glob("*")):
        raise damaged("an empty file")


def failed(code: int, text: str) -> StateError:
    """What SQLite says, as damage or as something else; `code` is its extended result code."""
    if code == _SHORT_READ or code & 0xFF not in _OUTSIDE:
        return damaged(text)
    needed, advice = _OUTSIDE[code & 0xFF]
    return StateError(
        needed=f"{needed} for .balance/ledger.sqlite",
        found=text,
        next_step=f"{advice}, then run the same balance command again: it continues from here",
    )


def damaged(found: str) -> DamagedLedger:
    """The message about a damaged ledger."""
    return DamagedLedger(
        needed="an undamaged ledger (.balance/ledger.sqlite)",
        found=f"damage: {found}",
        next_step="balance scan FOLDER renames the file and creates a new one. The same fill then "
        "reuses the images on disk",
    )
