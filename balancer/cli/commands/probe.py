"""`balance probe` and `balance quality`: what can be said of the synthetic images without a test set."""

from __future__ import annotations

from balancer.cli.console import ConsoleProgress, here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.probe import show_probe, show_quality
from balancer.workspace.judging_settings import DetectabilitySettings, FidelitySettings


@command(DetectabilitySettings)
def probe(settings: DetectabilitySettings, *, as_json: bool = JSON) -> None:
    """Measure how well synthetic images can be distinguished from real ones, and whether a classifier relies on it.

    Example: balance probe xrays-balanced
    """
    from analysis.realism.service import detectability

    with ConsoleProgress() as progress:
        found = detectability(here(), settings, progress=progress)
    if as_json:
        result_json(found.to_json())
    else:
        show_probe(found.probe)


@command(FidelitySettings)
def quality(settings: FidelitySettings, *, as_json: bool = JSON) -> None:
    """Measure how near synthetic images are to held-out real ones, beside how near real ones are to each other.

    Good values do not show that the images help: only balance compare can show that.

    Example: balance quality xrays-balanced
    """
    from analysis.realism.service import fidelity

    with ConsoleProgress() as progress:
        found = fidelity(here(), settings, progress=progress)
    if as_json:
        result_json(found.to_json())
    else:
        show_quality(found.quality)
