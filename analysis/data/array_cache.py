"""Arrays that take long to make, kept in files under a hash of all that they are made from."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from balancer.files import write_whole

Arrays = Mapping[str, npt.NDArray[Any]]


def key_of(*facts: object) -> str:
    """A hash of what arrays are made from, for the name of their file; the facts are what JSON can hold.

    >>> key_of(1, ["a"]) == key_of(1, ["a"]) != key_of(1, ["b"])
    True
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def cached_arrays(place: Path, make: Callable[[], Arrays]) -> Arrays:
    """The arrays in the file `place`, .npz; where there is none that can be read, what `make` returns, saved there."""
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = dict(found)
        place.touch()
    except Exception:  # whatever is wrong with a cached file, the answer is to make it again
        arrays = dict(make())
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        place.parent.mkdir(exist_ok=True)
        write_whole(place, buffer.getvalue())
    return arrays


def remove_oldest(folder: Path, pattern: str, keep: int) -> None:
    """Delete all but the `keep` files of this name that were used last."""
    for old in sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)[:-keep]:
        old.unlink()
