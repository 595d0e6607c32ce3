"""Which images of the collection are the same as others, pixel for pixel."""

from __future__ import annotations

from collections.abc import Collection as Container

from balancer.collection.scan import Collection, Progress
from balancer.imaging.pixel_hash import digest_of
from balancer.parallel import in_threads
from balancer.store.database import Ledger

_AT_ONCE = 512


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
    for start in range(0, len(missing), _AT_ONCE):
        some = missing[start : start + _AT_ONCE]
        found = dict(zip(some, in_threads(lambda path: digest_of(collection.root / path), some), strict=True))
        ledger.save_pixel_digests(collection, found)
        known.update(found)
        progress(start + len(some), len(missing))
    return {known[path]: path for path in reversed(wanted) if known[path]}
