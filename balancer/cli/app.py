"""The command `balance`: parses, calls one function, prints. Results go to stdout, messages to stderr."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import typer

from balancer import __version__
from balancer.cli.commands import (
    adapt,
    compare,
    config,
    demo,
    doctor,
    explain,
    export,
    fetch,
    fill,
    labels,
    merge,
    power,
    presets,
    probe,
    prompts,
    purge,
    quality,
    report,
    review,
    scan,
    screen,
    split,
    status,
    unmerge,
    verify,
)
from balancer.cli.config_file import find_config, read_config
from balancer.cli.console import message, run
from balancer.cli.options import SETTINGS

GROUPS = {
    "Try it": (demo.demo,),
    "Understand": (scan.scan, presets.presets, labels.labels, split.split, power.power),
    "Generate": (prompts.prompts, adapt.adapt, fill.fill),
    "Check": (screen.screen, review.review, merge.merge, verify.verify, explain.explain, unmerge.unmerge),
    "Prove": (probe.probe, quality.quality, compare.compare, report.report),
    "Share": (export.export,),
    "Maintain": (status.status, doctor.doctor, fetch.fetch, purge.purge),
}
"""All commands, in the order in which one needs them."""


class _Grouped(typer.core.TyperGroup):
    """Help in groups, with whole summaries."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands of each group, and what has none."""
        grouped = {command.__name__ for commands in GROUPS.values() for command in commands}
        names = {title: [each.__name__ for each in commands] for title, commands in GROUPS.items()}
        names["Options from a file"] = [name for name in self.list_commands(ctx) if name not in grouped]
        for title, some in names.items():
            rows = [(name, inspect.cleandoc(self.commands[name].help or "").partition("\n\n")[0]) for name in some]
            with formatter.section(title):
                formatter.write_dl([(name, text.replace("\n", " ")) for name, text in rows])


app = typer.Typer(
    name="balance",
    cls=_Grouped,
    help="Balance an imbalanced X-ray collection with synthetic radiographs, every one of them traceable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"balance {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


for command in (command for commands in GROUPS.values() for command in commands):
    app.command()(command)
app.add_typer(config.app)


def main() -> None:
    """Run the command line; every error of ours becomes a message, Ctrl-C and SIGTERM become exit 130."""
    run(_run)


def _run() -> None:
    place = find_config(Path.cwd())
    if place is None:
        app()
        return
    found = read_config(place, SETTINGS)
    given = found.given.get(next(iter(sys.argv[1:]), ""), {})
    if given and "--quiet" not in sys.argv:
        message(f"Options from {place.name}: {', '.join(name.replace('_', '-') for name in given)}")
    app(default_map=found.defaults())
