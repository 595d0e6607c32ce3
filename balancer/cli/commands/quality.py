"""`balance quality`: how near synthetic images are to held-out real ones."""

from __future__ import annotations

from balancer.cli.console import ConsoleProgress, here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.probe import show_quality
from balancer.workspace.judging_settings import FidelitySettings


@command(FidelitySettings)
def quality(settings: FidelitySettings, *, as_json: bool = JSON) -> None:
    """Measure how near synthetic images are to held-out real ones, beside how near real ones are to each other.

    Good values do not show that the images help: only balance compare can show that.

    Example: balance quality xrays-balanced
    """
    from analysis.realism.service import fidelity

    with ConsoleProgress() as progress:
        found = fidelity(here(), settings, progress=progress)
    result_json(found.to_json()) if as_json else show_quality(found.quality)
