"""Image files to one array in memory, decoded once, for everything that judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from balancer.imaging.decode import read_grey, resize
from balancer.parallel import cores

Greys = npt.NDArray[np.uint8]
"""Many images of one size, shape (N, side, side)."""


def decode(paths: Sequence[Path], side: int, progress: Callable[[int, int], None] = lambda done, total: None) -> Greys:
    """Decode every file once, stretched to (side, side), in the order of `paths`; threads decode in parallel.

    >>> decode([], 8).shape
    (0, 8, 8)

    Raises:
        ImageError: a file cannot be decoded.
    """
    greys = np.empty((len(paths), side, side), np.uint8)

    def read(place: int) -> None:
        greys[place] = resize(read_grey(paths[place]), side, side)

    with ThreadPoolExecutor(cores()) as pool:
        for done, _ in enumerate(pool.map(read, range(len(paths))), start=1):
            progress(done, len(paths))
    return greys
