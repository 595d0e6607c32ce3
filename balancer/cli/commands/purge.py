"""`balance purge`: take away everything that holds patients' data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.console import result, result_json, shown, table
from balancer.cli.options import JSON, command
from balancer.errors import StateError
from balancer.text import printable, size_of

if TYPE_CHECKING:
    from balancer.workspace.purge import Holding


@command()
def purge(
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    dry_run: bool = typer.Option(False, "--dry-run", help="List what would be removed, and remove nothing."),
    as_json: bool = JSON,
) -> None:
    """Remove everything in the state folder: ledger, candidates, adapters, latents, cache, comparisons and reports.

    Collections and balanced folders are not changed. Files are removed, not overwritten: backups and snapshots of the
    disk may still hold them.

    Example: balance purge --dry-run
    """
    from balancer.store.state_dir import find_state, locked
    from balancer.workspace.purge import merged_folders, take_stock
    from balancer.workspace.purge import purge as remove

    state = find_state(Path.cwd())
    take_stock(state)  # refuses a folder that is not ours before anything is written there
    with nullcontext() if dry_run else locked(state):
        holdings, merged = take_stock(state), merged_folders(state)
        if not as_json:
            _show(holdings, merged)
        removed = not dry_run and (yes or _asked())
        if removed:
            remove(state, holdings)
    if as_json:
        result_json({"removed": removed, "files": {each.path.name: each.files for each in holdings}})
    elif removed:
        result(f"Removed: {shown(state.folder)}, {size_of(sum(each.size for each in holdings))}")
    else:
        result("Dry run: nothing was removed." if dry_run else "Nothing was removed.")


def _show(holdings: Sequence[Holding], merged: Sequence[Path]) -> None:
    rows = [[shown(each.path), each.files, size_of(each.size)] for each in holdings]
    result(table(["to be removed", "files", "size"], rows))
    for each in holdings:
        result(f"{printable(each.path.name)}: {each.loss}")
    kept = ", ".join(printable(shown(folder)) for folder in merged)
    result(f"Not changed: the collections{', and balanced folders: ' + kept if kept else ''}")


def _asked() -> bool:
    if sys.stdin.isatty():
        return typer.confirm("Remove everything?", err=True)
    raise StateError(
        needed="confirmation that everything may be removed",
        found="no --yes, and no terminal to ask in",
        next_step="balance purge --yes",
    )
