"""What is said of a page that was written: where it is, what of it may not fit, and whom it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balancer.cli.console import message, result, shown
from balancer.text import printable, size_of

if TYPE_CHECKING:
    from analysis.report.service import ReportResult


def show_page(found: ReportResult, *, private: bool, as_json: bool) -> None:
    """Warnings, and the place of the page; a program reads that in its JSON."""
    for warning in found.warnings:
        message(f"Warning: {printable(warning)}")
    if not private:
        message("The page shows images of patients: protect it like the collection, or use --private.")
    if not as_json:
        result(f"Report: {shown(found.page)} ({size_of(found.size)})")
