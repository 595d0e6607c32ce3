"""Files to arrays once, and found again in the cache; what cannot be decoded is set aside."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.data.images import Greys
from balancer.errors import ImageError
from balancer.files import write_whole
from balancer.imaging.decode import read_grey, resize
from balancer.parallel import cores

_VERSION = 1  # of how files become arrays: raised with it, so that an old cache is not mistaken for a new one
_KEPT = 12  # files of one size in the cache: those of the last comparisons
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pool:
    """Files that belong together: `names` are what a reader knows them by, `hashes` their contents."""

    files: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def some(self, places: Sequence[int]) -> Pool:
        """Only those at the given places."""
        columns = (self.files, self.names, self.labels, self.hashes)
        files, names, labels, hashes = (tuple(column[place] for place in places) for column in columns)
        return Pool(files, names, labels, hashes)  # type: ignore[arg-type]  # each column keeps its own type


def decode_pool(
    pool: Pool, side: int, cache: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Greys, list[int]]:
    """The images as (M, side, side), and the places in the pool of those M that could be decoded.

    They are kept in `cache` under the hashes of all files: a second call with the same files decodes nothing.
    """
    key = hashlib.sha256(json.dumps([_VERSION, side, list(pool.hashes)]).encode()).hexdigest()[:16]
    place = cache / f"decoded-{side}-{key}.npz"
    if (found := _loaded(place, len(pool), side)) is not None:
        return found
    greys, readable = _decode(pool.files, side, progress)
    cache.mkdir(exist_ok=True)
    _save(place, greys, readable)
    return greys, readable


def _decode(files: Sequence[Path], side: int, progress: Callable[[int, int], None]) -> tuple[Greys, list[int]]:
    greys = np.empty((len(files), side, side), np.uint8)

    def read(place: int) -> bool:
        try:
            greys[place] = resize(read_grey(files[place]), side, side)
        except (ImageError, OSError):
            return False
        return True

    readable = []
    with ThreadPoolExecutor(cores()) as workers:
        for place, is_read in enumerate(workers.map(read, range(len(files)))):
            if is_read:
                readable.append(place)
            progress(place + 1, len(files))
    return greys if len(readable) == len(files) else greys[readable], readable


def _loaded(place: Path, count: int, side: int) -> tuple[Greys, list[int]] | None:
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as found:
            greys, readable = found["greys"], found["readable"].tolist()
        place.touch()
    except Exception:  # whatever is wrong with a cached file, the answer is to make it again
        return None
    whole = greys.shape == (len(readable), side, side) and all(0 <= each < count for each in readable)
    return (greys, readable) if whole and greys.dtype == np.uint8 else None


def _save(place: Path, greys: Greys, readable: Sequence[int]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, greys=greys, readable=np.array(readable, np.int64))
    write_whole(place, buffer.getvalue())
    others = sorted(place.parent.glob(f"{place.name.rpartition('-')[0]}-*.npz"), key=lambda path: path.stat().st_mtime)
    for old in others[:-_KEPT]:
        old.unlink()
