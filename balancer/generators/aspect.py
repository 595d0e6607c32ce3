"""Widths and heights that keep the proportions of a collection at the area that a model was made for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from balancer.errors import ModelError

if TYPE_CHECKING:
    from balancer.generators.models.checkpoint import Checkpoint

WIDEST = 2.0
"""Times as wide as high, or as high as wide, at most: no model here was trained on more."""


def sides(size: int, aspect: float, multiple: int) -> tuple[int, int]:
    """The width and height of about `size` x `size` pixels whose proportion is near `aspect`, width over height.

    Both are multiples of `multiple`, as the model needs them.

    >>> sides(512, 1.0, 8), sides(512, 1.25, 8), sides(1024, 0.8, 32)
    ((512, 512), (576, 456), (928, 1152))
    """
    root = math.sqrt(min(WIDEST, max(1 / WIDEST, aspect)))
    width, height = (max(1, round(side / multiple)) * multiple for side in (size * root, size / root))
    return width, height


def possible_sides(checkpoint: Checkpoint, size: int, aspect: float) -> tuple[int, int]:
    """The sides of images that a model can make.

    Raises:
        ModelError: they are no multiple of what it needs, or more than its denoiser has places for.
    """
    multiple, most = checkpoint.side, checkpoint.largest_side
    if size % multiple or size <= 0:
        raise ModelError(
            needed=f"a size that is a multiple of {multiple} pixels for this model",
            found=f"--size {size}",
            next_step=f"use --size {max(1, round(size / multiple)) * multiple}",
        )
    found = sides(size, aspect, multiple)
    if most is not None and max(found) > most:
        fitting = int(size * most / max(found)) // multiple * multiple
        raise ModelError(
            needed=f"at most {most} pixels a side for this model",
            found=f"{found[0]} x {found[1]} pixels",
            next_step=f"use --size {max(multiple, fitting)}",
        )
    return found
