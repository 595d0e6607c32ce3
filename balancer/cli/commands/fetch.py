"""`balance fetch`: the only command that uses a network."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import typer

from balancer.cli.console import here, message, result, result_json, shown
from balancer.cli.options import JSON, command
from balancer.text import printable, size_of


@command()
def fetch(
    model: str = typer.Argument(help="Name of a Stable Diffusion, Sana or PixArt-Sigma on the hub: OWNER/NAME."),
    to: Path = typer.Option(..., help="New folder for the model."),
    revision: str = typer.Option(None, help="Commit, branch or tag (default: the newest commit)."),
    *,
    as_json: bool = JSON,
) -> None:
    """Download a checkpoint from the hub: only safetensors files, and every hash is recorded.

    This is the only command that uses a network. It sends none of your data: no images, no paths, no telemetry.

    Example: balance fetch OWNER/NAME --to sd15
    """
    from balancer.offline import go_online

    go_online(bars=sys.stderr.isatty())  # before the hub's library is imported
    from balancer.generators.models.checkpoint import find_checkpoint
    from balancer.generators.models.download import fetch as download
    from balancer.generators.models.download import look_up

    here().require_outside(to, "balance fetch MODEL --to ANOTHER_FOLDER")
    remote = look_up(model, revision)
    message(f"{remote.model}, commit {remote.revision}: {len(remote.files)} files, {size_of(remote.size)}")
    message(f"Licence: {printable(remote.licence) or 'not stated; find out whether you may use the model'}")
    new = download(remote, to)
    find_checkpoint(str(to))
    if as_json:
        result_json({"folder": shown(to), "model": remote.model, "revision": remote.revision, "new": new})
        return
    result(f"Fetched: {shown(to)}; fetched.json has every hash" if new else f"Already there, unchanged: {shown(to)}")
    _say_how_to_carry(to)


def _say_how_to_carry(folder: Path) -> None:
    """What to type here and behind the firewall."""
    name, above = shlex.quote(folder.resolve().name), shlex.quote(shown(folder.resolve().parent))
    tar = shlex.quote(f"{folder.resolve().name}.tar")
    message("To copy it to a machine without internet:")
    message(f"  here:  tar -cf {tar} -C {above} {name}")
    message(f"  there: tar -xf {tar} && balance doctor --model {name}    # checks every hash; needs no network")
