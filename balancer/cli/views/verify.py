"""What `balance verify` and `balance explain` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balancer.cli.console import message, result
from balancer.text import printable

if TYPE_CHECKING:
    from balancer.workspace.verify_run import Explanation, VerifyResult

_SHOWN = 5


def show_verify(found: VerifyResult) -> None:
    """What is not as it was merged, or that all is."""
    for finding in found.findings:
        names = ", ".join(printable(str(path)) for path in finding.paths[:_SHOWN])
        more = f" and {len(finding.paths) - _SHOWN} more" if len(finding.paths) > _SHOWN else ""
        result(f"{finding.kind}: {printable(finding.message)}: {names}{more}. {finding.fix}")
    if not found.findings:
        message(
            "Unchanged since it was merged: files, rows and hashes agree, "
            "and synthetic images are only in the training folder."
        )


def show_explanation(found: Explanation) -> None:
    """The facts, one below the other."""
    width = max(map(len, found.facts))
    for name, value in found.facts.items():
        result(f"{name.ljust(width)}  {printable(value)}")
