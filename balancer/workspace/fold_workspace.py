"""A workspace of its own for one fold or one redraw: the same collection, another split, a state folder for both.

What is adapted and filled there knows nothing of what was made elsewhere, and the usual functions do it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from balancer.collection.scan import Collection
from balancer.splits.split import Split, draw_fold
from balancer.store.database import Ledger
from balancer.store.state_dir import NAME, State
from balancer.workspace.recognition import recognise_files


@dataclass(frozen=True, slots=True)
class FoldWorkspace:
    """Where a fold is adapted and filled, and what is remembered there."""

    folder: Path
    state: State
    collection: Collection
    split: Split


def fold_of(collection: Collection, split: Split, fold: int) -> tuple[Collection, Split]:
    """The collection as one fold sees it: that fold is the test part, the others are there to train and to choose by.

    The collection's own parts are laid aside: every patient is tested once, in the fold that they are in.

    Raises:
        SplitError: there are no such folds.
    """
    flat = replace(collection, images=collection.images.assign(part=pd.Series("", collection.images.index, object)))
    return flat, draw_fold(flat, split, fold)


def make_fold_workspace(folder: Path, collection: Collection, split: Split) -> FoldWorkspace:
    """Make it, or find it as it was left; `folder` is inside a state folder, never inside the collection."""
    state = State(folder / NAME)
    state.folder.mkdir(parents=True, exist_ok=True)
    with Ledger(state) as ledger:
        for moved in recognise_files(ledger, collection.root, collection.images[["size", "mtime_ns"]]).moved:
            ledger.move_collection(moved, collection.root)
        known = ledger.load_collection(collection.root)
        stored = None if known is None else ledger.load_split(known)
        if stored is None or stored.sha256 != split.sha256:
            with ledger.atomic():
                ledger.save_collection(collection)
                ledger.save_split(collection, split)
    return FoldWorkspace(folder, state, collection, split)
