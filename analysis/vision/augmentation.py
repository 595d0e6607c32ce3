"""Changes of a radiograph that leave its finding as it is, done on whole batches."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The widest change of each kind; what happens to an image is drawn evenly between none and that.

    `rotation` in degrees, `shift` in image sides, `zoom` and `contrast` as factors (0.1: from 1 / 1.1 to 1.1),
    `brightness` and `noise` (a standard deviation) in shares of white. `flip` is off: it turns sides of a body round.
    """

    rotation: float = 7.0
    shift: float = 0.06
    zoom: float = 0.12
    contrast: float = 0.2
    brightness: float = 0.1
    noise: float = 0.02
    flip: bool = False

    @classmethod
    def none(cls) -> Augmentation:
        """No augmentation."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    @classmethod
    def strong(cls) -> Augmentation:
        """Strong augmentation: twice the usual ranges."""
        return cls(15.0, 0.1, 0.25, 0.4, 0.2, 0.04)


def augment(images: Tensor, settings: Augmentation, chance: torch.Generator) -> Tensor:
    """Change each of (N, 1, side, side) images, 0 black to 1 white, in its own way; the edge is drawn out, not black.

    Everything is drawn on the CPU from `chance`, so that every device sees the same.

    >>> flat = torch.full((2, 1, 4, 4), 0.5)
    >>> bool((augment(flat, Augmentation.none(), torch.Generator()) == flat).all())
    True
    """
    if settings == Augmentation.none():
        return images
    drawn = torch.rand((6, len(images)), generator=chance).mul(2).sub(1).to(images.device)
    moved = _move(images, settings, drawn[:4], chance)
    contrast = (1 + settings.contrast) ** drawn[4].view(-1, 1, 1, 1)
    level = moved.mean(dim=(2, 3), keepdim=True)
    moved = (moved - level) * contrast + level + settings.brightness * drawn[5].view(-1, 1, 1, 1)
    if settings.noise:
        strength = torch.rand((len(images), 1, 1, 1), generator=chance) * settings.noise
        moved = moved + (torch.randn(images.shape, generator=chance) * strength).to(images.device)
    return moved.clamp(0, 1)


def _move(images: Tensor, settings: Augmentation, drawn: Tensor, chance: torch.Generator) -> Tensor:
    """Turn, zoom and shift by one resampling."""
    angle, zoom = drawn[0] * settings.rotation * pi / 180, (1 + settings.zoom) ** drawn[1]
    mirror = torch.ones_like(zoom)
    if settings.flip:
        mirror = torch.randint(0, 2, (len(images),), generator=chance).to(zoom) * 2 - 1
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    rows = (cos * mirror, -sin, 2 * settings.shift * drawn[2], sin * mirror, cos, 2 * settings.shift * drawn[3])
    matrix = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
