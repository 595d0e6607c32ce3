"""Which held-out patients a model has seen, as far as it is on record."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.errors import ModelError
from balancer.text import many, printable

if TYPE_CHECKING:
    from balancer.generators.models.selection import ModelSelection
    from balancer.splits.split import Split
    from balancer.workspace.workspace import Session

UNKNOWN = "generator exposure unknown: there is no record of what the model was trained on"


def exposure_of(session: Session, folder: Path, split: Split | None = None) -> str:
    """What is to be said of the held-out patients that a model may have seen; nothing when it saw none of them."""
    from balancer.splits.contamination import exposed_images, learned_files

    learned, split = learned_files(folder), split or session.split
    if learned is None:
        return "generator exposure unknown: its card does not list its training files"
    known = exposed_images(session.collection, split, learned)
    if known.empty:
        return ""
    by_force = folder in session.ledger.exposed(session.collection)
    changed = " (the split was changed afterwards with --force)" if by_force else ""
    images = many(len(known), "image")
    return f"exposed: the model was trained on {images} that are held out now, or on their patients{changed}"


def exposed_models(session: Session, split: Split) -> list[Path]:
    """The models made here that have seen, or may have seen, what a split holds out."""
    made = session.ledger.adapters(session.collection)
    return sorted(folder for folder in made if folder.is_dir() and exposure_of(session, folder, split))


def require_learned(choice: ModelSelection, labels: Iterable[str]) -> str:
    """What is to be said of the classes that an adapter left out; nothing where it left out none.

    Raises:
        ModelError: a checkpoint from scratch left one out: it would draw another class and call it this one.
    """
    from balancer.splits.contamination import left_out_classes

    unknown = left_out_classes(choice.checkpoint.folder).intersection(labels)
    if unknown:
        names = ", ".join(map(printable, sorted(unknown)))
        raise ModelError(
            needed=f"a model that was trained on {names}",
            found=f"{printable(choice.checkpoint.ref.name)}, trained from scratch, without classes that have only one "
            "image",
            next_step="fill only the other classes, such as with --target LABEL=N, or adapt a base",
        )
    unadapted = frozenset() if choice.folder is None else left_out_classes(choice.folder).intersection(labels)
    names = ", ".join(map(printable, sorted(unadapted)))
    return f"the adapter was not trained on {names}, which has only one training image" if unadapted else ""


def learned_by(choice: ModelSelection | None) -> frozenset[str]:
    """The hashes of all images that a model and its adapter say they learned from."""
    from balancer.splits.contamination import learned_files

    folders = () if choice is None else filter(None, (choice.checkpoint.folder, choice.folder))
    return frozenset(sha256 for folder in folders for sha256 in (learned_files(folder) or {}).values())


def generator_exposure(session: Session, choice: ModelSelection | None) -> str:
    """What is to be said of the patients that the model may have seen; nothing when it saw the training part alone."""
    from balancer.splits.contamination import pretrained_images

    if choice is None:
        return UNKNOWN
    made_here = {folder.resolve(): folder for folder in session.ledger.adapters(session.collection)}
    checkpoint = choice.checkpoint.folder.resolve()
    before = pretrained_images(choice.checkpoint.folder)
    parts = [checkpoint] if choice.folder is None else [choice.folder.resolve(), checkpoint]
    if parts[0] not in made_here:
        return UNKNOWN
    said = [exposure_of(session, made_here[part]) for part in parts if part in made_here]
    if before:
        said.append(
            f"pretrained on {many(before, 'other radiograph')}: whether held-out patients are among them is not known"
        )
    if checkpoint not in made_here:
        base = printable(choice.checkpoint.ref.name)
        said.append(
            f"base exposure unknown: the adapter was trained here, but there is no record of what its base {base} was "
            "trained on before"
        )
    return "; ".join(filter(None, said))
