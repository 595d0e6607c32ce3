"""The report as one function, and a scan's own: what is known of a workspace, written as one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import OutputError
from balancer.files import write_whole
from balancer.progress import SILENT, Progress
from balancer.workspace.fill_origin import commands_behind, fold_key
from balancer.workspace.judging_settings import ReportSettings, ScanReportSettings

if TYPE_CHECKING:
    from analysis.report.charts import Chart
    from balancer.workspace.workspace import Session, Workspace

PAGE, SCAN_PAGE = "report.html", "scan.html"
_OUT, _SCAN_OUT = "balance report --out", "balance scan DATA --report-out"


@dataclass(frozen=True, slots=True)
class ReportResult:
    """The page, its size in bytes, what of its numbers may not fit together, and the files of its figures."""

    page: Path
    size: int
    warnings: Sequence[str]
    figures: Sequence[Path] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields, for programs."""
        figures = [str(each) for each in self.figures]
        return {"page": str(self.page), "size": self.size, "warnings": list(self.warnings), "figures": figures}


def write_report(workspace: Workspace, settings: ReportSettings = ReportSettings()) -> ReportResult:
    """Write one HTML page with the verdict, the figures and the settings; it loads nothing and can be printed.

    With `figures` each figure goes into that folder too, as PNG (300 dots an inch) and PDF.

    Raises:
        OutputError: the page or its figures cannot be written there, or the folder is not a balanced folder.

    >>> _ = make_balanced(folder)
    >>> write_report(Workspace.open(folder)).page.name
    'report.html'
    """
    from datetime import UTC, datetime

    from analysis.report.data import collect
    from analysis.report.page import figures_of, make_page

    with workspace.session(write=settings.out is None, several=True) as session:
        place = settings.out or session.state.reports / PAGE
        _require_place(place, session, _OUT)
        if settings.figures is not None:
            _require_folder(settings.figures, session)
        folder = settings.folder or session.balanced_folder()
        facts = collect(
            *(session.collection, session.split, session.ledger, session.state, folder),
            private=settings.private,
            fold_order=fold_key(session),
            typed=commands_behind(session, folder),
        )
        page = make_page(facts, datetime.now(UTC).date().isoformat())
        _write_page(place, page, session)
        figures = [] if settings.figures is None else _write_figures(settings.figures, figures_of(facts))
    return ReportResult(place, len(page), facts.warnings, figures)


def write_scan_report(
    workspace: Workspace, settings: ScanReportSettings = ScanReportSettings(), *, progress: Progress = SILENT
) -> ReportResult:
    """Write what the last scan found as one HTML page with figures and images; it loads nothing and can be printed.

    Where no deep scan has decoded every image, up to 64 of each class are decoded for their grey levels.

    Raises:
        OutputError: the page cannot be written there.
        CollectionError: nothing was scanned here, or the collection is gone.

    >>> _ = scan(Workspace.open(folder), ScanSettings(folder / "xrays"))
    >>> write_scan_report(Workspace.open(folder)).page.name
    'scan.html'
    """
    from datetime import UTC, datetime

    from analysis.report.scan_facts import collect_scan
    from analysis.report.scan_page import make_scan_page

    with workspace.session(write=settings.out is None, several=True) as session:
        place = settings.out or session.state.reports / SCAN_PAGE
        _require_place(place, session, _SCAN_OUT)
        facts = collect_scan(session, private=settings.private, progress=progress)
        page = make_scan_page(facts, datetime.now(UTC).date().isoformat())
        _write_page(place, page, session)
    return ReportResult(place, len(page), facts.warnings)


def _write_page(place: Path, page: bytes, session: Session) -> None:
    """The page, whole or not at all."""
    if place.parent == session.state.reports:
        place.parent.mkdir(exist_ok=True)
    write_whole(place, page)


def _write_figures(folder: Path, charts: Sequence[Chart]) -> list[Path]:
    """Every figure in the forms that papers want, each file whole or not at all."""
    folder.mkdir(exist_ok=True)
    places = {folder / f"{chart.name}.{form}": (chart, form) for chart in charts for form in ("png", "pdf")}
    for place, (chart, form) in places.items():
        write_whole(place, chart.save(form))
    return list(places)


def _require_place(place: Path, session: Session, option: str) -> None:
    """Refuse a page where there is no folder for it; `option` is the command that names another.

    Raises:
        OutputError: the page cannot be written there.
    """
    _require_outside(place, session, f"choose another: {option} report.html")
    if place.is_dir() or not (place.parent.is_dir() or place.parent == session.state.reports):
        raise OutputError(
            needed="a file in a folder that exists",
            found=f"{place}: {'a folder' if place.is_dir() else 'no such folder'}",
            next_step=f"name a file: {option} report.html",
        )


def _require_folder(folder: Path, session: Session) -> None:
    """Refuse a folder for figures that is a file, or has no folder to be in.

    Raises:
        OutputError: figures cannot be written there.
    """
    _require_outside(folder, session, "choose another: balance report --figures figures")
    if not folder.is_dir() and (folder.exists() or not folder.parent.is_dir()):
        raise OutputError(
            needed="a folder for the figures, or a new one in a folder that exists",
            found=f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}",
            next_step="name one: balance report --figures figures",
        )


def _require_outside(place: Path, session: Session, next_step: str) -> None:
    """Refuse what lies within the collection, which is never written to.

    Raises:
        OutputError: it does.
    """
    if place.resolve().is_relative_to(session.collection.root.resolve()):
        raise OutputError(
            needed="a place outside the collection, which balance never changes",
            found=f"{place}, inside it",
            next_step=next_step,
        )
