"""How long a backbone takes on this machine, by a try of a second or two on noise: for an estimate beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from analysis.comparison.training.training_spec import Backbone, TimeEstimate, TrainingSpec
from analysis.data.images import Greys
from analysis.vision.augmentation import Augmentation

_ROWS, _FEATURES = 200, 512


def network_pace(
    backbone: Backbone, tried: int, batch_size: int, steps: int, others: int, times: int = 3
) -> TimeEstimate:
    """The pace of a network, by `times` steps, whose batches have `tried` images now and `batch_size` in earnest.

    Strongly augmented, which takes longest; one step more, in which much is made ready, is not counted.
    """
    from balancer.parallel import one_thread

    seen, stamps = noise(tried, backbone.side), list[float]()
    spec = TrainingSpec(
        np.arange(tried), np.arange(tried) % 2, ("a", "b"), 1 + times, 0, augmentation=Augmentation.strong()
    )
    with one_thread():
        model = backbone.learn(seen, spec, lambda done, total: stamps.append(_now(backbone.device)))
        step = (stamps[-1] - stamps[0]) / times * batch_size / tried
        said = seconds_of(lambda: model.probabilities(seen), backbone.device) / tried
    return TimeEstimate(0.0, steps * step + others * said)


def regression_seconds(backbone: Backbone, learned: int) -> float:
    """Of a logistic regression on the features of so many images, by one on a few."""
    chance = np.random.default_rng(0)
    features = chance.normal(size=(_ROWS, _FEATURES)).astype(np.float32)
    spec = TrainingSpec(np.arange(_ROWS), np.arange(_ROWS) % 2, ("a", "b"), 1, 0)
    return seconds_of(lambda: backbone.learn(features, spec, lambda done, total: None)) * learned / _ROWS


def seconds_of(work: Callable[[], object], device: str = "cpu") -> float:
    """Seconds that something takes the second time."""
    work()
    began = _now(device)
    work()
    return _now(device) - began


def noise(count: int, side: int) -> Greys:
    """Random grey images, shape (count, side, side)."""
    return np.random.default_rng(0).integers(0, 256, (count, side, side), np.uint8)


def _now(device: str) -> float:
    """Seconds, once the device has done what it was given; of a CPU those of this process, whoever else is at work."""
    import torch

    if device == "cpu":
        return time.process_time()
    torch.mps.synchronize() if device == "mps" else torch.cuda.synchronize(device)
    return time.perf_counter()
