"""Real images read only while they are as they were scanned."""

from __future__ import annotations

from pathlib import Path

from balancer.collection.scan import Sample
from balancer.errors import CollectionError
from balancer.files import sha256_if_there
from balancer.imaging.decode import GreyImage, read_grey


def read_unchanged(root: Path, sample: Sample) -> GreyImage:
    """Decode a real image to shape (H, W), if its bytes are those that were scanned.

    Raises:
        CollectionError: the file is gone, or another than it was.
        ImageError: it cannot be decoded.
    """
    found = sha256_if_there(root / sample.path)
    if found != sample.sha256:
        raise CollectionError(
            needed=f"a real image of {sample.label}, unchanged since the scan",
            found=f"{sample.path!r}: {'no such file' if found is None else 'another content'}",
            next_step="scan the collection again: balance scan FOLDER; then run the same command again",
        )
    return read_grey(root / sample.path)
