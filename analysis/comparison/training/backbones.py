"""What the arms of a comparison train: backbones behind one small Protocol.

A small residual network from scratch, a network with weights from disk that is trained on as a whole, or features of
one of them that are computed once, with logistic regression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from analysis.comparison.inputs.study import Chances, Numbers
from analysis.comparison.training.time_estimate import network_pace, noise, regression_seconds, seconds_of
from analysis.comparison.training.training_spec import (
    Ability,
    Floats,
    Learner,
    Lesson,
    Model,
    Pace,
    Progress,
    Seen,
    Watched,
)
from analysis.data.images import Greys
from analysis.statistics.convergence import Course
from analysis.vision.checkpoints import Monitor
from analysis.vision.classifier import Classifier, ClassifierSettings, Loss, train_classifier
from analysis.vision.pretrained import BACKBONES, SIDE, PretrainedNetwork, load_body, load_pretrained
from balancer.devices import choose_device
from balancer.errors import ModelError
from balancer.files import sha256_of

_AT_ONCE = 64
_FEW = 2  # images of 224 px: what a short try can afford
_WEAK = "weak baseline"
_LIKE_WEIGHTS = "frozen features: with logistic regression this is what class-weights does"


@dataclass(frozen=True, slots=True)
class Network:
    """A trained network."""

    classifier: Classifier

    @property
    def course(self) -> Course:
        """That of its last stage."""
        return self.classifier.course

    def chances(self, seen: Seen) -> Chances:
        """(N, C) chances of the classes for (N, side, side) images."""
        return self.classifier.probabilities(seen)


class _OnImages:
    """A learner that sees the images themselves and trains on them step by step."""

    __slots__ = ()
    stamps: ClassVar[tuple[str, ...]] = ()
    unable: ClassVar[Mapping[Ability, str]] = {}
    looks_alike: ClassVar[bool] = True

    def units(self, steps: int) -> int:
        """Each step."""
        return steps

    def look(
        self, images: Greys, real: Numbers, targets: Numbers, classes: tuple[str, ...], seed: int, progress: Progress
    ) -> Seen:
        """The images themselves."""
        return images


@dataclass(frozen=True, slots=True)
class SmallNetwork(_OnImages):
    """The small residual network from scratch of `analysis.vision.classifier`, which knows this collection alone."""

    stamps: ClassVar[tuple[str, ...]] = (_WEAK,)
    memory: ClassVar[int] = 10**9  # most of it is torch itself
    device: str = "cpu"
    side: int = 64
    steps: int = 600
    batch_size: int = 64
    width: int = 32
    rates: tuple[float, ...] = (3e-3, 1e-3, 1e-2)

    def facts(self) -> dict[str, object]:
        """Everything that its results depend on."""
        return {"backbone": "small", "side": self.side, **_facts(self._settings())}

    def pace(self, steps: int, learned: int, others: int) -> Pace:
        """By a few steps of its batches."""
        return network_pace(self, self.batch_size, self.batch_size, steps, others)

    def learn(self, seen: Seen, lesson: Lesson, progress: Progress) -> Model:
        """Train from scratch, or from `lesson.start`."""
        return Network(_train(seen, lesson, self._settings(), _started(lesson), progress))

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

    def facts(self) -> dict[str, object]:
        """Everything that its results depend on."""
        known = {"backbone": self.name, "weights": sha256_of(self.weights), "side": self.side}
        return {**known, **_facts(self._settings())}

    def pace(self, steps: int, learned: int, others: int) -> Pace:
        """By a step of a few images, since a whole batch takes seconds."""
        few = min(_FEW, self.batch_size)
        return network_pace(replace(self, batch_size=few), few, self.batch_size, steps, others, times=1)

    def learn(self, seen: Seen, lesson: Lesson, progress: Progress) -> Model:
        """Train on from the weights on disk, or from `lesson.start`."""
        from balancer.adapting.common.device import find_machine

        start = _started(lesson)
        if start is None:
            network = PretrainedNetwork(load_body(self.weights), len(lesson.classes), lesson.seed)
            start = Classifier(network, lesson.classes, find_machine(self.device))
        return Network(_train(seen, lesson, self._settings(), start, progress))

    def _settings(self) -> ClassifierSettings:
        return ClassifierSettings(
            device=self.device, batch_size=self.batch_size, learning_rate=self.rates[0], weight_decay=1e-4
        )


@dataclass(frozen=True, slots=True)
class Frozen:
    """Features that are computed once, and logistic regression on them.

    The features are of a network with `weights` from disk at 224 px; without, of a small network that is trained on
    the real training images, another for each seed: the luck of that training counts too.
    """

    unable: ClassVar[Mapping[Ability, str]] = {
        "augmentation": "frozen features: they are computed once, of the images as they are",
        "sampling": _LIKE_WEIGHTS,
        "head": _LIKE_WEIGHTS,
        "pretraining": "frozen features: nothing below the last layer learns",
        "mixup": "frozen features: they are computed once, of the images as they are",
    }
    memory: ClassVar[int] = 10**9  # most of it is torch itself
    rates: ClassVar[tuple[float, ...]] = ()
    weights: Path | None = None
    device: str = "cpu"
    side: int = 64
    steps: int = 600
    strengths: tuple[float, ...] = (20.0, 2.0, 200.0)

    @property
    def stamps(self) -> tuple[str, ...]:
        """Features of this collection alone are a weak baseline."""
        return (_WEAK,) if self.weights is None else ()

    @property
    def looks_alike(self) -> bool:
        """Weights from disk are the same for every seed."""
        return self.weights is not None

    def facts(self) -> dict[str, object]:
        """Everything that its results depend on."""
        weights = None if self.weights is None else sha256_of(self.weights)
        own = {} if self.weights else {"feature_steps": self.steps, "features": "trained anew for each seed"}
        size = {"side": self.side, "strengths": list(self.strengths)}
        return {"backbone": "frozen", "weights": weights, "device": self.device, **own, **size}

    def units(self, steps: int) -> int:
        """Once: there are no steps."""
        return 1

    def pace(self, steps: int, learned: int, others: int) -> Pace:
        """By a few images looked at, or a few steps of the network that looks; and by a small regression."""
        if self.weights is not None:
            network = load_pretrained(self.weights, self.device)
            look = seconds_of(lambda: network(noise(_FEW, self.side))) / _FEW * (learned + others)
        else:
            look = SmallNetwork(self.device, self.side).pace(self.steps, learned, learned + others).training
        return Pace(look, regression_seconds(self, learned))

    def look(
        self, images: Greys, real: Numbers, targets: Numbers, classes: tuple[str, ...], seed: int, progress: Progress
    ) -> Seen:
        """(N, D) features of every image, each with mean 0 and deviation 1 over the real training images."""
        if self.weights is not None:
            features = _in_turn(load_pretrained(self.weights, self.device), images, progress)
        else:
            settings = ClassifierSettings(steps=self.steps, sampling="balanced", seed=seed, device=self.device)
            trained = train_classifier(images, targets, classes, settings, rows=real, progress=progress)
            features = trained.features(images)
        mean, spread = features[real].mean(axis=0), features[real].std(axis=0)
        scaled: Seen = (features - mean) / np.maximum(spread, 1e-6)
        return scaled

    def learn(self, seen: Seen, lesson: Lesson, progress: Progress) -> Model:
        """Fit to the optimum: no steps, no luck, and weights of the classes where other learners sample them evenly.

        Adding a prior to the logits in the loss moves the intercepts of the optimum by that prior, and nothing else:
        it is taken off them afterwards. The penalty's strength is one for an image, whatever their number: the loss is
        a sum, so that C = c / n, and c is chosen on validation; the first of `strengths` where there is none.
        """
        fitted = [self._fit(seen, lesson, strength) for strength in self.strengths[: None if lesson.watched else 1]]
        progress(1, 1)
        watched = lesson.watched
        if watched is None:
            return fitted[0]
        return min(fitted, key=lambda each: _balanced_loss(each.chances(seen[watched.rows]), watched, lesson))

    def _fit(self, seen: Seen, lesson: Lesson, strength: float) -> Regression:
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        weights = _weights(lesson)
        regression = LogisticRegression(C=strength / weights.sum(), max_iter=2000)
        with threadpool_limits(1):  # sums in another order have other last digits
            regression.fit(seen[lesson.rows], lesson.targets, sample_weight=weights)
        shift = np.zeros(len(lesson.classes)) if lesson.log_prior is None else -lesson.log_prior
        return Regression(regression, np.asarray(shift, np.float64))


def _weights(lesson: Lesson) -> npt.NDArray[np.float64]:
    """What each row counts for in a sum, (M,): what other learners do by sampling."""
    targets = lesson.targets
    if lesson.row_weights is not None:
        return np.asarray(lesson.row_weights, np.float64)
    of_class = np.ones(len(lesson.classes)) if lesson.class_weights is None else lesson.class_weights
    if lesson.sampling == "balanced":
        counts = np.bincount(targets, minlength=len(lesson.classes))
        of_class = len(targets) / (len(lesson.classes) * np.maximum(counts, 1))
    return np.asarray(of_class[targets], np.float64)


def _balanced_loss(chances: Chances, watched: Watched, lesson: Lesson) -> float:
    """Cross entropy, the mean over classes of their means, without the class shares that the training took for granted."""
    moved = chances / lesson.assumed_shares()
    own = moved[np.arange(len(moved)), watched.targets] / moved.sum(axis=1)
    losses = -np.log(np.maximum(own, 1e-12))
    return float(np.mean([losses[watched.targets == each].mean() for each in np.unique(watched.targets)]))


@dataclass(frozen=True, slots=True)
class Regression:
    """A logistic regression, and what is added to its logits, (C,)."""

    fitted: Any
    shift: npt.NDArray[np.float64]
    course: ClassVar[Course] = Course()

    def chances(self, seen: Seen) -> Chances:
        """(N, C) chances of the classes for (N, D) features; 0 for a class that it never saw."""
        chances = np.zeros((len(seen), len(self.shift)))
        if len(seen):
            chances[:, self.fitted.classes_] = self.fitted.predict_proba(seen)
        chances *= np.exp(self.shift - self.shift.max())
        shares: Chances = (chances / np.maximum(chances.sum(axis=1, keepdims=True), 1e-300)).astype(np.float32)
        return shares


def find_learner(
    backbone: str = "small",
    *,
    weights: Path | None = None,
    side: int | None = None,
    steps: int | None = None,
    device: str = "cpu",
) -> Learner:
    """The learner that goes by that name: "small", "frozen", or one of `BACKBONES` with its weights.

    >>> find_learner("small", side=128).side
    128

    Raises:
        ModelError: no such backbone or device; weights that are missing, of another network, or of no use.
    """
    device = choose_device(device)
    chosen: dict[str, Any] = {"device": device} | ({} if steps is None else {"steps": steps})
    _check_side(backbone, weights, side)
    if backbone == "frozen":
        if weights is not None:
            load_body(weights)  # whatever is wrong with them is said before anything is decoded
        return Frozen(weights, side=SIDE if weights else side or 64, **chosen)
    if backbone == "small" and weights is None:
        return SmallNetwork(side=side or 64, **chosen)
    if backbone in BACKBONES and weights is not None and load_body(weights).name == backbone:
        return FineTuned(backbone, weights, **chosen)
    raise _no_such(backbone, weights)


def _check_side(backbone: str, weights: Path | None, side: int | None) -> None:
    fits = side in (None, SIDE) if weights is not None or backbone in BACKBONES else side is None or 16 <= side <= 512
    if fits:
        return
    raise ModelError(
        needed="a size that the backbone sees: 64 or 128 px for a network from scratch, 224 with weights from disk",
        found=f"{side} px for {backbone}",
        next_step="leave the size out, or take --backbone small",
    )


def _no_such(backbone: str, weights: Path | None) -> ModelError:
    if backbone == "small":
        found = "weights for a small network, which learns from scratch"
    elif backbone not in BACKBONES:
        found = repr(backbone)
    elif weights is None:
        found = f"{backbone} without a file of weights"
    else:
        found = f"{backbone}, and weights of {load_body(weights).name} in {weights.name}"
    return ModelError(
        needed=f"a backbone: small, frozen, or one of {', '.join(BACKBONES)} with its weights in safetensors",
        found=found,
        next_step="for example: --backbone small, or: --backbone resnet50 --weights FILE.safetensors",
    )


def _in_turn(embed: Callable[[Greys], Floats], images: Greys, progress: Progress) -> Floats:
    found = []
    for start in range(0, len(images), _AT_ONCE):
        found.append(embed(images[start : start + _AT_ONCE]))
        progress(min(start + _AT_ONCE, len(images)), len(images))
    return np.concatenate(found)


def _facts(settings: ClassifierSettings) -> dict[str, object]:
    """All settings of a training that an arm, a seed or a choice does not set."""
    set_elsewhere = ("steps", "seed", "sampling", "augmentation", "mixup")
    return {name: value for name, value in asdict(settings).items() if name not in set_elsewhere}


def _started(lesson: Lesson) -> Classifier | None:
    return lesson.start.classifier if isinstance(lesson.start, Network) else None


def _train(
    seen: Seen, lesson: Lesson, settings: ClassifierSettings, start: Classifier | None, progress: Progress
) -> Classifier:
    settings = replace(
        settings,
        steps=lesson.steps,
        seed=lesson.seed,
        sampling=lesson.sampling,
        augmentation=lesson.augmentation,
        mixup=lesson.mixup,
        learning_rate=lesson.learning_rate or settings.learning_rate,
    )
    return train_classifier(
        seen,
        lesson.targets,
        lesson.classes,
        settings,
        lesson.row_weights,
        rows=lesson.rows,
        start=start,
        head_only=lesson.head_only,
        loss=_loss(lesson),
        monitor=_monitor(seen, lesson),
        progress=progress,
    )


def _monitor(seen: Seen, lesson: Lesson) -> Monitor | None:
    watched = lesson.watched
    if watched is None:
        return None
    return Monitor(seen[watched.rows], watched.targets, np.log(lesson.assumed_shares()), watched.to_plateau)


def _loss(lesson: Lesson) -> Loss:
    """Cross entropy, weighted or with a prior added to the logits."""
    import torch
    import torch.nn.functional as F

    def tensor(values: Floats | None) -> torch.Tensor | None:
        return None if values is None else torch.from_numpy(np.asarray(values, np.float32))

    weights, prior = tensor(lesson.class_weights), tensor(lesson.log_prior)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        moved = logits if prior is None else logits + prior.to(logits.device)
        return F.cross_entropy(moved, targets, weight=None if weights is None else weights.to(logits.device))

    return loss
