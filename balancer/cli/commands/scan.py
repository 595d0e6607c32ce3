"""`balance scan`: what there is, how imbalanced, and what is wrong with it."""

from __future__ import annotations

import typer

from balancer.cli.commands.scan_failures import failures, kinds_of, require_ratio
from balancer.cli.console import ConsoleProgress, here, message, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.scan import show_scan
from balancer.workspace.settings import ScanSettings


@command(ScanSettings)
def scan(
    settings: ScanSettings,
    *,
    max_imbalance: float = typer.Option(
        None, help="Exit with 1 if the largest class has more than N times the images of the smallest."
    ),
    fail_on: str = typer.Option(
        None, help="Exit with 1 if there is a finding of these kinds, such as leak,unreadable; any: of every kind."
    ),
    as_json: bool = JSON,
) -> None:
    r"""Measure the class imbalance of a collection, and find faults in it.

    Example: balance scan data/ --patient '(p\d+)'
    """
    from balancer.workspace.scan_run import scan as run

    kinds = kinds_of(fail_on)
    require_ratio(max_imbalance)
    with ConsoleProgress() as progress:
        found = run(here(), settings, progress=progress)
    result_json(found.to_json()) if as_json else show_scan(found)
    reasons = failures(found.collection.findings, found.imbalance.ratio, kinds, max_imbalance)
    if reasons:
        message(f"Exit code 1: {'; '.join(reasons)}")
        raise typer.Exit(1)
