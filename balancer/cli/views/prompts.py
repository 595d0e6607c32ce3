"""Printing prompts, the result of a check, and a new template pack."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from balancer.cli.console import result, shown
from balancer.text import printable

if TYPE_CHECKING:
    from balancer.workspace.prompts_run import NewPack, PromptsCheck, PromptsResult


def show_prompts(found: PromptsResult) -> None:
    """The prompts of each class, and what no image is to look like."""
    for label, some in found.prompts.items():
        result(f"{printable(label)} ({found.templates[label].source})")
        for number, prompt in enumerate(some, start=1):
            result(f"  {number:2}. {printable(prompt.text)}")
    for negative in found.negatives:
        result(f"negative: {negative}")


def show_check(found: PromptsCheck) -> None:
    """Print each complaint about a pack, and their number."""
    from balancer.workspace.prompts_run import complaint_line

    for each in found.complaints:
        result(f"{each.severity}: {complaint_line(each)}")
    warnings = len(found.complaints) - found.errors
    result(f"{found.classes} classes: {found.errors} errors, {warnings} warnings. Tokens: {found.tokens}.")


def show_new_pack(found: NewPack) -> None:
    """Where a pack was begun, and what is to be filled in."""
    worded = found.classes - len(found.gaps)
    result(f"Written: {shown(found.path)}, {worded} of {found.classes} classes have prompts")
    if found.gaps:
        result(f"To be completed in this file: {', '.join(map(printable, found.gaps))}")
    result(f"Next: edit it, then balance prompts --check --pack {shlex.quote(shown(found.path))}")
