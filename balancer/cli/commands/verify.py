"""`balance verify`, `explain` and `unmerge`: what can be done with a balanced folder."""

from __future__ import annotations

from pathlib import Path

import typer

from balancer.cli.console import message, result, result_json
from balancer.text import printable

_SHOWN = 5


def verify(
    folder: Path = typer.Argument(help="The balanced folder."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Check that a balanced folder is as it was merged; exit 1 if not."""
    from balancer.dataset.verify import verify as check

    findings = check(folder)
    if as_json:
        result_json(
            [{"kind": f.kind, "paths": [str(p) for p in f.paths], "message": f.message, "fix": f.fix} for f in findings]
        )
    for finding in () if as_json else findings:
        names = ", ".join(printable(str(path)) for path in finding.paths[:_SHOWN])
        more = f" and {len(finding.paths) - _SHOWN} more" if len(finding.paths) > _SHOWN else ""
        result(f"{finding.kind}: {printable(finding.message)}: {names}{more}. {finding.fix}")
    if findings:
        raise typer.Exit(1)
    message(
        "As it was merged: every row has its file, every file its row and its hash, "
        "and synthetic images are in the training part alone."
    )


def explain(
    file: Path = typer.Argument(help="An image of a balanced folder, or one that was taken out of it."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Say of an image what it is and where it comes from."""
    from balancer.dataset.verify import explain as look_up

    facts = look_up(file)
    if as_json:
        result_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        result(f"{name.ljust(width)}  {printable(value)}")


def unmerge(folder: Path = typer.Argument(help="The balanced folder.")) -> None:
    """Take every synthetic image and record out again: the copied originals alone remain."""
    from balancer.dataset.merge import unmerge as take_out
    from balancer.store.state_dir import locked_near

    with locked_near(Path.cwd(), folder.resolve()):
        removed = take_out(folder)
    result(f"{removed} synthetic images removed from {folder}; the originals are as they were.")
