"""`balance power`: the smallest difference that the test set can detect, before anything is generated or trained."""

from __future__ import annotations

from balancer.cli.console import here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.power import show_power
from balancer.workspace.judging_settings import PowerSettings


@command(PowerSettings)
def power(settings: PowerSettings, *, as_json: bool = JSON) -> None:
    """Print the smallest difference between two classifiers that the test images can detect.

    It is the difference at which compare says "helps" in 80% of simulated test sets. --json has every class.

    Example: balance power --label NODULE --difference 0.05
    """
    from analysis.power.service import detectable_effect

    found = detectable_effect(here(), settings)
    result_json(found.to_json()) if as_json else show_power(found.power)
