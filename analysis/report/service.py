"""The report as one function: all that is known of a workspace, written as one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import OutputError
from balancer.files import write_whole
from balancer.workspace.fill_origin import commands_behind, fold_key
from balancer.workspace.judging_settings import ReportSettings

if TYPE_CHECKING:
    from analysis.report.charts import Chart
    from balancer.workspace.workspace import Session, Workspace

PAGE = "report.html"


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
        _require_place(place, session)
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
        if settings.out is None:
            place.parent.mkdir(exist_ok=True)
        write_whole(place, page)
        figures = [] if settings.figures is None else _write_figures(settings.figures, figures_of(facts))
    return ReportResult(place, len(page), facts.warnings, figures)


def _write_figures(folder: Path, charts: Sequence[Chart]) -> list[Path]:
    """Every figure in the forms that papers want, each file whole or not at all."""
    folder.mkdir(exist_ok=True)
    places = {folder / f"{chart.name}.{form}": (chart, form) for chart in charts for form in ("png", "pdf")}
    for place, (chart, form) in places.items():
        write_whole(place, chart.save(form))
    return list(places)


def _require_place(place: Path, session: Session) -> None:
    """Refuse a page where there is no folder for it.

    Raises:
        OutputError: the page cannot be written there.
    """
    _require_outside(place, session, "choose another: balance report --out report.html")
    if place.is_dir() or not (place.parent.is_dir() or place.parent == session.state.reports):
        raise OutputError(
            needed="a file in a folder that exists",
            found=f"{place}: {'a folder' if place.is_dir() else 'no such folder'}",
            next_step="name a file: balance report --out report.html",
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
