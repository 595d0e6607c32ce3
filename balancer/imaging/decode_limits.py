"""The largest image that is read: what takes more memory or time than any X-ray is refused before it is decoded."""

from __future__ import annotations

MAX_PIXELS = 50_000_000
"""Stitched films of whole legs have 35 million; beyond it, decoding takes a gigabyte."""
MAX_BYTES = 1 << 29
"""Of a file."""
MAX_READS = 200_000
"""A file is read in pieces of kilobytes, or section by section."""
MAX_BYTES_BESIDE_PIXELS = 1 << 26
MAX_INFLATED_BYTES = 1 << 27
"""Of a deflated DICOM file: more than any radiograph."""
MAX_JPEG_SCANS = 100
"""Passes of a progressive JPEG: encoders make a dozen."""


def is_too_large(width: int, height: int) -> bool:
    """Whether an image of so many pixels is refused.

    >>> is_too_large(4_000, 5_000), is_too_large(10_000, 10_000)
    (False, True)
    """
    return width * height > MAX_PIXELS


def require_size(width: int, height: int) -> None:
    """Raise a ValueError for an image of more than `MAX_PIXELS`."""
    if is_too_large(width, height):
        raise ValueError(f"too large: {width:,} x {height:,} pixels; at most {MAX_PIXELS:,} are decoded")


def require_scans(content: bytes) -> None:
    """Raise a ValueError for a JPEG of so many passes that it would be decoded for hours."""
    if content.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise ValueError(f"a JPEG of more than {MAX_JPEG_SCANS} passes")
