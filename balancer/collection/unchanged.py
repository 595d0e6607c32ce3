"""Real images read only while they are as they were scanned."""

from __future__ import annotations

from pathlib import Path

from balancer.collection.scan import Sample
from balancer.errors import CollectionError
from balancer.files import sha256_if_there
from balancer.imaging.decode import GreyImage, read_grey


def read_unchanged(root: Path, sample: Sample) -> GreyImage:
    """Decode a real image to shape (H, W), if its bytes are those that a job names.

    Raises:
        CollectionError: the file is gone, or another than it was.
        ImageError: it cannot be decoded.
    """
    found = sha256_if_there(root / sample.path)
    if found != sample.sha256:
        raise _changed(sample, f"{sample.path!r}: {'no such file' if found is None else 'another content'}")
    return read_grey(root / sample.path)


def _changed(sample: Sample, found: str) -> CollectionError:
    return CollectionError(
        needed=f"the real image of {sample.label} that was chosen, unchanged since the scan",
        found=found,
        next_step="scan the collection again: balance scan FOLDER; then: balance fill",
    )
