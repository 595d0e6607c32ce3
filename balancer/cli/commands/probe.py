"""`balance probe`: can synthetic images be told from real ones, and does a classifier rely on it?"""

from __future__ import annotations

from balancer.cli.console import ConsoleProgress, here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.probe import show_probe
from balancer.workspace.judging_settings import DetectabilitySettings


@command(DetectabilitySettings)
def probe(settings: DetectabilitySettings, *, as_json: bool = JSON) -> None:
    """Measure how well synthetic images can be distinguished from real ones, and whether a classifier relies on it.

    Example: balance probe xrays-balanced
    """
    from analysis.realism.service import detectability

    with ConsoleProgress() as progress:
        found = detectability(here(), settings, progress=progress)
    result_json(found.to_json()) if as_json else show_probe(found.probe)
