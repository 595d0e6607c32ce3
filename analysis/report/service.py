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
    from balancer.workspace.workspace import Session, Workspace

PAGE = "report.html"


@dataclass(frozen=True, slots=True)
class ReportResult:
    """The page, its size in bytes, and what of its figures may not fit together."""

    page: Path
    size: int
    warnings: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """The fields, for programs."""
        return {"page": str(self.page), "size": self.size, "warnings": list(self.warnings)}


def write_report(workspace: Workspace, settings: ReportSettings = ReportSettings()) -> ReportResult:
    """Write one HTML page with the verdict, the figures and the settings; it loads nothing and can be printed.

    Raises:
        OutputError: the page cannot be written there, or the folder is not a balanced folder.

    >>> _ = make_balanced(folder)
    >>> write_report(Workspace.open(folder)).page.name
    'report.html'
    """
    from datetime import UTC, datetime

    from analysis.report.data import collect
    from analysis.report.page import make_page

    with workspace.session(write=settings.out is None) as session:
        place = settings.out or session.state.reports / PAGE
        _require_place(place, session)
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
    return ReportResult(place, len(page), facts.warnings)


def _require_place(place: Path, session: Session) -> None:
    """Refuse a page within the collection, which is never written to, or where there is no folder for it.

    Raises:
        OutputError: the page cannot be written there.
    """
    whole, root = place.resolve(), session.collection.root.resolve()
    if whole.is_relative_to(root):
        raise OutputError(
            needed="a file outside the collection, which balance never changes",
            found=f"{place}, inside it",
            next_step="choose another: balance report --out report.html",
        )
    if place.is_dir() or not (place.parent.is_dir() or place.parent == session.state.reports):
        raise OutputError(
            needed="a file in a folder that exists",
            found=f"{place}: {'a folder' if place.is_dir() else 'no such folder'}",
            next_step="name a file: balance report --out report.html",
        )
