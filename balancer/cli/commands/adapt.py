"""`balance adapt`: teach a generator the collection."""

from __future__ import annotations

import sys

import typer

from balancer.cli.console import ConsoleProgress, here, message, result, result_json, shown
from balancer.cli.options import JSON, command
from balancer.workspace.settings import AdaptSettings


@command(AdaptSettings)
def adapt(settings: AdaptSettings, *, as_json: bool = JSON) -> None:
    """Train a generator on your collection: on its training split only.

    With --base, the same seeds are generated with and without the adapter, the generator holdout is evaluated on the
    way, and the best checkpoint is kept.

    Example: balance adapt --base ./sd15 --minutes 60
    """
    from balancer.workspace.adapt_run import adapt as run
    from balancer.workspace.screens import monitor_for

    with ConsoleProgress() as progress:
        found = run(here(), settings, monitor=monitor_for(settings), accept=_accepted, progress=progress)
    if as_json:
        result_json(found.to_json())
        return
    message(f"Sample images: {shown(found.samples)}")
    again = "; it was trained before, and is unchanged. To train longer, use another --name" if found.was_there else ""
    result(f"Trained: {shown(found.folder)}{again}")
    result("Next: balance fill --target max --dry-run")


def _accepted(name: str) -> bool:
    return sys.stdin.isatty() and typer.confirm(f"Do you accept the licence of {name}?", err=True)
