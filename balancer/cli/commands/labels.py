"""`balance labels`: which labels of the collection are probably wrong."""

from __future__ import annotations

from balancer.cli.console import ConsoleProgress, here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.labels import show_labels
from balancer.workspace.judging_settings import CheckLabelsSettings


@command(CheckLabelsSettings)
def labels(settings: CheckLabelsSettings, *, as_json: bool = JSON) -> None:
    """List images whose labels are probably wrong, for a person to look at. Nothing in the collection is changed.

    Example: balance labels --out suspected.csv
    """
    from analysis.labels.service import check_labels

    with ConsoleProgress() as progress:
        found = check_labels(here(), settings, progress=progress)
    result_json(found.to_json()) if as_json else show_labels(found)
