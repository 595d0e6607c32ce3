"""Training images to latents, each in several slightly moved versions, computed once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from balancer.adapting.common import rng
from balancer.adapting.common.oom import no_room
from balancer.adapting.common.train_state import load_tensors
from balancer.collection.scan import Sample
from balancer.collection.unchanged import read_unchanged
from balancer.files import write_whole
from balancer.imaging.decode import GreyImage, resize
from balancer.parallel import in_threads

LARGEST_SCALE = 1.08
THUMBNAIL = 64
_SHARD = 64
_CACHE_BYTES = 4 * 2**30
_WORDS = ("mean", "deviation", "sizes", "thumbnails")


@dataclass(frozen=True, slots=True)
class Latents:
    """What the autoencoder makes of N images in A versions each, scaled as the UNet takes them, on the CPU.

    `mean` and `deviation` are (N, A, C, h, w) in half precision, `deviation` all zero where the autoencoder has none.
    `sizes` are XL's (N, A, 6): original height and width, crop from the top and the left, wanted height and width.
    `thumbnails` are uint8, (N, 64, 64).
    """

    mean: Tensor
    deviation: Tensor
    sizes: Tensor
    thumbnails: Tensor

    def sample(self, images: Tensor, versions: Tensor, chance: torch.Generator) -> Tensor:
        """One draw from the autoencoder's distribution for each image, (n, C, h, w) in float32."""
        mean = self.mean[images, versions].float()
        return mean + self.deviation[images, versions].float() * torch.randn(mean.shape, generator=chance)


@dataclass(frozen=True, slots=True)
class Encoder:
    """A pipeline's autoencoder as it is used here: float32, images of `size`, (width, height) in pixels."""

    vae: Any
    device: torch.device
    size: tuple[int, int]

    def fitting_versions(self, images: int, wanted: int, cells: int) -> int:
        """How many versions of each image keep the cache within 4 GiB; at least one. `cells` are a latent's numbers."""
        return max(1, min(wanted, _CACHE_BYTES // max(1, images * cells * 4)))

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled mean and standard deviation of the latents of uint8 (n, height, width); singly where memory is short.

        Raises:
            OutOfMemory: not even one picture fits on the device.
        """
        try:
            return self._encode(pictures)
        except torch.OutOfMemoryError as error:
            if len(pictures) == 1:
                raise no_room(*self.size) from error
        torch.cuda.empty_cache()
        parts = [self.encode(picture[None]) for picture in pictures]
        mean, deviation = (torch.cat(kind) for kind in zip(*parts, strict=True))
        return mean, deviation

    def _encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        colour = pictures.to(self.device, torch.float32).div(127.5).sub(1)[:, None].expand(-1, 3, -1, -1)
        found = self.vae.encode(colour.contiguous())
        if not hasattr(found, "latent_dist"):  # AutoencoderTiny and AutoencoderDC have no distribution
            mean = self._scaled(found[0])
            return mean, torch.zeros_like(mean)
        mean, deviation = found.latent_dist.mean, found.latent_dist.std
        return self._scaled(mean), (deviation * self._scale()).float().cpu()

    def _scaled(self, latents: Tensor) -> Tensor:
        shift = getattr(self.vae.config, "latents_mean", None)
        if shift is not None and getattr(self.vae.config, "latents_std", None) is not None:
            latents = latents - self._channels(shift)
        elif shift := getattr(self.vae.config, "shift_factor", None):
            latents = latents - shift
        scaled: Tensor = latents * self._scale()
        return scaled.float().cpu()

    def _scale(self) -> Any:
        spread = getattr(self.vae.config, "latents_std", None)
        if spread is None or getattr(self.vae.config, "latents_mean", None) is None:
            return self.vae.config.scaling_factor
        return self.vae.config.scaling_factor / self._channels(spread)

    def _channels(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=self.device).view(1, -1, 1, 1)


def moved(
    grey: GreyImage, size: tuple[int, int], seed: int, image: int, version: int
) -> tuple[GreyImage, tuple[int, ...]]:
    """Version 0 is the image stretched to a `size`, (width, height); others are enlarged by up to 8% and cut at random.

    Nothing is ever mirrored. Gives the picture and XL's six sizes.

    >>> moved(np.zeros((30, 20), np.uint8), (16, 16), seed=0, image=0, version=0)[1]
    (30, 20, 0, 0, 16, 16)
    """
    height, width = grey.shape
    if version == 0:
        return resize(grey, *size), (height, width, 0, 0, *size[::-1])
    chance = rng.generator(seed, f"version {version}", image)
    scale, down, right = torch.rand(3, generator=chance, dtype=torch.float64).tolist()
    scale = 1 + (LARGEST_SCALE - 1) * scale
    rows, columns = max(1, round(height / scale)), max(1, round(width / scale))
    top, left = round(down * (height - rows)), round(right * (width - columns))
    cut = np.ascontiguousarray(grey[top : top + rows, left : left + columns])
    place = round(top * size[1] / rows), round(left * size[0] / columns)
    return resize(cut, *size), (height, width, *place, *size[::-1])


def cached_latents(
    samples: Sequence[Sample],
    root: Path,
    encoder: Encoder,
    versions: int,
    seed: int,
    cache: Path,
    progress: Callable[[int, int], None],
) -> Latents:
    """The latents of all samples; those that `cache` holds from an earlier sitting are not computed again.

    Raises:
        CollectionError: a file is gone, or another than when it was scanned.
        ImageError: a file cannot be read.
    """
    cache.mkdir(parents=True, exist_ok=True)
    shards = []
    for first in range(0, len(samples), _SHARD):
        path = cache / f"{first:07d}.safetensors"
        if not path.exists():
            some = range(first, min(first + _SHARD, len(samples)))
            write_whole(path, save(_encode(samples, some, root, encoder, versions, seed)))
        shards.append(load_tensors(path, cache.parent))
        progress(min(first + _SHARD, len(samples)), len(samples))
    return Latents(**{name: torch.cat([shard[name] for shard in shards]) for name in _WORDS})


def _encode(
    samples: Sequence[Sample], places: range, root: Path, encoder: Encoder, versions: int, seed: int
) -> dict[str, Tensor]:
    greys = list(in_threads(lambda place: read_unchanged(root, samples[place]), places))
    rows = [
        [moved(grey, encoder.size, seed, place, version) for version in range(versions)]
        for place, grey in zip(places, greys, strict=True)
    ]
    made = [encoder.encode(torch.from_numpy(np.stack([picture for picture, _ in row]))) for row in rows]
    return {
        "mean": torch.stack([mean for mean, _ in made]).half().contiguous(),
        "deviation": torch.stack([deviation for _, deviation in made]).half().contiguous(),
        "sizes": torch.tensor([[sizes for _, sizes in row] for row in rows], dtype=torch.int32),
        "thumbnails": torch.from_numpy(np.stack([resize(grey, THUMBNAIL, THUMBNAIL) for grey in greys])),
    }
