"""What the later commands begin with: the remembered collection, its split, and the ledger that holds both."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import message
from balancer.errors import CollectionError, SplitError
from balancer.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from balancer.collection.attributes import JointDistribution
    from balancer.collection.scan import Collection
    from balancer.prompting.packs import TemplatePack
    from balancer.splits.split import Split
    from balancer.store.database import Ledger
    from balancer.store.state_dir import State


@dataclass(frozen=True, slots=True)
class Session:
    """The collection that was scanned last."""

    state: State
    ledger: Ledger
    collection: Collection
    split: Split


@contextmanager
def opened(*, write: bool) -> Iterator[Session]:
    """Open the nearest state folder; with `write`, nobody else writes to it meanwhile.

    Raises:
        StateError: there is none, or another command is at work in it.
        CollectionError: the collection is gone.
    """
    from balancer.store.database import Ledger
    from balancer.store.state_dir import find_state, locked

    state = find_state(Path.cwd())
    with locked(state) if write else nullcontext(), Ledger(state) as ledger:
        collection = ledger.load_collection()
        if collection is None or not collection.root.is_dir():
            raise CollectionError(
                needed="a scanned collection",
                found="none yet" if collection is None else f"{collection.root}, which is gone",
                next_step="balance scan FOLDER",
            )
        split = ledger.load_split(collection)
        if split is None:
            raise SplitError(needed="the stored split", found="none", next_step="balance scan FOLDER")
        yield Session(state, ledger, collection, split)


def without_holdout(session: Session) -> Session:
    """The same with all of a flat collection as training data.

    Raises:
        SplitError: the collection has parts of its own, or names that a loader takes for parts.
    """
    from balancer.splits.split import no_split

    if session.collection.has_parts:
        raise SplitError(
            needed="a flat collection for --no-holdout",
            found="one with parts of its own, which are kept",
            next_step="leave --no-holdout out",
        )
    named = [finding for finding in session.collection.findings if finding.kind == "named-like-a-part"]
    if named:
        raise SplitError(
            needed="file names in which no loader sees a part, for --no-holdout",
            found=f"{printable(str(named[0].paths[0]))}: {named[0].message}",
            next_step="rename such files and scan again, or leave --no-holdout out",
        )
    return Session(session.state, session.ledger, session.collection, no_split(session.collection))


def balanced_folder(session: Session) -> Path | None:
    """Where the last fill put its balanced folder, else the usual place; `None` where there is none."""
    from balancer.dataset.merge import default_out
    from balancer.workspace.last_fill import LastFill

    last = LastFill.load(session.ledger, session.collection)
    places = [] if last is None else [session.state.folder.parent / last.place]
    return next((each for each in (*places, default_out(session.collection.root)) if each.is_dir()), None)


def save_report(session: Session, name: str, picture: Image) -> Path:
    """Put a picture for people into the state folder, whole or not at all."""
    from balancer.files import write_whole

    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    session.state.reports.mkdir(exist_ok=True)
    write_whole(session.state.reports / name, buffer.getvalue())
    return session.state.reports / name


def choose_templates(pack: str | None, labels: Sequence[str], *, quiet: bool = False) -> dict[str, TemplatePack]:
    """The template pack of each class: the one that the user named, else the packaged one that knows it.

    Says, unless `quiet`, which classes no pack knows, and what to edit.
    """
    from balancer.prompting.packs import PACKS, choose_pack, load_pack, unknown_labels

    usual = load_pack(pack) if pack else choose_pack(labels)
    packs = [usual] if pack else [usual, *map(load_pack, PACKS)]
    templates = {label: next((each for each in packs if each.find(label)), usual) for label in labels}
    unknown = [label for label in labels if unknown_labels(templates[label], [label])]
    if unknown and not quiet:
        names = ", ".join(printable(label) for label in unknown)
        message(f"Warning: {usual.source} does not know {names}: their prompts are the bare class name.")
        message("         To word them: balance prompts --new FILE.yaml, fill in, and pass it with --pack FILE.yaml")
    if len({each.source for each in templates.values()}) > 1 and not quiet:
        message(
            "Note: the classes are worded from two packs, which may tell them apart; --pack chest or bone takes one."
        )
    return templates


def known_attributes(session: Session, *, remember: bool) -> JointDistribution:
    """How sex, age group and view are distributed in the training part; says when prompts change because of it."""
    from balancer.filling.run import settle_attributes

    found, changed = settle_attributes(session.collection, session.split, session.ledger, remember=remember)
    if changed:
        message("The table of patients is another than at the last fill: prompts follow it, so images are made anew.")
    return found


def exposure_of(session: Session, folder: Path, split: Split | None = None) -> str:
    """What is to be said of the held-out patients that a model may have seen; nothing when it saw none of them."""
    from balancer.splits.contamination import exposed_images, learned_files

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
