"""What `balance doctor` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from balancer.cli.console import result
from balancer.text import printable

if TYPE_CHECKING:
    from balancer.workspace.checks import Check


def show_checks(checks: Iterable[Check]) -> None:
    """A line each, and below what is not ok what to type."""
    for check in checks:
        result(f"{check.state:<4}  {check.name:<10}  {printable(check.found)}")
        if check.state != "ok":
            result(f"      {'':<10}  next: {printable(check.next_step)}")
