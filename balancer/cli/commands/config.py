"""`balance config show`: which options hold here, and where each comes from."""

from __future__ import annotations

from pathlib import Path

import typer

from balancer.cli.config_file import NAME, find_config, in_force, read_config
from balancer.cli.console import message, result, result_json, shown, table
from balancer.cli.options import JSON, SETTINGS, command

app = typer.Typer(name="config", help="Options of all commands from a file, balance.toml.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
@command()
def show(
    name: str = typer.Argument("", metavar="[COMMAND]", help="Only this command."), *, as_json: bool = JSON
) -> None:
    """Show the options that hold when nothing is typed: from balance.toml, else the default.

    Example: balance config show fill
    """
    if name and name not in SETTINGS:
        raise typer.BadParameter(f"one of: {', '.join(SETTINGS)}", param_hint="COMMAND")
    place = find_config(Path.cwd())
    given = {} if place is None else read_config(place, SETTINGS).given
    held = {each: in_force(kind, given.get(each, {})) for each, kind in SETTINGS.items() if name in ("", each)}
    if as_json:
        result_json({"file": place and shown(place), "options": held})
        return
    message(f"No {NAME} here or above: defaults alone." if place is None else f"Options from {shown(place)}")
    rows = [[each, key, value, source] for each, fields in held.items() for key, (value, source) in fields.items()]
    result(table(["command", "option", "value", "from"], rows))
