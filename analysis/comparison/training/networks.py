"""Backbones that are trained as a whole: a small residual network from scratch, or a network with weights from disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from analysis.comparison.inputs.study import Numbers, Probabilities
from analysis.comparison.training.time_estimate import network_pace
from analysis.comparison.training.training_spec import (
    Ability,
    Floats,
    Model,
    Progress,
    Seen,
    TimeEstimate,
    TrainingSpec,
)
from analysis.data.images import Greys
from analysis.data.targets import Targets
from analysis.statistics.convergence import Course
from analysis.vision.checkpoints import Monitor
from analysis.vision.classifier import Classifier, ClassifierSettings, Loss, train_classifier
from analysis.vision.objectives import objective_for
from analysis.vision.pretrained import SIDE, PretrainedNetwork, load_body
from balancer.files import sha256_of

_FEW = 2  # images of 224 px: what a short try can afford
WEAK = "weak baseline"
"""The stamp of what knows nothing beyond this collection."""


@dataclass(frozen=True, slots=True)
class Network:
    """A trained network."""

    classifier: Classifier

    @property
    def course(self) -> Course:
        """The validation losses of the last stage of training."""
        return self.classifier.course

    def probabilities(self, seen: Seen) -> Probabilities:
        """(N, C) probabilities of the classes for (N, side, side) images."""
        return self.classifier.probabilities(seen)


class _OnImages:
    """A backbone that sees the images themselves and trains on them step by step."""

    __slots__ = ()
    stamps: ClassVar[tuple[str, ...]] = ()
    unable: ClassVar[Mapping[Ability, str]] = {}
    looks_alike: ClassVar[bool] = True

    def units(self, steps: int) -> int:
        """One unit of work for each step."""
        return steps

    def look(
        self, images: Greys, real: Numbers, targets: Targets, classes: tuple[str, ...], seed: int, progress: Progress
    ) -> Seen:
        """The images unchanged, (N, side, side): a network needs no features."""
        return images


@dataclass(frozen=True, slots=True)
class SmallNetwork(_OnImages):
    """The small residual network from scratch of `analysis.vision.classifier`, which knows this collection alone."""

    stamps: ClassVar[tuple[str, ...]] = (WEAK,)
    memory: ClassVar[int] = 10**9  # most of it is torch itself
    device: str = "cpu"
    side: int = 64
    steps: int = 600
    batch_size: int = 64
    width: int = 32
    rates: tuple[float, ...] = (3e-3, 1e-3, 1e-2)

    @property
    def setting(self) -> str:
        """Backbone and image size, as a verdict names them."""
        return f"small network, {self.side} px"

    def facts(self) -> dict[str, object]:
        """Everything that its results depend on."""
        return {"backbone": "small", "side": self.side, **_facts(self._settings())}

    def pace(self, steps: int, learned: int, others: int) -> TimeEstimate:
        """By a few steps of its batches."""
        return network_pace(self, self.batch_size, self.batch_size, steps, others)

    def learn(self, seen: Seen, spec: TrainingSpec, progress: Progress) -> Model:
        """Train from scratch, or from `spec.start`."""
        return Network(_train(seen, spec, self._settings(), _started(spec), progress))

    def _settings(self) -> ClassifierSettings:
        return ClassifierSettings(
            device=self.device, batch_size=self.batch_size, width=self.width, learning_rate=self.rates[0]
        )


@dataclass(frozen=True, slots=True)
class FineTuned(_OnImages):
    """A torchvision network with weights from disk, all of it trained on."""

    memory: ClassVar[int] = 6 * 10**9  # measured with ResNet-50 at 224 px, 32 at once
    name: str
    weights: Path
    device: str = "cpu"
    side: int = SIDE
    steps: int = 600
    batch_size: int = 32
    rates: tuple[float, ...] = (1e-4, 3e-5, 3e-4)

    @property
    def setting(self) -> str:
        """Backbone and image size, as a verdict names them."""
        return f"{self.name}, {self.side} px"

    def facts(self) -> dict[str, object]:
        """Everything that its results depend on."""
        known = {"backbone": self.name, "weights": sha256_of(self.weights), "side": self.side}
        return {**known, **_facts(self._settings())}

    def pace(self, steps: int, learned: int, others: int) -> TimeEstimate:
        """By a step of a few images, since a whole batch takes seconds."""
        few = min(_FEW, self.batch_size)
        return network_pace(replace(self, batch_size=few), few, self.batch_size, steps, others, times=1)

    def learn(self, seen: Seen, spec: TrainingSpec, progress: Progress) -> Model:
        """Train on from the weights on disk, or from `spec.start`."""
        from balancer.adapting.common.device import find_machine

        start = _started(spec)
        if start is None:
            network = PretrainedNetwork(load_body(self.weights), len(spec.classes), spec.seed)
            start = Classifier(network, spec.classes, find_machine(self.device))
        return Network(_train(seen, spec, self._settings(), start, progress))

    def _settings(self) -> ClassifierSettings:
        return ClassifierSettings(
            device=self.device, batch_size=self.batch_size, learning_rate=self.rates[0], weight_decay=1e-4
        )


def _facts(settings: ClassifierSettings) -> dict[str, object]:
    """All settings of a training that an arm, a seed or a choice does not set."""
    set_elsewhere = ("steps", "seed", "sampling", "augmentation", "mixup")
    return {name: value for name, value in asdict(settings).items() if name not in set_elsewhere}


def _started(spec: TrainingSpec) -> Classifier | None:
    return spec.start.classifier if isinstance(spec.start, Network) else None


def _train(
    seen: Seen, spec: TrainingSpec, settings: ClassifierSettings, start: Classifier | None, progress: Progress
) -> Classifier:
    settings = replace(
        settings,
        steps=spec.steps,
        seed=spec.seed,
        sampling=spec.sampling,
        augmentation=spec.augmentation,
        mixup=spec.mixup,
        learning_rate=spec.learning_rate or settings.learning_rate,
    )
    return train_classifier(
        seen,
        spec.targets,
        spec.classes,
        settings,
        spec.row_weights,
        rows=spec.rows,
        start=start,
        head_only=spec.head_only,
        loss=_loss(spec),
        monitor=_monitor(seen, spec),
        progress=progress,
    )


def _monitor(seen: Seen, spec: TrainingSpec) -> Monitor | None:
    watched = spec.watched
    if watched is None:
        return None
    return Monitor(seen[watched.rows], watched.targets, spec.assumed_log_prior(), watched.to_plateau)


def _loss(spec: TrainingSpec) -> Loss:
    """That of the targets, weighted or with a prior added to the logits."""
    import torch

    def tensor(values: Floats | None) -> torch.Tensor | None:
        return None if values is None else torch.from_numpy(np.asarray(values, np.float32))

    objective = objective_for(spec.targets)
    weights, prior = tensor(spec.class_weights), tensor(spec.log_prior)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        moved = logits if prior is None else logits + prior.to(logits.device)
        return objective.loss(moved, targets, None if weights is None else weights.to(logits.device))

    return loss
