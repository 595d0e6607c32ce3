"""How much each part of a training image counts: half of its loss is of its findings, where these are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from balancer.adapting.lora.latents import moved
from balancer.collection.regions import Region, union
from balancer.collection.scan import Sample

_LARGEST = 20.0  # of a weight: half of the loss from a single cell would be mostly noise


@dataclass(frozen=True, slots=True)
class RegionWeights:
    """Weights (A, h, w) of the latents of images with regions, by their numbers; all others count alike everywhere."""

    known: Mapping[int, Tensor]
    cells: tuple[int, int]

    def of(self, images: Tensor, versions: Tensor) -> Tensor:
        """The weights of versions of images, (n, 1, h, w); those of one image have mean 1."""
        found = torch.ones(len(images), 1, *self.cells)
        for place, (image, version) in enumerate(zip(images.tolist(), versions.tolist(), strict=True)):
            if image in self.known:
                found[place, 0] = self.known[image][version]
        return found


def region_weights(
    samples: Sequence[Sample],
    regions: Mapping[str, Sequence[Region]],
    size: tuple[int, int],
    shape: Sequence[int],
    seed: int,
) -> RegionWeights | None:
    """The weights of training images as they are stretched and moved to a size, (width, height).

    `shape` is that of their latents, (N, A, C, h, w). `None` where no image has a region.
    """
    versions, cells = shape[1], (shape[3], shape[4])
    known = {
        place: torch.stack([_weights(regions[sample.path], size, cells, seed, place, each) for each in range(versions)])
        for place, sample in enumerate(samples)
        if regions.get(sample.path)
    }
    return RegionWeights(known, cells) if known else None


def shared(inside: npt.NDArray[np.float32]) -> Tensor:
    """Weights of mean 1 by which what is inside and what is outside have half of the loss each.

    `inside`, (h, w), is the share of each cell that is inside. Nothing that is inside counts less than before, or more
    than 20 times.

    >>> shared(np.float32([[1, 0, 0, 0, 0]])).tolist()
    [[2.5, 0.625, 0.625, 0.625, 0.625]]
    """
    area = float(inside.mean())
    if not 0 < area < 0.5:
        return torch.ones(inside.shape)
    more = min(0.5 / area, _LARGEST)
    less = (1 - area * more) / (1 - area)
    return torch.from_numpy(less + (more - less) * inside)


def _weights(
    regions: Sequence[Region], size: tuple[int, int], cells: tuple[int, int], seed: int, image: int, version: int
) -> Tensor:
    """The mask goes the way of its image; each cell counts by how much of it is inside."""
    grey = union(regions, regions[0].height, regions[0].width).astype(np.uint8) * 255
    placed = torch.from_numpy(moved(grey, size, seed, image, version)[0].astype(np.float32) / 255)
    return shared(F.adaptive_avg_pool2d(placed[None, None], cells)[0, 0].clamp(0, 1).numpy())
