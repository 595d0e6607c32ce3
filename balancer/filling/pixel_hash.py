"""Whether two files show the same image pixel for pixel, whatever their format, depth, brightness or metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Collection as Container
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from balancer.collection.scan import Collection, Progress
from balancer.errors import ImageError
from balancer.imaging.decode import GreyImage, read_grey
from balancer.parallel import cores
from balancer.store.database import Ledger

_AT_ONCE = 512


def pixel_digest(grey: GreyImage) -> str:
    """The SHA-256 of an image's size and of the ranks of its grey values.

    Ranks stay as they are when a file of 16 bits is made of one of 8, and when brightness, contrast or gamma change.

    >>> grey = np.array([[10, 20, 40]], np.uint8)
    >>> pixel_digest(grey) == pixel_digest(grey * 2 + 7) != pixel_digest(grey.T)
    True
    """
    height, width = grey.shape
    ranks = (np.cumsum(np.bincount(grey.ravel(), minlength=256) > 0) - 1).astype(np.uint8)
    return hashlib.sha256(f"{width}x{height}:".encode() + ranks[grey].tobytes()).hexdigest()


def collection_pixel_hashes(
    collection: Collection,
    sizes: Container[tuple[int, int]],
    ledger: Ledger,
    progress: Progress = lambda done, total: None,
) -> dict[str, str]:
    """Paths of the collection's images of all parts that have one of `sizes` (width, height), by their grey values.

    Only images of the same size can be the same. What was decoded once is remembered in the ledger; what cannot be
    decoded is passed over.
    """
    images = collection.images
    wanted = [
        p for p, *size in zip(images.index, images["width"], images["height"], strict=True) if tuple(size) in sizes
    ]
    known = ledger.pixel_digests(collection)
    missing = [path for path in wanted if path not in known]

    def digest(path: str) -> str:
        try:
            return pixel_digest(read_grey(collection.root / path))
        except ImageError:
            return ""

    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(missing), _AT_ONCE):
            some = missing[start : start + _AT_ONCE]
            found = dict(zip(some, pool.map(digest, some), strict=True))
            ledger.save_pixel_digests(collection, found)
            known.update(found)
            progress(start + len(some), len(missing))
    return {known[path]: path for path in reversed(wanted) if known[path]}
