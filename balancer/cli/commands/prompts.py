"""`balance prompts`: what will be asked for."""

from __future__ import annotations

from pathlib import Path

import typer

from balancer.cli.console import ConsoleProgress, here, message, result_json, shown
from balancer.cli.options import JSON, command
from balancer.cli.views.prompts import show_check, show_new_pack, show_prompts
from balancer.workspace.settings import PromptsSettings


@command(PromptsSettings)
def prompts(
    settings: PromptsSettings,
    *,
    sample: bool = typer.Option(False, "--sample", help="Make one small image for each prompt."),
    check: bool = typer.Option(False, "--check", help="Check the wording; exit 1 for an error."),
    new: Path = typer.Option(None, help="Write a template pack for the scanned classes, for you to edit."),
    as_json: bool = JSON,
) -> None:
    """Show the prompts that fill would use, make an image of each, check the wording, or start a template pack.

    Example: balance prompts --pack mine.yaml --check
    """
    from analysis.report.contact_sheets import save_prompts_sheet
    from balancer.workspace.prompts_run import check_prompts, new_pack, sample_prompts
    from balancer.workspace.prompts_run import prompts as run

    if new:
        show_new_pack(new_pack(here(), settings, new))
        return
    with ConsoleProgress() as progress:
        if check:
            checked = check_prompts(here(), settings, progress=progress)
            result_json(checked.to_json()) if as_json else show_check(checked)
            if checked.errors:
                raise typer.Exit(1)
            return
        found = run(here(), settings, progress=progress)
        images = sample_prompts(here(), settings, found, progress=progress) if sample else {}
    if images:
        message(f"Made: {shown(save_prompts_sheet(here(), images))}")
    result_json(found.to_json()) if as_json else show_prompts(found)
