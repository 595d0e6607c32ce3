"""The generator's autoencoder: what every synthetic image went through, done to real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.data.images import Greys
from balancer.dataset.provenance import provenance_rows
from balancer.devices import choose_device
from balancer.errors import BalanceError
from balancer.generators.models.checkpoint import Checkpoint, find_checkpoint
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


def autoencoder_of(
    folder: Path,
    at_hand: Sequence[str],
    device: str,
    progress: Callable[[int, int], None],
    model: str | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Autoencoder | None:
    """The autoencoder of the checkpoint that made a balanced folder, found by its hash; `None` where it is not here.

    It is looked for among the models `at_hand`, or it is `model`, as the user named it.

    Raises:
        ModelError: there is no such model.
    """
    known = next((row for row in provenance_rows(folder) if row.get("model_sha256")), {})
    candidates = [find_checkpoint(model)] if model else _checkpoints(at_hand, known.get("model", ""))
    same = (each for each in candidates if each.ref.sha256 == known.get("model_sha256") and not each.single_file)
    found = next(same, None)
    if found is None:
        if model:
            note("Note: this step is left out, because --model did not generate these images, or is a single file.")
        return None
    size = (int(known.get("width") or found.native_size), int(known.get("height") or found.native_size))
    return Autoencoder(found, size, device, progress)


def _checkpoints(places: Sequence[str], likely: str) -> Iterator[Checkpoint]:
    """The checkpoints that are there, first those with the likely name: to tell one by its hash takes reading it."""
    for place in sorted(places, key=lambda each: Path(each).name != Path(likely).name):
        with suppress(BalanceError):  # an adapter, or what was a model once
            yield find_checkpoint(place)
