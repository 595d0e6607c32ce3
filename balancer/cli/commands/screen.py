"""`balance screen`: images of another generator, screened and not merged."""

from __future__ import annotations

from balancer.cli.console import ConsoleProgress, here, result, result_json, shown
from balancer.cli.options import JSON, command
from balancer.cli.views.screen import show_screened
from balancer.workspace.settings import ScreenSettings


@command(ScreenSettings)
def screen(settings: ScreenSettings, *, as_json: bool = JSON) -> None:
    """Screen images of another generator against the scanned collection. Nothing is merged or stored.

    Example: balance screen their-images/
    """
    from analysis.report.contact_sheets import save_screened_sheet
    from analysis.screening.service import screen as run

    with ConsoleProgress() as progress:
        found = run(here(), settings, progress=progress)
    sheet = save_screened_sheet(here(), found.images)
    if as_json:
        result_json(found.to_json())
        return
    show_screened(found.images, sheet)
    result(f"Next: balance merge --from {shown(settings.candidates)}")
