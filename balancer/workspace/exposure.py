"""Which held-out patients a model has seen, as far as it is on record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from balancer.splits.contamination import exposed_images, learned_files
from balancer.text import printable

if TYPE_CHECKING:
    from balancer.generators.models.selection import Choice
    from balancer.splits.split import Split
    from balancer.workspace.workspace import Session

UNKNOWN = "generator exposure unknown: what the model was trained on is not on record here"


def exposure(session: Session, choice: Choice | None) -> str:
    """What is to be said of the patients that a model may have seen; nothing when it saw training images alone.

    `choice` is `None` for a generator of another family, of which nothing is on record.
    """
    if choice is None:
        return UNKNOWN
    made_here = {folder.resolve(): folder for folder in session.ledger.adapters(session.collection)}
    checkpoint = choice.checkpoint.folder.resolve()
    folders = [checkpoint] if choice.folder is None else [choice.folder.resolve(), checkpoint]
    if folders[0] not in made_here:
        return UNKNOWN
    said = [exposure_of(session, made_here[folder]) for folder in folders if folder in made_here]
    if checkpoint not in made_here:
        base = printable(choice.checkpoint.ref.name)
        said.append(
            f"base exposure unknown: the adapter learned here, but what its base {base} was trained on before is not "
            "on record"
        )
    return "; ".join(filter(None, said))


def learned_by(choice: Choice | None) -> frozenset[str]:
    """The hashes of all images that a model and its adapter say they learned from."""
    folders = () if choice is None else filter(None, (choice.checkpoint.folder, choice.folder))
    return frozenset(sha256 for folder in folders for sha256 in (learned_files(folder) or {}).values())


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
