"""The generator's autoencoder: what every synthetic image went through, done to real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.data.images import Greys
from balancer.devices import choose_device
from balancer.generators.models.checkpoint import Checkpoint
from balancer.imaging.decode import read_grey, read_header, resize

_BATCH = 8


class Autoencoder:
    """Encodes and decodes images at the size that the model draws at, then brings them back to their own.

    Raises:
        ModelError: the device is not there.
    """

    def __init__(
        self, checkpoint: Checkpoint, size: tuple[int, int], device: str, progress: Callable[[int, int], None]
    ) -> None:
        self._network = _load(checkpoint).to(choose_device(device)).eval()
        self._size, self._progress = size, progress

    def __call__(self, paths: Sequence[Path], side: int) -> Greys:
        """The files as (N, side, side) images that carry the autoencoder's trace."""
        found = np.empty((len(paths), side, side), np.uint8)
        for start in range(0, len(paths), _BATCH):
            some = paths[start : start + _BATCH]
            for place, (path, grey) in enumerate(zip(some, self._run(some), strict=True), start):
                header = read_header(path)
                found[place] = resize(resize(grey, header.width, header.height), side, side)
            self._progress(start + len(some), len(paths))
        return found

    @torch.inference_mode()
    def _run(self, paths: Sequence[Path]) -> Greys:
        width, height = self._size
        greys = np.array([resize(read_grey(path), width, height) for path in paths])
        images = torch.from_numpy(greys).to(self._network.device).float().div(127.5).sub(1)
        latents = self._network.encode(images.unsqueeze(1).expand(-1, 3, -1, -1))
        hidden = latents.latents if hasattr(latents, "latents") else latents.latent_dist.mean
        drawn = self._network.decode(hidden).sample.float().mean(dim=1)
        return np.asarray(drawn.add(1).mul(127.5).round().clamp(0, 255).byte().cpu().numpy())


def _load(checkpoint: Checkpoint) -> Any:
    import diffusers

    kind = getattr(diffusers, checkpoint.config("vae")["_class_name"])
    return kind.from_pretrained(
        checkpoint.folder / "vae", variant=checkpoint.variant, use_safetensors=True, local_files_only=True
    )
