"""`balance fill`: make what is missing and merge it."""

from __future__ import annotations

from dataclasses import replace

import typer

from balancer.cli.console import ConsoleProgress, here, message, result, result_json
from balancer.cli.options import JSON, command
from balancer.cli.views.fill import show_fill, show_plan, show_preview, show_shard
from balancer.cli.views.power import say_power
from balancer.workspace.settings import FillSettings


@command(FillSettings)
def fill(
    settings: FillSettings,
    *,
    as_drawn: bool = typer.Option(False, "--as-drawn", hidden=True),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Show deficits, prompts, disk space and time; write nothing."
    ),
    as_json: bool = JSON,
) -> None:
    """Generate what the rare classes lack and merge it with the originals, every added image traceable.

    Exit 1 when a class stays short because too many of its images were rejected.

    Example: balance fill --target 500 --dry-run
    """
    from analysis.report.contact_sheets import save_fill_sheet
    from balancer.workspace.fill_run import fill as run
    from balancer.workspace.fill_run import preview_fill
    from balancer.workspace.plan_run import plan
    from balancer.workspace.screens import screen_for
    from balancer.workspace.shard_run import fill_shard

    if as_drawn:
        message("Warning: --as-drawn is now --no-intensity-matching. The next version will not have the old name.")
        settings = replace(settings, harmonise=False)
    if settings.shard is not None and not dry_run:
        with ConsoleProgress() as progress:
            made = fill_shard(here(), settings, progress=progress)
        result_json(made.to_json()) if as_json else show_shard(made)
        return
    planned = plan(here(), settings)
    if not as_json:
        show_plan(planned, settings)
        say_power(planned.collection, planned.split)
    if not planned.wanted and not as_json:
        result("Nothing to do: no class is below its target.")
        return
    screen = screen_for(here(), settings)
    with ConsoleProgress() as progress:
        if dry_run:
            preview = preview_fill(here(), settings, screen=screen, progress=progress)
            result_json(preview.to_json()) if as_json else show_preview(preview)
            return
        found = run(here(), settings, screen=screen, progress=progress)
    sheet = save_fill_sheet(here(), found)
    result_json(found.to_json()) if as_json else show_fill(found, sheet)
    if found.short:
        raise typer.Exit(1)
