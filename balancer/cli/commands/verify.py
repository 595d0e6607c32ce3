"""`balance verify`: is a balanced folder as it was merged?"""

from __future__ import annotations

import typer

from balancer.cli.console import ConsoleProgress, here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.verify import show_verify
from balancer.workspace.settings import VerifySettings


@command(VerifySettings)
def verify(settings: VerifySettings, *, as_json: bool = JSON) -> None:
    """Check that a balanced folder is unchanged since it was merged; exit 1 if not."""
    from balancer.workspace.verify_run import verify as run

    with ConsoleProgress() as progress:
        found = run(here(), settings, progress=progress)
    result_json(found.to_json()) if as_json else show_verify(found)
    if found.findings:
        raise typer.Exit(1)
