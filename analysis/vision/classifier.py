"""A quick classifier: a small residual network from scratch on images that were decoded once.

A weak baseline by design: what it says about arms of a comparison or about a shortcut, it says in seconds.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.data.images import Greys
from analysis.data.targets import Targets, evened, has_several, strata
from analysis.statistics.convergence import NO_COURSE, Course
from analysis.vision.augmentation import Augmentation, augment
from analysis.vision.checkpoints import Checkpoints, Monitor
from analysis.vision.objectives import ONE_CLASS, Objective, objective_for
from balancer.adapting.common.device import TrainingDevice, find_machine, train_finite
from balancer.adapting.common.rng import draw_indices, generator

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Loss = Callable[[Tensor, Tensor], Tensor]
"""(N, C) logits and the targets of as many images to one number."""

_AT_ONCE = 512
_RISE = 50  # steps until a learning rate that stays is reached


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """How a classifier is trained: always the same number of optimiser steps, whatever the images.

    `sampling`: "plain" shows every image equally often, "balanced" every class or label set, "weighted" as
    `sample_weights` say.
    `width` is the number of channels after the first block. Over the first `warm_up` of the steps the learning rate
    rises. With `mixup` each batch is mixed with one of plainly sampled images, whose share has a Beta(mixup, 1)
    distribution (balanced mixup, Galdran et al. 2021, arXiv:2109.09850).
    """

    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    width: int = 32
    warm_up: float = 0.1
    mixup: float = 0.0
    sampling: Literal["plain", "balanced", "weighted"] = "plain"
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    device: str = "cpu"


class HeadedNetwork(nn.Module):
    """A network whose `body` makes (N, D) features of (N, 1, side, side) images; its `head` makes logits of them."""

    head: nn.Linear

    def body(self, images: Tensor) -> Tensor:
        """(N, 1, side, side) images to (N, D) features."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits of shape (N, C)."""
        logits: Tensor = self.head(self.body(images))
        return logits


class Network(HeadedNetwork):
    """Three residual blocks (He et al. 2016), each at half the resolution; `body` gives (N, D) features."""

    def __init__(self, n_classes: int, width: int) -> None:
        super().__init__()
        first = max(8, width // 2)
        widths = (first, width, 2 * width, 4 * width)
        self.stem = nn.Sequential(nn.Conv2d(1, first, 5, 2, 2, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        self.blocks = nn.Sequential(*(_Block(*pair) for pair in pairwise(widths)))
        self.head = nn.Linear(widths[-1], n_classes)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.mean: Tensor
        self.scale: Tensor

    def body(self, images: Tensor) -> Tensor:
        """(N, 1, side, side) images, 0 to 1, to (N, D) features."""
        images = ((images - self.mean) / self.scale).contiguous(memory_format=torch.channels_last)
        features: Tensor = self.blocks(self.stem(images)).mean(dim=(2, 3))
        return features


class _Block(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(inside, outside, 3, 2, 1, bias=False)
        self.two = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(inside, outside, 1, 2, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outside) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        one, two, short = self.norms
        return F.relu(two(self.two(F.relu(one(self.one(x))))) + short(self.short(x)))


@dataclass(frozen=True, slots=True)
class Classifier:
    """A trained network, the names of its outputs, where it runs, and the course of its training if it was watched.

    `objective` says whether its outputs are classes, of which an image has one, or findings.
    """

    network: HeadedNetwork
    classes: tuple[str, ...]
    machine: TrainingDevice
    course: Course = NO_COURSE
    objective: Objective = ONE_CLASS

    def probabilities(self, greys: Greys) -> Floats:
        """(N, C) probabilities of the classes for (N, side, side) images."""
        return self.objective.probabilities(torch.from_numpy(self._run(greys, self.network))).numpy()

    def features(self, greys: Greys) -> Floats:
        """(N, D) activations before the last layer."""
        return self._run(greys, self.network.body)

    @torch.inference_mode()
    def _run(self, greys: Greys, function: Callable[[Tensor], Tensor]) -> Floats:
        self.network.eval()
        found: list[Floats] = []
        for start in range(0, max(1, len(greys)), _AT_ONCE):
            with self.machine.autocast():
                found.append(function(self._images(greys[start : start + _AT_ONCE])).float().cpu().numpy())
        return np.concatenate(found)

    def _images(self, greys: Greys) -> Tensor:
        return torch.from_numpy(greys).to(self.machine.device).float().div(255).unsqueeze(1)


def train_classifier(
    greys: Greys,
    targets: Targets,
    classes: Sequence[str],
    settings: ClassifierSettings,
    sample_weights: Floats | None = None,
    *,
    rows: Numbers | None = None,
    start: Classifier | None = None,
    head_only: bool = False,
    loss: Loss | None = None,
    monitor: Monitor | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Classifier:
    """Train on (N, side, side) images whose classes are `targets`, numbers of `classes`, or marks of these findings.

    With `rows` only these images are used, in that order and as often as they are named; `targets` are then theirs.
    With `start` the training goes on from a copy of that classifier, its normalisation included. With `head_only` its
    body stays as it is, the statistics of batch normalisation too, and a new head is trained (the second stage of
    Kang et al. 2020, arXiv:1910.09217). `loss` is where class weights or adjusted logits go in; by default it is that
    of the targets. With a `monitor` the
    learning rate stays, and the averaged weights with the lowest validation loss are the result. The same arguments
    give the same weights on the same machine.

    Raises:
        ModelError: the device is not there, or the weights are not finite, in float32 either.
        ValueError: there is no image, a number or mark is of no class, "weighted" came without weights, or `head_only`
            without a `start`.
    """
    rows = np.arange(len(greys)) if rows is None else rows
    _check(rows, targets, classes, settings, sample_weights)
    objective = objective_for(targets)
    judged = loss or objective.loss

    def train(machine: TrainingDevice) -> tuple[nn.Module, Classifier]:
        network = _first_network(greys, rows, len(classes), settings, start, head_only)
        machine.place(network)
        watched = None if monitor is None else Checkpoints(network, monitor, partial(_logits, machine))
        network.train(not head_only)
        learning = (network.head if head_only else network).parameters()
        optimiser = torch.optim.AdamW(learning, settings.learning_rate, weight_decay=settings.weight_decay)
        for step, (images, truth) in enumerate(_shown(greys, rows, targets, settings, sample_weights, machine)):
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * _schedule(step, settings, stays=watched is not None)
            with machine.autocast():
                logits = _judge(network, images, head_only)
            optimiser.zero_grad(set_to_none=True)
            truth(judged, logits.float()).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            progress(step + 1, settings.steps)
            if watched is not None and watched.after(network, step + 1, step + 1 == settings.steps):
                break
        if watched is None:
            return network, Classifier(network.eval(), tuple(classes), machine, objective=objective)
        best = watched.best().eval()
        return network, Classifier(best, tuple(classes), machine, watched.course, objective)  # type: ignore[arg-type]

    return train_finite(train, find_machine(settings.device))


@torch.inference_mode()
def _logits(machine: TrainingDevice, network: nn.Module, images: Tensor) -> Tensor:
    """(N, C) logits of (N, side, side) images."""
    network.eval()
    with machine.autocast():
        logits: Tensor = network(images.to(machine.device).float().div(255).unsqueeze(1))
    return logits


def _shown(
    greys: Greys,
    rows: Numbers,
    targets: Targets,
    settings: ClassifierSettings,
    weights: Floats | None,
    machine: TrainingDevice,
) -> Iterator[tuple[Tensor, Callable[[Loss, Tensor], Tensor]]]:
    """The augmented images of each step, (N, 1, side, side), and what makes a number of a loss and their logits."""
    images, places, wanted = torch.from_numpy(greys), torch.from_numpy(rows), torch.from_numpy(targets)

    def augmented(indices: Tensor, purpose: str, step: int) -> Tensor:
        batch = images[places[indices]].to(machine.device).float().div(255).unsqueeze(1)
        return augment(batch, settings.augmentation, generator(settings.seed, purpose, step))

    plain = _batches(targets, replace(settings, sampling="plain"), None, "mixed batch")
    for step, indices in enumerate(_batches(targets, settings, weights)):
        batch, truth = augmented(indices, "augmentation", step), partial(_loss_of, wanted[indices])
        if settings.mixup:
            others, share = next(plain), _share(settings, step)
            batch = (1 - share) * batch + share * augmented(others, "mixed augmentation", step)
            truth = partial(_mixed_loss, wanted[indices], wanted[others], share)
        yield batch, truth


def _share(settings: ClassifierSettings, step: int) -> float:
    """A draw from Beta(mixup, 1), by the inverse of its distribution."""
    drawn = torch.rand((), generator=generator(settings.seed, "mixup", step), dtype=torch.float64)
    return float(drawn) ** (1 / settings.mixup)  # type: ignore[no-any-return]


def _loss_of(truth: Tensor, loss: Loss, logits: Tensor) -> Tensor:
    return loss(logits, truth.to(logits.device))


def _mixed_loss(truth: Tensor, other: Tensor, share: float, loss: Loss, logits: Tensor) -> Tensor:
    return (1 - share) * _loss_of(truth, loss, logits) + share * _loss_of(other, loss, logits)


def _judge(network: HeadedNetwork, batch: Tensor, head_only: bool) -> Tensor:
    with torch.set_grad_enabled(not head_only):
        features = network.body(batch)
    logits: Tensor = network.head(features)
    return logits


def _check(
    rows: Numbers, targets: Targets, classes: Sequence[str], settings: ClassifierSettings, weights: Floats | None
) -> None:
    if not len(rows) or len(rows) != len(targets):
        raise ValueError(f"as many targets as images, and at least one; got {len(targets)} for {len(rows)}")
    if has_several(targets):
        if targets.shape[1] != len(classes):
            raise ValueError(f"a mark for each of {len(classes)} findings; got {targets.shape[1]}")
    elif targets.min() < 0 or targets.max() >= len(classes):
        raise ValueError(f"targets from 0 to {len(classes) - 1}; got {targets.min()} to {targets.max()}")
    if settings.sampling == "weighted" and (weights is None or len(weights) != len(rows)):
        raise ValueError("weighted sampling needs one weight an image")


def _first_network(
    greys: Greys,
    rows: Numbers,
    n_classes: int,
    settings: ClassifierSettings,
    start: Classifier | None,
    head_only: bool,
) -> HeadedNetwork:
    """What the training begins with."""
    if start is None and head_only:
        raise ValueError("to train only the head, the body of another classifier is needed")
    if start is None:
        return _new_network(greys, rows, n_classes, settings)
    network = copy.deepcopy(start.network)
    if head_only:
        network.head = new_head(network.head.in_features, n_classes, settings.seed)
    return network


def new_head(width: int, n_classes: int, seed: int) -> nn.Linear:
    """A last layer with weights of its own for each seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, "classifier head", 0).initial_seed())
        return nn.Linear(width, n_classes)


def _new_network(greys: Greys, rows: Numbers, n_classes: int, settings: ClassifierSettings) -> Network:
    with torch.random.fork_rng(devices=[]):  # torch's own generator is left alone
        torch.manual_seed(generator(settings.seed, "classifier weights", 0).initial_seed())
        network = Network(n_classes, settings.width)
    some = greys[rows[:: max(1, len(rows) // 1000)]].astype(np.float32) / 255
    network.mean.fill_(float(some.mean()))
    network.scale.fill_(max(float(some.std()), 1e-3))
    return network


def _batches(
    targets: Targets, settings: ClassifierSettings, weights: Floats | None, purpose: str = "batch"
) -> Iterator[Tensor]:
    """The images of each step: in turn and reshuffled for "plain", else drawn with replacement."""
    probabilities = _probabilities(targets, settings, weights)
    waiting = torch.empty(0, dtype=torch.int64)
    for step in range(settings.steps):
        chance = generator(settings.seed, purpose, step)
        if probabilities is not None:
            yield draw_indices(probabilities, settings.batch_size, chance)
            continue
        while len(waiting) < settings.batch_size:
            waiting = torch.cat((waiting, torch.randperm(len(targets), generator=chance)))
        yield waiting[: settings.batch_size]
        waiting = waiting[settings.batch_size :]


def _probabilities(targets: Targets, settings: ClassifierSettings, weights: Floats | None) -> Tensor | None:
    if settings.sampling == "plain":
        return None
    if settings.sampling == "weighted":
        return torch.from_numpy(np.asarray(weights, np.float64))
    return torch.from_numpy(evened(strata(targets)))


def _schedule(step: int, settings: ClassifierSettings, *, stays: bool) -> float:
    """A short rise, then half a cosine down to nothing; or the same for good."""
    if stays:
        return min(1.0, (step + 1) / _RISE)
    warm = max(1, round(settings.warm_up * settings.steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, settings.steps - warm)))
