"""The denoising loss on images that nothing learned from, always with the same noise and noise levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from balancer.adapting.common import rng
from balancer.adapting.lora.base_model import LoraModel
from balancer.adapting.lora.latents import Latents

LEVELS = 4
"""Noise levels at which each image is judged, spread evenly over the whole range."""
LEAST = 10
"""A class with fewer holdout images gets no interval: it would mean nothing."""
MAX_IMAGES = 200
"""At most so many holdout images are judged, of each class about its share."""
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class ClassLoss:
    """The mean loss of a class's `images`; `low` and `high` bound its 95% bootstrap interval over images."""

    images: int
    loss: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class HoldoutLoss:
    """The loss over all classes, weighted as they are drawn (by the square root of their size), and of each."""

    loss: float
    classes: Mapping[str, ClassLoss]

    def to_json(self) -> dict[str, Any]:
        """The loss as JSON-compatible fields, by name."""
        return asdict(self)


def stratified_subset(labels: Sequence[str], most: int = MAX_IMAGES, least: int = LEAST) -> list[int]:
    """Places of about `most` images, each class by its share and evenly chosen, but `least` of it if it has them.

    >>> stratified_subset(["a"] * 8 + ["b"], most=4, least=1)
    [0, 2, 4, 6, 8]
    """
    members: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        members.setdefault(label, []).append(place)
    share = min(1.0, most / max(1, len(labels)))
    chosen = []
    for places in members.values():
        count = min(len(places), max(least, round(share * len(places))))
        chosen += [places[i * len(places) // count] for i in range(count)]
    return sorted(chosen)


@torch.no_grad()
def image_losses(
    model: LoraModel, latents: Latents, condition: Callable[[Tensor], Sequence[Tensor]], seed: int
) -> list[float]:
    """The mean loss of each image over its noise levels; `condition` gives what the UNet is told of images."""
    found = []
    for image in range(len(latents.mean)):
        chance = rng.generator(seed, "holdout", image)
        times = rng.draw_timesteps(LEVELS, model.objective.levels, chance)
        clean = latents.mean[image, 0].float().expand(LEVELS, -1, -1, -1)
        noise = torch.randn(clean.shape, generator=chance)
        batch = (clean, noise, times, *condition(torch.full((LEVELS,), image)))
        found.append(float(model.losses(*(tensor.to(model.machine.device) for tensor in batch)).mean()))
    return found


def summarised(losses: Sequence[float], labels: Sequence[str], weights: Mapping[str, float]) -> HoldoutLoss:
    """The losses of images as figures of each class and of all; `weights` are the classes' shares in a batch.

    >>> summarised([1.0, 3.0], ["a", "b"], {"a": 0.75, "b": 0.25}).loss
    1.5
    """
    classes = {}
    for label in sorted(set(labels)):
        own = np.array([loss for loss, name in zip(losses, labels, strict=True) if name == label])
        classes[label] = ClassLoss(len(own), float(own.mean()), *_interval(own))
    total = sum(weights[label] for label in classes)
    return HoldoutLoss(sum(weights[label] * each.loss for label, each in classes.items()) / total, classes)


def _interval(losses: Any) -> tuple[float | None, float | None]:
    if len(losses) < LEAST:
        return None, None
    places = np.random.default_rng(0).integers(0, len(losses), (_RESAMPLES, len(losses)))
    low, high = np.quantile(losses[places].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)
