"""`balance status`: where the work stands."""

from __future__ import annotations

from balancer.cli.console import here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.status import show_status


@command()
def status(*, as_json: bool = JSON) -> None:
    """Show what is remembered here, what was done, and the command that comes next. Nothing is written.

    Example: balance status
    """
    from balancer.workspace.status_run import status as run

    found = run(here())
    result_json(found.to_json()) if as_json else show_status(found)
