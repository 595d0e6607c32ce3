"""Files at a reduced scale, as fast as they can be decoded: a look inside reads every byte, but few pixels."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from balancer.imaging.decode import read_small
from balancer.imaging.decode_limits import require_scans
from balancer.imaging.headers import quick_header
from balancer.imaging.safe_open import open_plainly

_MOST_BYTES = 1 << 22  # beyond them, the shortcut saves nothing
_SCALES = (8, 4, 2, 1)


def read_draft(path: str, side: int) -> tuple[Image.Image, int]:
    """What `read_small` gives: a grey picture of (side, side) pixels, and the number of frames.

    A usual JPEG goes to Pillow's decoder without Pillow's own reading of the header, a tenth of the time. Whatever
    is unusual about a file, a fault above all, is left to `read_small`.

    Raises:
        ImageError: the file cannot be decoded, or holds values that are not numbers.
    """
    quick = _quick(path, side)
    return read_small(Path(path), side) if quick is None else (quick, 1)


def _quick(path: str, side: int) -> Image.Image | None:
    try:
        content = _content(path)
        require_scans(content)
        header = quick_header(content)
        if header is None or header.format != "JPEG" or header.mode not in ("L", "RGB"):
            return None
        if len(content) > _MOST_BYTES:
            return None
        fits = min(header.width // side, header.height // side)
        scale = next((scale for scale in _SCALES if scale <= fits), 1)
        size = -(-header.width // scale), -(-header.height // scale)
        grey = Image.frombytes("L", size, content, "jpeg", "L", "", scale, 0)
    except (OSError, ValueError):  # truncated, damaged or gone
        return None
    return grey if size == (side, side) else grey.resize((side, side), Image.Resampling.BOX)


def _content(path: str) -> bytes:
    """At most one byte more than the shortcut is for."""
    file = open_plainly(path)
    try:
        return os.read(file, _MOST_BYTES + 1)
    finally:
        os.close(file)
