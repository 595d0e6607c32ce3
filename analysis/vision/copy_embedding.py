"""Images to embeddings in which a copy stays near its original, learned from this collection alone.

A small network is trained with every image as a class of its own and edited copies as its positives: InfoNCE with the
entropy regulariser of SSCD (Pizzi et al. 2022, arXiv:2202.10261). Nothing is downloaded.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load, save
from torch import nn

from analysis.data.images import Greys
from analysis.vision.copy_perturbations import Batch, apply_edits, draw_edits
from balancer.adapting.common.device import TrainingDevice, find_machine, train_finite
from balancer.devices import use_cores
from balancer.files import write_whole

SIDE, WIDTH = 64, 128
"""Pixels a side that images are embedded at; numbers in an embedding."""
Vectors = npt.NDArray[np.float32]
_PAIRS, _RATE, _TEMPERATURE, _ENTROPY = 96, 2e-3, 0.1, 0.1
_CHUNK = 8  # embedded at once, always so many, so that an image's embedding does not depend on its company


class _Network(nn.Module):
    """Four convolutions that halve the side, the last map with its layout to features, and these to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 24, 48, 96, 96)
        steps = itertools.pairwise(widths)
        blocks = [
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.GroupNorm(8, b), nn.SiLU(inplace=True))
            for a, b in steps
        ]
        self.body = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(widths[-1] * (SIDE // 16) ** 2, 256), nn.SiLU())
        self.head = nn.Linear(256, WIDTH)

    def forward(self, images: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        spread, mean = torch.std_mean(images, dim=(1, 2, 3), keepdim=True)
        features = self.body(((images - mean) / (spread + 1e-3)).contiguous(memory_format=torch.channels_last))
        return F.normalize(self.head(features).float(), dim=1), features.float()


@dataclass(frozen=True, slots=True)
class Embedding:
    """A trained network; equal images give equal vectors, whatever they are embedded with."""

    network: _Network

    def embed(self, greys: Greys) -> Vectors:
        """Vectors of unit length, shape (N, 128), for images of shape (N, 64, 64)."""
        return self.describe(greys)[0]

    def describe(self, greys: Greys) -> tuple[Vectors, Vectors]:
        """The embeddings, and the features before the projection, shape (N, 256), which suit classifiers better."""
        found: tuple[list[Vectors], list[Vectors]] = ([], [])
        for start in range(0, len(greys), _CHUNK):
            some = greys[start : start + _CHUNK]
            full = np.zeros((_CHUNK, SIDE, SIDE), np.uint8)
            full[: len(some)] = some
            with torch.inference_mode():
                for kind, values in zip(found, self.network(_batch(full)), strict=True):
                    kind.append(values[: len(some)].numpy())
        empty = (np.empty((0, WIDTH), np.float32), np.empty((0, 256), np.float32))
        vectors, features = (np.concatenate(kind) if kind else none for kind, none in zip(found, empty, strict=True))
        return vectors, features

    def save(self, path: Path, facts: dict[str, object]) -> None:
        """Write the weights to `path` (safetensors) and what they are to a JSON file beside it, each whole."""
        write_whole(path.with_suffix(".json"), json.dumps(facts, indent=1, sort_keys=True).encode())
        write_whole(path, save(dict(self.network.state_dict())))

    @classmethod
    def load(cls, path: Path) -> Embedding | None:
        """The embedding that `save` wrote; `None` where there is none that can be used."""
        network = _Network()
        try:
            network.load_state_dict(load(path.read_bytes()))
        except Exception:  # whatever is wrong with a cached file, the answer is to make it again
            return None
        return cls(network.eval())


def usual_steps(count: int) -> int:
    """Training steps for so many images: by number, not by time, so that a machine repeats itself.

    The pixels find nearly all edited copies; more steps than these raised the share of planted ones no further.

    >>> usual_steps(200), usual_steps(2000), usual_steps(100_000)
    (60, 250, 400)
    """
    return max(60, min(400, count // 8))


def train_embedding(
    greys: Greys,
    seed: int = 0,
    steps: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    groups: npt.NDArray[np.int64] | None = None,
) -> Embedding:
    """Train on images of shape (N, 64, 64). Two images of one of `groups` (a patient) are not pushed apart.

    Raises:
        ValueError: fewer than two images.
    """
    if len(greys) < 2:
        raise ValueError("an embedding needs two images")
    use_cores()
    total = usual_steps(len(greys)) if steps is None else steps
    persons = torch.from_numpy(np.arange(len(greys)) if groups is None else groups)

    def train(machine: TrainingDevice) -> tuple[_Network, _Network]:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            network = _Network().to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=0.05)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total, pct_start=0.2)
        chance = torch.Generator().manual_seed(seed + 1)
        for step in range(total):
            chosen = torch.randperm(len(greys), generator=chance)[:_PAIRS].numpy()
            loss = _loss(network, _batch(greys[chosen]), persons[chosen], chance, machine)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rate.step()
            progress(step + 1, total)
        return network, network

    network = train_finite(train, find_machine("cpu"))
    return Embedding(network.to(memory_format=torch.contiguous_format).eval())  # as it will be when loaded


def _loss(
    network: _Network, images: Batch, groups: torch.Tensor, chance: torch.Generator, machine: TrainingDevice
) -> torch.Tensor:
    """InfoNCE between two edited copies of each image, and the entropy regulariser (Pizzi et al. 2022, eq. 4)."""
    views = torch.cat([apply_edits(images, draw_edits(len(images), chance), chance) for _ in range(2)])
    with machine.autocast():
        vectors, _ = network(views)
    count = len(images)
    alike = vectors @ vectors.T
    same = (groups[:, None] == groups[None, :]).repeat(2, 2)
    partner = torch.arange(2 * count).roll(count)
    ignored = same.clone()
    ignored[torch.arange(2 * count), partner] = False
    contrast = F.cross_entropy((alike / _TEMPERATURE).masked_fill(ignored, -1e4), partner)
    nearest = alike.masked_fill(same, -1).amax(1)
    return contrast - _ENTROPY * 0.5 * torch.log((2 - 2 * nearest).clamp(min=1e-4)).mean()


def _batch(greys: Greys) -> Batch:
    return torch.tensor(greys).unsqueeze(1).float() / 255
