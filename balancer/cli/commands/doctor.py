"""`balance doctor`: look whether all is ready, before hours go into it."""

from __future__ import annotations

import typer

from balancer.cli.console import ConsoleProgress, here, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.doctor import show_checks
from balancer.workspace.doctor_settings import DoctorSettings


@command(DoctorSettings)
def doctor(settings: DoctorSettings, *, as_json: bool = JSON) -> None:
    """Check machine, disk, model, adapter, licence and prompts, and time one image; exit 1 if a check fails.

    Example: balance doctor --model ./sd15
    """
    from balancer.workspace.doctor_run import doctor as run

    with ConsoleProgress() as progress:
        found = run(here(), settings, progress=progress)
    result_json(found.to_json()) if as_json else show_checks(found.checks)
    if not found.ready:
        raise typer.Exit(1)
