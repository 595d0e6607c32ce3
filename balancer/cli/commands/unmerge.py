"""`balance unmerge`: the synthetic images out of a balanced folder again."""

from __future__ import annotations

from balancer.cli.console import here, result, result_json
from balancer.cli.options import JSON, command
from balancer.workspace.settings import UnmergeSettings


@command(UnmergeSettings)
def unmerge(settings: UnmergeSettings, *, as_json: bool = JSON) -> None:
    """Remove every synthetic image and record from a balanced folder: only the copied originals remain."""
    from balancer.workspace.merge_run import unmerge as run

    found = run(here(), settings)
    if as_json:
        result_json(found.to_json())
        return
    result(f"{found.removed} synthetic images removed from {found.folder}; the originals are unchanged.")
