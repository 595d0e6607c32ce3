"""The folder of other radiographs that a training from scratch learns from first: what of it may be, and where it is.

Its files are remembered in the state folder, so that screening looks for copies of them too.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from balancer.collection.scan import with_hashes
from balancer.dataset.metadata_files import MANIFEST, read_manifest
from balancer.errors import OutputError
from balancer.progress import Progress
from balancer.splits.contamination import HELD_OUT
from balancer.store.setting_names import POOL
from balancer.workspace.last_fill import portable

if TYPE_CHECKING:
    from balancer.adapting.scratch.pool import Pool
    from balancer.workspace.workspace import Session

_AGAIN = "name a folder of other radiographs: balance adapt --from-scratch --pretrain FOLDER"


def gather(session: Session, folder: Path, size: int, progress: Progress) -> Pool:
    """The radiographs of a folder that may be learned from: nothing of it that is held out, and nothing damaged.

    Raises:
        CollectionError: too few images are left, or the collection changed since it was scanned.
        OutputError: it is not apart from the collection, the state folder or a balanced folder.
    """
    from balancer.adapting.scratch.pool import read_pool
    from balancer.collection.image_stats import read_contents

    _require_apart(session, folder)
    collection = with_hashes(session.collection, session.collection.images.index, progress.start("Hashing"))
    session.ledger.save_hashes(collection)
    images = collection.images
    held: pd.Index[str] = session.split.paths(*HELD_OUT).intersection(images.index)
    known = dict(zip(images["sha256"], images.index.isin(held).tolist(), strict=True))
    known |= dict.fromkeys(images.loc[held, "sha256"], True)
    seen = session.ledger.load_contents(collection.root)
    contents = read_contents(collection.root, images.loc[held], seen, progress.start("Decoding held-out images"))
    pool = read_pool(folder, size, known, list(contents.values()), progress.start)
    progress.message(pool.told())
    return pool


def remember_pool(session: Session, made: Path, pool: Pool) -> None:
    """Keep where the files are that a checkpoint was pretrained on: in the state folder alone."""
    fields = {"place": portable(pool.root, session.state), "files": pool.places}
    session.ledger.save_setting(session.collection, POOL.of(made.name), fields)  # type: ignore[misc]


def pool_files(session: Session, learned: Iterable[str]) -> dict[str, Path]:
    """Where files are that models made here were pretrained on, by their hashes; of those that are `learned`.

    Of a file in several such folders, a place where it still is.
    """
    wanted, found = set(learned), dict[str, Path]()
    for made in session.ledger.adapters(session.collection):
        kept = session.ledger.setting(session.collection, POOL.of(made.name))
        if kept is not None:
            place = session.state.folder.parent / kept["place"]
            for sha256, path in kept["files"].items():
                if sha256 in wanted and not (sha256 in found and found[sha256].is_file()):
                    found[sha256] = place / path
    return found


def _require_apart(session: Session, folder: Path) -> None:
    here = folder.resolve()
    for what, place in (("the collection", session.collection.root), ("the state folder", session.state.folder)):
        other = place.resolve()
        if here == other or here in other.parents or other in here.parents:
            where = "is" if here == other else "lies in" if other in here.parents else "lies around"
            raise OutputError(
                needed=f"a folder to pretrain on that is apart from {what}",
                found=f"{folder} {where} {what} {place}",
                next_step=_AGAIN,
            )
    places = (here, *here.parents, *(each.parent for each in here.rglob(MANIFEST)))
    ours = next((each for each in places if read_manifest(each) is not None), None)
    if ours is not None:
        raise OutputError(
            needed="a folder of real radiographs to pretrain on",
            found=f"{folder} is, lies in or holds {ours}, a balanced folder with synthetic images",
            next_step=_AGAIN,
        )
