"""Edits that leave an image a copy: moved, mirrored, relit, blurred, noisy, compressed; drawn first, then computed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F

Batch = torch.Tensor
"""Grey images of shape (N, 1, side, side), values 0 to 1."""


@dataclass(frozen=True, slots=True)
class Edits:
    """One edit an image, each a tensor of length N: `angle` in radians, `zoom` as the share of the side that stays
    visible, `right` and `down` in half sides, `mirror` 1 or -1, `gamma`, `contrast`, `brightness`, `blur` (share of a
    blurred image), `noise` (standard deviation) and `step` (of the quantised cosine transform, as JPEG does it).
    """

    angle: torch.Tensor
    zoom: torch.Tensor
    right: torch.Tensor
    down: torch.Tensor
    mirror: torch.Tensor
    gamma: torch.Tensor
    contrast: torch.Tensor
    brightness: torch.Tensor
    blur: torch.Tensor
    noise: torch.Tensor
    step: torch.Tensor


def draw_edits(count: int, chance: torch.Generator) -> Edits:
    """Draw `count` edits of the strength that a copier who hides a copy, or a generator that blurs it, would use."""

    def between(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, generator=chance)

    return Edits(
        angle=between(-0.1, 0.1),
        zoom=between(0.8, 1.05),
        right=between(-0.08, 0.08),
        down=between(-0.08, 0.08),
        mirror=torch.where(between(0, 1) < 0.5, 1.0, -1.0),
        gamma=torch.exp(between(-0.35, 0.35)),
        contrast=between(0.75, 1.25),
        brightness=between(-0.15, 0.15),
        blur=between(-0.5, 1).clamp(min=0),
        noise=between(-0.03, 0.04).clamp(min=0),
        step=between(-0.05, 0.08).clamp(min=0),
    )


def apply_edits(images: Batch, edits: Edits, chance: torch.Generator) -> Batch:
    """Images after their edits; `chance` draws the noise alone.

    >>> still = torch.full((1, 1, 16, 16), 0.5)
    >>> apply_edits(still, draw_edits(1, torch.Generator()), torch.Generator()).shape
    torch.Size([1, 1, 16, 16])
    """
    moved = warp(images, edits.angle, edits.zoom, edits.right, edits.down, edits.mirror)
    lit = moved.clamp(1e-4, 1) ** _each(edits.gamma)
    lit = (lit - 0.5) * _each(edits.contrast) + 0.5 + _each(edits.brightness)
    soft = torch.lerp(lit, blurred(lit, 1.0), _each(edits.blur))
    grain = torch.randn(soft.shape, generator=chance) * _each(edits.noise)
    return _quantised((soft + grain).clamp(0, 1), edits.step)


def warp(
    images: Batch,
    angle: torch.Tensor,
    zoom: torch.Tensor,
    right: torch.Tensor,
    down: torch.Tensor,
    mirror: torch.Tensor,
) -> Batch:
    """Each image turned, zoomed, shifted and mirrored; beyond its border the border's value goes on."""
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = (torch.stack([cos * mirror, -sin, right], 1), torch.stack([sin * mirror, cos, down], 1))
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def blurred(images: Batch, sigma: float) -> Batch:
    """Gaussian blur, `sigma` in pixels; the border's value goes on."""
    down, across = (_blur(side, sigma) for side in images.shape[-2:])
    return down @ images @ across.T


@cache
def _blur(side: int, sigma: float) -> torch.Tensor:
    """A blur as a matrix: on a processor a product is many times as fast as a convolution of one channel."""
    reach = max(1, math.ceil(3 * sigma))
    at = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    places = (torch.arange(side)[:, None] + at).clamp(0, side - 1)
    return torch.zeros(side, side).scatter_add_(1, places, (kernel / kernel.sum()).expand(side, -1))


def _quantised(images: Batch, step: torch.Tensor) -> Batch:
    """The cosine transform of 8 x 8 blocks rounded to multiples of `step`, 0 meaning as it is (JPEG, ITU T.81)."""
    if images.shape[-1] % 8:
        return images
    basis = _cosines(images.shape[-1])
    waves = basis @ images @ basis.T
    size = _each(step.clamp(min=1e-6))
    rounded = torch.where(_each(step) > 0, torch.round(waves / size) * size, waves)
    return basis.T @ rounded @ basis


@cache
def _cosines(side: int) -> torch.Tensor:
    """The orthonormal cosine transform of every 8 values of a line, as a matrix of `side`."""
    place, wave = torch.arange(8.0), torch.arange(8.0)[:, None]
    rows = torch.cos(math.pi * (2 * place + 1) * wave / 16) * torch.where(wave == 0, math.sqrt(1 / 8), 0.5)
    return torch.block_diag(*[rows] * (side // 8))  # type: ignore[no-any-return, no-untyped-call]


def _each(values: torch.Tensor) -> torch.Tensor:
    return values.view(-1, 1, 1, 1)
