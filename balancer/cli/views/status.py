"""What `balance status` prints: a line for each step that was taken, and the next one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from balancer.cli.console import result
from balancer.text import printable

if TYPE_CHECKING:
    from balancer.workspace.status_run import StatusResult

_SPLITS = {"collection": "the collection's own", "drawn": "created by patient", "file": "your table"}


def show_status(found: StatusResult) -> None:
    """Print what is known, a row each, and the next command."""
    if found.training is None:
        result("Nothing was scanned here.")
    else:
        old = " (the balanced folder has changed since)" if found.verdict_is_old else ""
        rows = [
            ["collection", found.collection],
            ["training images", _counts(found.training)],
            ["findings", _counts(found.findings or {}) or "none"],
            ["split", _SPLITS.get(found.split, found.split)],
            ["models of adapt", ", ".join(found.models) or "none"],
            ["synthetic images", _counts(found.generated or {}) or "none"],
            ["balanced folder", found.balanced or "none"],
            ["last comparison", f"{found.verdict}{old}" if found.verdict else "none"],
        ]
        for name, value in rows:
            result(f"{name:<17}{printable(value)}")
    result(f"Next: {found.next_step}")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
