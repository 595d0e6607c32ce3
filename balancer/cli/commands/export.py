"""`balance export`: a balanced folder or a model, made ready for a hub."""

from __future__ import annotations

from balancer.cli.console import ConsoleProgress, here, result_json, shown
from balancer.cli.options import JSON, command
from balancer.cli.views.export import show_export
from balancer.workspace.export_settings import ExportSettings


@command(ExportSettings)
def export(settings: ExportSettings, *, as_json: bool = JSON) -> None:
    """Make a folder that is ready for a hub, with a card and Croissant. Nothing is uploaded: you do that yourself.

    Images are as in the balanced folder. With --adapter it is a model that balance adapt made.

    Example: balance export --hub-folder hub
    """
    from balancer.workspace.export_run import export as run

    with ConsoleProgress() as progress:
        found = run(here(), settings, progress=progress)
    if found.folder is None:
        result_json(found.to_json())
    elif as_json:
        result_json({"folder": shown(found.folder), **found.to_json()})
    else:
        show_export(found)
