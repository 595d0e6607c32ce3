"""`balance split`: which patients train, validate and test."""

from __future__ import annotations

from balancer.cli.console import ConsoleProgress, here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.split import show_split
from balancer.workspace.settings import SplitSettings


@command(SplitSettings)
def split(settings: SplitSettings, *, as_json: bool = JSON) -> None:
    """Create a new split by patient, or take it from a table. Without options: show the stored split.

    Each class is stratified by sex and view, where they are known. Copies of an image stay together.

    Example: balance split --test 0.2 --val 0.15 --folds 5
    """
    from balancer.workspace.split_run import split as run

    with ConsoleProgress() as progress:
        found = run(here(), settings, progress=progress)
    result_json(found.to_json()) if as_json else show_split(found)
