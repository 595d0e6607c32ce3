"""Small images for the page, as data URIs: no name and no metadata of a file goes with them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from balancer.errors import ImageError
from balancer.imaging.decode import GreyImage, read_grey, resize

SIDE, QUALITY = 128, 82
TILES = 8
"""Images of a class and a kind, at most."""
_ALL = 400  # images of the whole page, so that it can be sent


def tiles_of(paths: Sequence[Path], classes: int) -> list[str]:
    """Images spread evenly over `paths`, those that cannot be read passed over; fewer where there are many classes."""
    count = max(2, min(TILES, _ALL // max(1, 2 * classes)))
    places = np.linspace(0, len(paths) - 1, min(count, len(paths)))
    return [uri for place in places if (uri := tile_of(paths[round(place)]))]


def first_tiles(paths: Sequence[Path]) -> list[str]:
    """The first of them, without those that cannot be read."""
    return [uri for path in paths[:TILES] if (uri := tile_of(path))]


def data_uri(grey: GreyImage, side: int = SIDE) -> str:
    """A grey image as a JPEG of at most so many pixels a side, its proportions kept.

    >>> data_uri(np.zeros((8, 8), np.uint8))[:23]
    'data:image/jpeg;base64,'
    """
    height, width = grey.shape
    scale = min(1.0, side / max(height, width))
    small = resize(grey, max(1, round(width * scale)), max(1, round(height * scale)))
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def tile_of(path: Path, side: int = SIDE) -> str:
    """The image of a file, or nothing where it cannot be read."""
    try:
        return data_uri(read_grey(path), side)
    except (ImageError, OSError):
        return ""
