"""The command `balance`: parses, calls one function, prints. Results go to stdout, messages to stderr."""

from __future__ import annotations

import typer

from balancer import __version__
from balancer.cli.commands import (
    adapt,
    check_labels,
    compare,
    doctor,
    explain,
    fetch,
    fill,
    merge,
    power,
    presets,
    probe,
    prompts,
    purge,
    report,
    review,
    scan,
    screen,
    split,
    unmerge,
    verify,
)
from balancer.cli.console import run

app = typer.Typer(
    name="balance",
    help="Balance an imbalanced X-ray collection with synthetic radiographs, every one of them traceable.",
    no_args_is_help=True,
    add_completion=False,
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


for command in (
    *(scan.scan, presets.presets, check_labels.check_labels, split.split, power.power, prompts.prompts),
    *(adapt.adapt, fill.fill),
    *(screen.screen, review.review, merge.merge),
    *(probe.probe, probe.quality),
    *(compare.compare, report.report),
    *(verify.verify, explain.explain, unmerge.unmerge),
    *(doctor.doctor, fetch.fetch, purge.purge),
):
    app.command()(command)


def main() -> None:
    """Run the command line; every error of ours becomes a message, Ctrl-C and SIGTERM become exit 130."""
    run(app)
