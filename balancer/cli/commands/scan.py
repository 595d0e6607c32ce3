"""`balance scan`: what there is, how imbalanced, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.commands.scan_failures import failures, kinds_of, require_ratio
from balancer.cli.console import ConsoleProgress, here, message, result_json, shown
from balancer.cli.options import JSON, command
from balancer.cli.views.report import show_page
from balancer.cli.views.scan import show_scan
from balancer.workspace.judging_settings import ScanReportSettings
from balancer.workspace.settings import ScanSettings

if TYPE_CHECKING:
    from analysis.report.service import ReportResult


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
    report: bool = typer.Option(
        False, "--report", help="Write a page with figures and images too: .balance/reports/scan.html."
    ),
    report_out: Path = typer.Option(None, help="As --report, but to this file."),
    private: bool = typer.Option(False, "--private", help="With --report: leave out patients' images and file names."),
    as_json: bool = JSON,
) -> None:
    r"""Measure the class imbalance of a collection, and find faults in it.

    Example: balance scan data/ --patient '(p\d+)' --report
    """
    from balancer.workspace.scan_run import scan as run

    kinds = kinds_of(fail_on)
    require_ratio(max_imbalance)
    with ConsoleProgress() as progress:
        found = run(here(), settings, progress=progress)
        page = _page(ScanReportSettings(report_out, private), progress) if report or report_out else None
    result_json(found.to_json() | _named(page)) if as_json else show_scan(found)
    if page is not None:
        show_page(page, private=private, as_json=as_json)
    reasons = failures(found.collection.findings, found.imbalance.ratio, kinds, max_imbalance)
    if reasons:
        message(f"Exit code 1: {'; '.join(reasons)}")
        raise typer.Exit(1)


def _page(settings: ScanReportSettings, progress: ConsoleProgress) -> ReportResult:
    from analysis.report.service import write_scan_report

    return write_scan_report(here(), settings, progress=progress)


def _named(page: ReportResult | None) -> dict[str, str]:
    return {} if page is None else {"report": shown(page.page)}
