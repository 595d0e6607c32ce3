"""A collection that was moved is known again by its files; one that is still in its place was copied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from balancer.collection.scan import Collection
from balancer.collection.walk import list_files
from balancer.files import sha256_if_there
from balancer.store.database import Ledger

_MOST = 0.9  # of the known files are there with their sizes: a few may have come, gone or changed meanwhile
_HASHED = 32  # files that are read where neither times nor sizes tell one from another


@dataclass(frozen=True, slots=True)
class Recognition:
    """What is remembered of the files of a folder.

    `moved` are collections that are no longer where they were, the one scanned last at the end; `copied` those that
    are still there.
    """

    moved: tuple[Collection, ...] = ()
    copied: tuple[Collection, ...] = ()


def recognise(ledger: Ledger, root: Path) -> Recognition:
    """The remembered collections that have the files of a folder which is not remembered itself."""
    if ledger.load_collection(root) is not None or not ledger.roots():
        return Recognition()
    files = list_files(root)
    columns = {"size": list(files.sizes), "mtime_ns": list(files.times)}
    return recognise_files(ledger, root, pd.DataFrame(columns, pd.Index(files.paths, dtype=object)))


def recognise_files(ledger: Ledger, root: Path, files: pd.DataFrame) -> Recognition:
    """Recognise a collection by a table of its files: `size` (bytes) and `mtime_ns` by path."""
    known = [each for place in ledger.roots() if (each := ledger.load_collection(place)) is not None]
    same = [each for each in known if _is_same(each.images, root, files)]
    moved = tuple(each for each in same if not each.root.is_dir())
    return Recognition(moved, tuple(each for each in same if each.root.is_dir()))


def _is_same(images: pd.DataFrame, root: Path, files: pd.DataFrame) -> bool:
    both = images[["size", "mtime_ns", "sha256"]].join(files.add_suffix("_here"), how="inner")
    both = both[both["size"] == both["size_here"]]
    if both.empty or len(both) < _MOST * len(images):
        return False
    told = both[(both["mtime_ns"] != both["mtime_ns_here"]) & both["sha256"].notna()]
    some = told.iloc[:: max(1, len(told) // _HASHED)]["sha256"]  # hashes are known of files of one size
    return all(sha256_if_there(root / path) == sha256 for path, sha256 in some.items())  # type: ignore[operator]
