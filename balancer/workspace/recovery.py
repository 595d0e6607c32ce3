"""A damaged ledger set aside, and what a new one can know again for certain: nothing is guessed."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from balancer.collection.scan import Collection, with_hashes
from balancer.errors import DamagedLedger
from balancer.files import sha256_if_there
from balancer.generators.models.model_card import CARD, read_card
from balancer.jobs import BlindedAnswer
from balancer.splits.contamination import learned_files
from balancer.store.database import Ledger
from balancer.store.review_log import ReviewRecord
from balancer.store.state_dir import State

_BESIDE = ("", "-wal", "-shm")  # what SQLite keeps beside its file belongs to it


def set_aside_if_damaged(state: State) -> tuple[str, str] | None:
    """Look at all of the ledger; give a damaged one another name. That name and what is wrong, or `None`.

    Raises:
        StateError: it cannot be read for another reason.
    """
    try:
        with Ledger(state) as ledger:
            ledger.require_sound()
    except DamagedLedger as error:
        return _set_aside(state), error.found
    return None


def take_up_adapters(ledger: Ledger, collection: Collection, folder: Path) -> list[Path]:
    """Register what `adapt` made from this collection in `folder` and the ledger does not know, the oldest first.

    An adapter is of this collection when one file that its card says it learned from is there with the same content.
    """
    known = set(ledger.adapters(collection))
    found = [made for made in folder.glob("*/") if made not in known and _learned_here(made, collection)]
    found.sort(key=lambda made: (made / CARD).stat().st_mtime_ns)
    for made in found:
        ledger.add_adapter(collection, made)
    return found


def take_up_readings(ledger: Ledger, collection: Collection, state: State) -> int:
    """Register answers in blinded studies that the ledger does not know, on images that are as they were; how many."""
    if ledger.readings(collection):
        return 0
    kept = (each for each in ledger.decisions(collection) if isinstance(each.said, BlindedAnswer))
    found = [each for each in kept if _is_there(each, collection, state)]
    ledger.replay(collection, found)
    return len(found)


def split_of(adapter: Path) -> str | None:
    """The hash of the split that an adapter learned from; `None` where its card does not say."""
    found = read_card(adapter).get("split_sha256")
    return None if found is None else str(found)


def _set_aside(state: State) -> str:
    names = (f"{state.ledger.name}.damaged-{number}" for number in count(1))
    name = next(name for name in names if not (state.folder / name).exists())
    for beside in _BESIDE:
        file = state.folder / f"{state.ledger.name}{beside}"
        if file.exists():
            file.rename(state.folder / f"{name}{beside}")
    return name


def _learned_here(made: Path, collection: Collection) -> bool:
    learned = learned_files(made) or {}
    there = collection.images.index.intersection(list(learned))
    if there.empty:
        return False
    hashes = with_hashes(collection, there).images["sha256"]
    return any(hashes[path] == learned[path] for path in there)


def _is_there(decision: ReviewRecord, collection: Collection, state: State) -> bool:
    """Whether the image of a blinded study is as it was: a real one by its path, a synthetic one by its id."""
    truth, _, name = decision.image.partition(" ")
    if truth == "real":
        places = [collection.root / name] if name in collection.images.index else []
    else:
        places = [place for place in state.candidates.glob("*") if place.stem == name]
    return any(sha256_if_there(place) == decision.sha256 for place in places)
