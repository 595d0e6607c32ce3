"""What `balance export` prints: the folder, what to look at, and the command that sends it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from balancer.cli.console import result, shown
from balancer.text import many, printable

if TYPE_CHECKING:
    from balancer.workspace.export_run import ExportResult


def show_export(found: ExportResult) -> None:
    """Where the folder is, and how its user uploads it."""
    assert found.folder is not None
    place = shown(found.folder)
    result(f"Ready for a hub: {place}, {many(found.files, 'file')}. Nothing was uploaded.")
    for note in found.notes:
        result(f"Check: {printable(note)}")
    result(f"To upload it yourself: hf upload OWNER/NAME {shlex.quote(place)} . --repo-type {found.kind} --private")
