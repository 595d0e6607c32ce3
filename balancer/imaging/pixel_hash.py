"""Whether two files show the same image pixel for pixel, whatever their format, depth, brightness or metadata."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from balancer.errors import ImageError
from balancer.imaging.decode import GreyImage, read_grey


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


def digest_of(path: Path) -> str:
    """The same of a file; "" where it cannot be decoded."""
    try:
        return pixel_digest(read_grey(path))
    except ImageError:
        return ""
