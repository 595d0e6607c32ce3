"""`balance merge`: the balanced folder again, from what is accepted by now; and images of another generator."""

from __future__ import annotations

from balancer.cli.console import ConsoleProgress, here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.merge import show_merge
from balancer.cli.views.screen import show_screened
from balancer.workspace.settings import MergeSettings


@command(MergeSettings)
def merge(settings: MergeSettings, *, as_json: bool = JSON) -> None:
    """Build the balanced folder again from all images accepted so far; with --from, add images of another generator.

    It then holds the originals, the accepted images of the last fill, and all accepted external images. Nothing is
    generated.

    Example: balance merge --from their-images/
    """
    from analysis.report.contact_sheets import save_screened_sheet
    from balancer.workspace.merge_run import merge as run
    from balancer.workspace.screens import screen_for

    with ConsoleProgress() as progress:
        found = run(here(), settings, screen=screen_for(here(), settings), progress=progress)
    if as_json:
        result_json(found.to_json())
        return
    if found.images:
        show_screened(found.images, save_screened_sheet(here(), found.images))
    show_merge(found)
