"""`balance report`: all that is known, as one page to read, print and keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from balancer.cli.console import here, message, result, shown
from balancer.cli.origins import commands_behind, fold_order
from balancer.errors import BalanceError, OutputError, StateInUse
from balancer.text import printable, size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from balancer.workspace.workspace import Session

PAGE = "report.html"


def report(
    folder: Path = typer.Argument(None, help="The balanced folder (default: that of the last fill)."),
    out: Path = typer.Option(None, help="The page (default: .balance/reports/report.html)."),
    private: bool = typer.Option(False, "--private", help="Leave out images of patients and file names."),
) -> None:
    """Write one HTML page with the verdict, the results and the settings. It loads nothing and can be printed.

    Example: balance report --out report.html
    """
    from datetime import UTC, datetime

    from analysis.report.data import collect
    from analysis.report.page import make_page
    from balancer.files import write_whole

    with here().session(write=out is None) as session:
        place = out or session.state.reports / PAGE
        _require_place(place, session)
        balanced = folder or session.balanced_folder()
        place_of = (session.collection, session.split, session.ledger, session.state, balanced)
        typed = commands_behind(session, balanced)
        facts = collect(*place_of, private=private, fold_order=fold_order(session), typed=typed)
        page = make_page(facts, datetime.now(UTC).date().isoformat())
        if out is None:
            place.parent.mkdir(exist_ok=True)
        write_whole(place, page)
    for warning in facts.warnings:
        message(f"Warning: {printable(warning)}")
    if not private:
        message("The page shows images of patients: protect it like the collection, or use --private.")
    result(f"Report: {shown(place)} ({size_of(len(page))})")


def keep_result(folder: Path, name: str, found: Mapping[str, Any]) -> None:
    """Keep a result for the report, where it was measured on the balanced folder of the remembered collection.

    Elsewhere, or where it cannot be written, nothing is kept: the result was printed all the same.
    """
    import json

    from analysis.report.data import OF_FOLDER
    from balancer.dataset.metadata_files import MANIFEST
    from balancer.files import sha256_if_there, write_whole
    from balancer.store.state_dir import locked

    try:
        with here().session(write=False) as session:
            usual = session.balanced_folder()
            if usual is None or usual.resolve() != folder.resolve():
                return
            content = {**found, OF_FOLDER: sha256_if_there(folder / MANIFEST)}
            with locked(session.state):
                session.state.reports.mkdir(exist_ok=True)
                write_whole(session.state.reports / name, json.dumps(content, indent=1).encode())
    except (BalanceError, OSError) as error:
        if isinstance(error, StateInUse):
            message(f"Not kept for the report: {printable(error.found)}; run it again later.")


def _require_place(place: Path, session: Session) -> None:
    """Refuse a page within the collection, which is never written to, or where there is no folder for it.

    Raises:
        OutputError: the page cannot be written there.
    """
    whole, root = place.resolve(), session.collection.root.resolve()
    if whole.is_relative_to(root):
        raise OutputError(
            needed="a file outside the collection, which balance never changes",
            found=f"{shown(place)}, inside it",
            next_step="choose another: balance report --out report.html",
        )
    if place.is_dir() or not (place.parent.is_dir() or place.parent == session.state.reports):
        raise OutputError(
            needed="a file in a folder that exists",
            found=f"{shown(place)}: {'a folder' if place.is_dir() else 'no such folder'}",
            next_step="name a file: balance report --out report.html",
        )
