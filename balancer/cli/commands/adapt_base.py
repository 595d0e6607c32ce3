"""`balance adapt --base`: a LoRA adapter for a large base, its licence accepted once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from balancer.cli.console import ConsoleProgress, message, result, shown
from balancer.errors import ModelError
from balancer.text import printable
from balancer.workspace.doctor import check_before
from balancer.workspace.models import ACCEPTED, remember_base
from balancer.workspace.prompts_run import choose_templates

if TYPE_CHECKING:
    from balancer.adapting.lora.settings import LoraSettings
    from balancer.adapting.scratch.phases import Progress
    from balancer.generators.models.checkpoint import Checkpoint
    from balancer.workspace.workspace import Session


_CELL = 16  # bytes: four channels in float32


def adapt_base(
    session: Session,
    base: str,
    settings: LoraSettings,
    folder_name: str,
    pack: str | None,
    progress: Progress,
    *,
    accept_licence: bool,
) -> None:
    """Adapt a base to the training part, watched by who knows copies.

    Raises:
        ModelError: the base cannot be used, or its licence is not accepted.
    """
    from analysis.vision.memorisation_monitor import CopyWatch
    from balancer.adapting.lora.data import Material
    from balancer.adapting.lora.train import train_lora
    from balancer.collection.attributes import attributes_of
    from balancer.collection.scan import samples, with_hashes
    from balancer.generators.models.checkpoint import find_checkpoint

    checkpoint = find_checkpoint(base)
    _require_licence(session, checkpoint, accept_licence=accept_licence)
    images = len(session.split.paths("train", "holdout")) * settings.augmentations
    latents = images * _CELL * ((settings.size or checkpoint.native_size) // checkpoint.scale_factor) ** 2
    check_before(session.state, ConsoleProgress(), sum(file.stat().st_size for file in checkpoint.weights), latents)
    paths = session.split.paths("train", "holdout")
    collection = with_hashes(session.collection, paths)
    session.ledger.save_hashes(collection)
    train, held = (samples(collection.images.loc[session.split.paths(part)]) for part in ("train", "holdout"))
    templates = choose_templates(pack, sorted({sample.label for sample in train}), ConsoleProgress())
    known = attributes_of(collection.images.loc[paths])
    material = Material(train, held, collection.root, templates, session.split.sha256, known)
    folder = session.state.adapters / folder_name
    session.state.adapters.mkdir(exist_ok=True)
    message(
        f"Base: {printable(checkpoint.ref.name)}, {settings.size or checkpoint.native_size} px; {len(train)} images"
    )
    message(f"Looks on the way: {shown(folder.with_name(folder.name + '.training') / 'samples')}")
    there = folder.is_dir()
    train_lora(material, checkpoint, settings, folder, CopyWatch(), progress)
    session.ledger.add_adapter(collection, folder)
    remember_base(session, folder, base)
    message(f"See what it changes, base above adapter: {shown(folder / 'samples.png')}")
    again = ", and not again: for a longer training give another --name" if there else ""
    result(f"Trained: {shown(folder)}{again}")
    result("Next: balance fill --target max --dry-run")


def _require_licence(session: Session, checkpoint: Checkpoint, *, accept_licence: bool) -> None:
    """Show the base's licence and have it accepted, once for these weights."""
    from balancer.generators.models.licence import find_licence, is_from_scratch

    name, licence = printable(checkpoint.ref.name), find_licence(checkpoint)
    if is_from_scratch(checkpoint):
        message(f"Licence of {name}: its training images' terms; balance trained it from scratch.")
        return
    if not licence.is_stated:
        message(f"Licence of {name}: none is stated in its folder. Whether you may use it is for you to find out.")
        return
    accepted = session.ledger.setting(session.collection, ACCEPTED) or {}
    message(f"Licence of {name}: {printable(licence.name)} ({printable(licence.where)})")
    if accepted.get(checkpoint.ref.sha256) == licence.name:
        return
    if not (accept_licence or _asked(name)):
        raise ModelError(
            needed=f"your word that you accept the licence of {name}: {printable(licence.name)}",
            found="no --accept-licence" + ("" if sys.stdin.isatty() else ", and no terminal to ask on"),
            next_step="read it, then add --accept-licence; it is remembered",
        )
    session.ledger.save_setting(session.collection, ACCEPTED, {**accepted, checkpoint.ref.sha256: licence.name})


def _asked(name: str) -> bool:
    return sys.stdin.isatty() and typer.confirm(f"Do you accept the licence of {name}?", err=True)
