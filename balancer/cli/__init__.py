"""The command `balance`: parses, calls one function, prints. Results go to stdout, messages to stderr."""

from __future__ import annotations

import typer

from balancer import __version__
from balancer.cli import (
    adapting,
    collection,
    comparing,
    doctoring,
    external,
    fetching,
    filling,
    merged,
    merging,
    powering,
    probing,
    prompting,
    purging,
    reporting,
    reviewing,
    splitting,
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
    *(collection.scan, splitting.split, powering.power, prompting.prompts),
    *(adapting.adapt, filling.fill),
    *(external.screen, reviewing.review, merging.merge),
    *(probing.probe, probing.quality),
    *(comparing.compare, reporting.report),
    *(merged.verify, merged.explain, merged.unmerge),
    *(doctoring.doctor, fetching.fetch, purging.purge),
):
    app.command()(command)


def main() -> None:
    """Run the command line; every error of ours becomes a message, Ctrl-C and SIGTERM become exit 130."""
    run(app)
