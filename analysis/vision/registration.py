"""Pixels laid over pixels: how alike two images are once one is mirrored, turned, zoomed and shifted onto the other.

First coarsely, by a product of all versions of an image with all others; then finely, for the few that are most alike,
by Gauss-Newton steps on an affine motion and a gain (after Evangelidis and Psarakis 2008, doi:10.1109/TPAMI.2008.113).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from analysis.data.images import Greys
from analysis.vision.copy_perturbations import blurred, warp

Places = npt.NDArray[np.int64]
_COARSE, _WINDOW, _SHIFT = 24, 18, 2  # pixels: side of a coarse map, its compared middle, farthest shift
_ANGLES, _ZOOMS, _MIRRORS = (-2.5, 0.0, 2.5), (0.95, 1.0, 1.055, 1.11), (1.0, -1.0)
_GRAIN, _EXPOSURE = 0.8, 4.0  # pixels: what is smaller or larger is not compared
_WIDE, _FINE = 32, 64  # sides of the maps that are registered, first the one, then the other
_WIDE_STEPS, _KEPT, _FINE_STEPS = 3, 6, 4
_INNER = 0.75  # share of the side that is compared finely
_LEAST, _MOST = 0.75, 1.3  # zooms that still count as an edit of the same image
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Pixels:
    """Images as what of them is compared: `greys` (N, 64, 64), `windows` (N, 324) and `targets` (N, 576).

    Windows and targets are the middles of small band-passed maps, of zero mean and unit length: the product of two is
    their normalised correlation.
    """

    greys: Greys
    windows: torch.Tensor
    targets: torch.Tensor

    @classmethod
    def of(cls, greys: Greys) -> Pixels:
        """The pixels of images of shape (N, 64, 64)."""
        edge, blocks = (_COARSE - _WINDOW) // 2, list(_blocks(max(1, len(greys))))
        windows = [_bandpassed(greys[rows], _COARSE)[:, 0, edge:-edge, edge:-edge] for rows in blocks]
        targets = [_target(greys[rows], _WIDE) for rows in blocks]
        return cls(greys, _unit(torch.cat(windows)), torch.cat(targets))

    def __len__(self) -> int:
        return len(self.greys)

    def some(self, places: Places) -> Pixels:
        """Select the pyramids of these images."""
        chosen = torch.from_numpy(places)
        return Pixels(self.greys[places], self.windows[chosen], self.targets[chosen])


@dataclass(frozen=True, slots=True)
class Coarse:
    """Largest correlation of one image with each of N others over its 600 versions, and the index of the version."""

    alike: torch.Tensor
    version: torch.Tensor

    @classmethod
    def of(cls, query: Pixels, windows: torch.Tensor) -> Coarse:
        """Exact: all versions times all windows."""
        versions = _versions(_bandpassed(query.greys, _COARSE))
        found = [(versions @ windows[rows].T).max(0) for rows in _blocks(len(windows))]
        return cls(torch.cat([each.values for each in found]), torch.cat([each.indices for each in found]))


def registered(query: Pixels, pool: Pixels, version: torch.Tensor) -> npt.NDArray[np.float64]:
    """Correlation of one image with each of some, registered from the coarse version that suits each best.

    Those that are less alike after the first steps than the best few keep a value of -1.
    """
    wide = _Pairs.of(query, pool.targets, _WIDE)
    motion = _motions()[version]
    for _ in range(_WIDE_STEPS):
        motion = wide.improved(motion)
    kept = wide.correlation(motion).topk(min(_KEPT, len(pool))).indices
    fine, motion = _Pairs.of(query, _target(pool.greys[kept.numpy()], _FINE), _FINE), motion[kept]
    best = fine.correlation(motion)
    for _ in range(_FINE_STEPS):
        motion = fine.improved(motion)
        best = torch.maximum(best, fine.correlation(motion))
    found = torch.full((len(pool),), -1.0)
    found[kept] = best
    return found.double().numpy()


@dataclass(frozen=True, slots=True)
class _Pairs:
    """One map with its slopes, (1, 3, side, side), and what others show at the compared spots, (N, P)."""

    moving: torch.Tensor
    target: torch.Tensor
    grid: torch.Tensor

    @classmethod
    def of(cls, query: Pixels, target: torch.Tensor, side: int) -> _Pairs:
        return cls(_with_slopes(_bandpassed(query.greys, side)), target, _grid(side))

    def correlation(self, motion: torch.Tensor) -> torch.Tensor:
        """Correlation of each pair after its motion; -1 where the motion is too extreme to be an edit of one image."""
        alike = (_unit(self._moved(motion)[:, 0]) * self.target).sum(1)
        return torch.where(_plausible(motion), alike.clamp(-1, 1), -1.0)

    def improved(self, motion: torch.Tensor) -> torch.Tensor:
        """One Gauss-Newton step on motion and gain together."""
        here, right, down = self._moved(motion).unbind(1)
        spots = torch.cat([self.grid, torch.ones_like(self.grid[:, :1])], 1)
        ways = torch.cat([right.unsqueeze(-1) * spots, down.unsqueeze(-1) * spots], 2)
        ways = torch.cat([ways - ways.mean(1, keepdim=True), -self.target.unsqueeze(-1)], 2)
        left = here - here.mean(1, keepdim=True)
        normal = ways.transpose(1, 2) @ ways
        normal = normal + torch.diag_embed(normal.diagonal(dim1=1, dim2=2) * 1e-3 + 1e-6)
        found: torch.Tensor = torch.linalg.solve(normal, -(ways.transpose(1, 2) @ left.unsqueeze(-1))).squeeze(-1)
        return motion + found[:, :6].reshape(-1, 2, 3).clamp(-0.05, 0.05)

    def _moved(self, motion: torch.Tensor) -> torch.Tensor:
        """The map and its slopes at every spot under each motion, (N, 3, P)."""
        spots = self.grid @ motion[:, :, :2].transpose(1, 2) + motion[:, None, :, 2]
        layers = self.moving.expand(len(motion), -1, -1, -1)
        found: torch.Tensor = F.grid_sample(layers, spots.unsqueeze(1), padding_mode="border", align_corners=False)
        return found.squeeze(2)


def _with_slopes(image: torch.Tensor) -> torch.Tensor:
    """A map and its slopes to the right and down, in values for each half side: (1, 3, side, side)."""
    wide, half = F.pad(image, (1, 1, 1, 1), mode="replicate"), image.shape[-1] / 4
    right = (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]) * half
    down = (wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]) * half
    return torch.cat([image, right, down], 1)


def _target(greys: Greys, side: int) -> torch.Tensor:
    """What images show at the compared spots, of zero mean and unit length: (N, P)."""
    maps = _bandpassed(greys, side)
    return _unit(F.grid_sample(maps, _grid(side).expand(len(maps), 1, -1, -1), align_corners=False))


def _grid(side: int) -> torch.Tensor:
    """The compared spots of a map, (P, 2) as (x, y) from -1 to 1."""
    inner = round(side * _INNER)
    line = (torch.arange(inner) + 0.5) / inner * 2 * _INNER - _INNER
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).reshape(-1, 2)


def _plausible(motion: torch.Tensor) -> torch.Tensor:
    """Whether a motion is an edit of one image and not a way to melt any image into any other."""
    turn = motion[:, :, :2]
    spread = torch.linalg.svdvals(turn)
    bounded = (spread > _LEAST) & (spread < _MOST)
    plausible: torch.Tensor = (
        bounded.all(1) & (motion[:, :, 2].abs() < 0.3).all(1) & (spread[:, 0] / spread[:, 1] < 1.15)
    )
    return plausible


def _settings() -> torch.Tensor:
    return torch.tensor(list(itertools.product(_ANGLES, _ZOOMS, _MIRRORS)))


def _versions(query: torch.Tensor) -> torch.Tensor:
    """All versions of one coarse map (1, 1, 24, 24): warped, then shifted; windows of unit length, (600, 324)."""
    settings = _settings()
    still = torch.zeros(len(settings))
    images = query.expand(len(settings), 1, _COARSE, _COARSE)
    turned = warp(images, settings[:, 0] * (math.pi / 180), settings[:, 1], still, still, settings[:, 2]).squeeze(1)
    starts = range((_COARSE - _WINDOW) // 2 - _SHIFT, (_COARSE - _WINDOW) // 2 + _SHIFT + 1)
    return _unit(torch.cat([turned[:, y : y + _WINDOW, x : x + _WINDOW] for y in starts for x in starts]))


def _motions() -> torch.Tensor:
    """The motion of each version, (600, 2, 3), in the order of `_versions`."""
    settings = _settings()
    angle, zoom, mirror = settings[:, 0] * (math.pi / 180), settings[:, 1], settings[:, 2]
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    turn = torch.stack([torch.stack([cos * mirror, -sin], 1), torch.stack([sin * mirror, cos], 1)], 1)
    shifts = [(x, y) for y in range(-_SHIFT, _SHIFT + 1) for x in range(-_SHIFT, _SHIFT + 1)]
    moves = [turn @ (torch.tensor(shift, dtype=torch.float32) * (2 / _COARSE)) for shift in shifts]
    return torch.cat([torch.cat([turn, move.unsqueeze(-1)], 2) for move in moves])


def _bandpassed(greys: Greys, side: int) -> torch.Tensor:
    """Anatomy without exposure and grain: a difference of Gaussians, evened in contrast, (N, 1, side, side)."""
    images = torch.tensor(greys).unsqueeze(1).float() / 255
    if side != images.shape[-1]:
        images = F.interpolate(images, (side, side), mode="area")
    band = blurred(images, _GRAIN) - blurred(images, _EXPOSURE)
    local = blurred(band**2, _EXPOSURE).sqrt()
    return band / (local + 0.01)


def _unit(windows: torch.Tensor) -> torch.Tensor:
    flat = windows.reshape(len(windows), -1)
    return F.normalize(flat - flat.mean(1, keepdim=True), dim=1)


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK))
