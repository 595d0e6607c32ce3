"""`balance report`: all that is known, as one page to read, print and keep."""

from __future__ import annotations

from balancer.cli.console import here, message, result_json, shown
from balancer.cli.options import JSON, command
from balancer.cli.views.report import show_page
from balancer.workspace.judging_settings import ReportSettings


@command(ReportSettings)
def report(settings: ReportSettings, *, as_json: bool = JSON) -> None:
    """Write one HTML page with the verdict, the results and the settings. It loads nothing and can be printed.

    With --figures the figures are written for a paper too, as PNG and PDF.

    Example: balance report --out report.html --figures figures
    """
    from analysis.report.service import write_report

    found = write_report(here(), settings)
    if settings.figures is not None:
        message(f"{len(found.figures)} files of figures: {shown(settings.figures)}")
    if as_json:
        result_json(found.to_json())
    show_page(found, private=settings.private, as_json=as_json)
