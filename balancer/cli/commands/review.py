"""`balance review`: a specialist decides on images, or tries to tell real from synthetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from balancer.cli.console import ConsoleProgress, here, message, result, result_json
from balancer.cli.options import command
from balancer.cli.views.review import show_results
from balancer.text import printable
from balancer.workspace.judging_settings import ReviewSettings

if TYPE_CHECKING:
    from analysis.review.sessions import Desk


@command(ReviewSettings)
def review(
    settings: ReviewSettings,
    *,
    open_browser: bool = typer.Option(False, "--open", help="Open the page in your browser."),
    results: bool = typer.Option(False, "--results", help="Print the results of all answers so far."),
    as_json: bool = typer.Option(False, "--json", help="With --results: print the results as JSON."),
) -> None:
    """Show images to a specialist on a local page: to accept or reject them, or to judge whether they are real.

    Nothing leaves this machine: the page is served only on 127.0.0.1, and only to those who have its address.

    Example: balance review --reader 'A. Reader' --open
    """
    from analysis.review.service import review_results, review_session

    if results:
        found = review_results(here())
        result_json(found.to_json()) if as_json else show_results(found)
        return
    if as_json:
        raise typer.BadParameter("belongs to --results", param_hint="--json")
    with ConsoleProgress() as progress, review_session(here(), settings, progress=progress) as (desk, summary):
        _serve(desk, settings.port, summary, open_browser=open_browser)


def _serve(desk: Desk, port: int, summary: Callable[[], Sequence[str]], *, open_browser: bool) -> None:
    from analysis.review.server import serve

    def ready(address: str) -> None:
        message(f"{len(desk.overview())} images. Open this page. To end, press Finish there, or Ctrl-C here:")
        result(address)
        if open_browser:
            import webbrowser

            webbrowser.open(address)

    try:
        serve(desk, port=port, ready=ready, summary=summary)
    finally:
        for sentence in summary():
            message(printable(sentence))
