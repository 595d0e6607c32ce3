"""Image files to one array in memory, decoded once, for everything that judges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from analysis.data.array_cache import cached_arrays, key_of, remove_oldest
from balancer.errors import ImageError
from balancer.imaging.decode import GreyImage, read_grey, resize
from balancer.parallel import in_threads

Greys = npt.NDArray[np.uint8]
"""Many images of one size, shape (N, side, side)."""
Progress = Callable[[int, int], None]
Result = TypeVar("Result")
_VERSION = 1  # of how files become arrays: raised with it, so that an old cache is not mistaken for a new one
_KEPT = 12  # files of one size in the cache: those of the last comparisons


def decode(paths: Sequence[Path], side: int, progress: Progress = lambda done, total: None) -> Greys:
    """Decode every file once, stretched to (side, side), in the order of `paths`.

    >>> decode([], 8).shape
    (0, 8, 8)

    Raises:
        ImageError: a file cannot be decoded.
    """
    greys = np.empty((len(paths), side, side), np.uint8)
    for place, grey in enumerate(in_threads(partial(_read, side=side), paths, progress)):
        greys[place] = grey
    return greys


def decode_readable(
    paths: Sequence[Path],
    side: int,
    cache: Path,
    hashes: Sequence[str],
    progress: Progress = lambda done, total: None,
) -> tuple[Greys, list[int]]:
    """The images that can be decoded, (M, side, side), and their M places in `paths`.

    In the folder `cache` they are kept under the `hashes` of all files: a second call with those decodes nothing.
    """

    def make() -> dict[str, npt.NDArray[np.generic]]:
        greys, readable = np.empty((len(paths), side, side), np.uint8), list[int]()
        for place, grey in read_all(partial(_read, side=side), paths, progress):
            greys[len(readable)] = grey
            readable.append(place)
        return {"greys": greys[: len(readable)], "readable": np.array(readable, np.int64)}

    found = cached_arrays(cache / f"decoded-{side}-{key_of(_VERSION, side, list(hashes))}.npz", make)
    remove_oldest(cache, f"decoded-{side}-*.npz", keep=_KEPT)
    return found["greys"], found["readable"].tolist()


def read_all(
    read: Callable[[Path], Result], paths: Sequence[Path], progress: Progress = lambda done, total: None
) -> Iterator[tuple[int, Result]]:
    """What `read` returns for each file that can be decoded, after its place in `paths`."""

    def attempt(path: Path) -> Result | None:
        try:
            return read(path)
        except (ImageError, OSError):
            return None

    yield from ((place, one) for place, one in enumerate(in_threads(attempt, paths, progress)) if one is not None)


def unit_vectors(greys: Greys) -> npt.NDArray[np.float32]:
    """Images (N, side, side) to vectors (N, side²) of mean 0 and length 1: their products are Pearson correlations.

    >>> ramp = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    >>> float((unit_vectors(ramp) @ unit_vectors(2 * ramp + 9).T).round(6)[0, 0])
    1.0
    """
    flat = greys.reshape(len(greys), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return flat


def _read(path: Path, side: int) -> GreyImage:
    return resize(read_grey(path), side, side)
