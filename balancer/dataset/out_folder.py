"""Where a balanced folder may be made: apart from the collection and the state, in a folder that can be written."""

from __future__ import annotations

import os
from pathlib import Path

from balancer.errors import OutputError


def require_apart(out: Path, other: Path, what: str) -> None:
    """Refuse a folder that is another, lies in it or around it; `what` is the other one's name.

    Raises:
        OutputError: it is so.
    """
    one, two = out.resolve(), other.resolve()
    if one == two or one in two.parents or two in one.parents:
        place = "is" if one == two else "lies in" if two in one.parents else "lies around"
        raise refused(f"a balanced folder separate from {what}", f"{out} {place} {what} {other}", "")


def require_writable(out: Path) -> None:
    """Refuse a place whose nearest folder above cannot be written.

    Raises:
        OutputError: it cannot.
    """
    above = next(folder for folder in out.resolve().parents if folder.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise refused("a folder that can be written", f"{above}: {'no permission' if above.is_dir() else 'a file'}", "")


def refused(needed: str, found: str, first: str) -> OutputError:
    """The error of a place that cannot be the balanced folder; `first` is what to do besides choosing another."""
    return OutputError(needed=needed, found=found, next_step=f"{first}choose another folder: --out FOLDER")
