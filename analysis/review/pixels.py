"""Images as the page gets them: bare grey values, which carry no format, no metadata and no name."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence

import numpy as np

from balancer.imaging.decode import GreyImage, resize

_LARGEST = 1024  # pixels a side: what a page shows at once, for a hundred images kept in memory


def to_bytes(grey: GreyImage) -> bytes:
    r"""Width and height as little-endian 32-bit numbers, then one byte a pixel, row by row.

    >>> to_bytes(np.array([[1, 2, 3]], np.uint8))
    b'\x03\x00\x00\x00\x01\x00\x00\x00\x01\x02\x03'
    """
    height, width = grey.shape
    return struct.pack("<II", width, height) + grey.tobytes()


def alike(greys: Sequence[GreyImage]) -> list[bytes]:
    """Encode many images at their most common size, so that all have the same number of bytes.

    Other sizes are scaled to fit, proportions kept, and centred on black.
    """
    width, height = Counter(grey.shape[::-1] for grey in greys).most_common(1)[0][0]
    shrink = min(1.0, _LARGEST / max(width, height))
    box = max(1, round(width * shrink)), max(1, round(height * shrink))
    return [to_bytes(_fitted(grey, *box)) for grey in greys]


def _fitted(grey: GreyImage, width: int, height: int) -> GreyImage:
    scale = min(width / grey.shape[1], height / grey.shape[0])
    inner = resize(grey, max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    paper = np.zeros((height, width), np.uint8)
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    paper[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return paper
