"""Which held-out patients a model has seen, as far as it is on record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from balancer.splits.contamination import exposed_images, learned_files

if TYPE_CHECKING:
    from balancer.splits.split import Split
    from balancer.workspace.workspace import Session


def exposure_of(session: Session, folder: Path, split: Split | None = None) -> str:
    """What is to be said of the held-out patients that a model may have seen; nothing when it saw none of them."""
    learned, split = learned_files(folder), split or session.split
    if learned is None:
        return "generator exposure unknown: its card does not say which files it learned from"
    known = exposed_images(session.collection, split, learned)
    if known.empty:
        return ""
    by_force = folder in session.ledger.exposed(session.collection)
    changed = " (the split was changed afterwards with --force)" if by_force else ""
    images = f"{len(known)} image{'s' if len(known) > 1 else ''}"
    return f"exposed: the model learned from {images} that are held out now, or from others of their patients{changed}"


def exposed_models(session: Session, split: Split) -> list[Path]:
    """The models made here that have seen, or may have seen, what a split holds out."""
    made = session.ledger.adapters(session.collection)
    return sorted(folder for folder in made if folder.is_dir() and exposure_of(session, folder, split))
