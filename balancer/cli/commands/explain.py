"""`balance explain`: what an image is and where it comes from."""

from __future__ import annotations

from balancer.cli.console import here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.verify import show_explanation
from balancer.workspace.settings import ExplainSettings


@command(ExplainSettings)
def explain(settings: ExplainSettings, *, as_json: bool = JSON) -> None:
    """Show what an image is and where it comes from."""
    from balancer.workspace.verify_run import explain as run

    found = run(here(), settings)
    result_json(found.to_json()) if as_json else show_explanation(found)
