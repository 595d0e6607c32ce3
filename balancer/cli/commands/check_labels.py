"""`balance check-labels`: which labels of the collection are probably wrong."""

from __future__ import annotations

from balancer.cli.console import ConsoleProgress, here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.check_labels import show_labels
from balancer.workspace.judging_settings import CheckLabelsSettings


@command(CheckLabelsSettings)
def check_labels(settings: CheckLabelsSettings, *, as_json: bool = JSON) -> None:
    """List images whose labels are probably wrong, for a person to look at. Nothing in the collection is changed.

    Example: balance check-labels --out suspected.csv
    """
    from analysis.labels.service import check_labels as run

    with ConsoleProgress() as progress:
        found = run(here(), settings, progress=progress)
    if as_json:
        result_json(found.to_json())
    else:
        show_labels(found)
