"""A backbone whose features are computed once, and logistic regression on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from analysis.comparison.inputs.study import Numbers, Probabilities
from analysis.comparison.training.networks import WEAK, SmallNetwork
from analysis.comparison.training.time_estimate import noise, regression_seconds, seconds_of
from analysis.comparison.training.training_spec import (
    Ability,
    Floats,
    Model,
    Progress,
    Seen,
    TimeEstimate,
    TrainingSpec,
    Watched,
)
from analysis.data.images import Greys
from analysis.data.targets import Targets, evened, has_several, having, lacking, strata
from analysis.statistics.convergence import Course
from analysis.vision.classifier import ClassifierSettings, train_classifier
from analysis.vision.objectives import objective_for
from analysis.vision.pretrained import load_pretrained
from balancer.collection.label_sets import GIVEN
from balancer.files import sha256_of

_AT_ONCE = 64
_FEW = 2  # images of 224 px: what a short try can afford
_LIKE_WEIGHTS = "frozen features: with logistic regression this equals the arm class-weights"


@dataclass(frozen=True, slots=True)
class Frozen:
    """Features that are computed once, and logistic regression on them.

    The features are of a network with `weights` from disk at 224 px; without, of a small network that is trained on
    the real training images, another for each seed: the luck of that training counts too.
    """

    unable: ClassVar[Mapping[Ability, str]] = {
        "augmentation": "frozen features: they are computed once, from unaugmented images",
        "sampling": _LIKE_WEIGHTS,
        "head": _LIKE_WEIGHTS,
        "pretraining": "frozen features: only the last layer is trained",
        "mixup": "frozen features: they are computed once, from unaugmented images",
    }
    memory: ClassVar[int] = 10**9  # most of it is torch itself
    rates: ClassVar[tuple[float, ...]] = ()
    weights: Path | None = None
    device: str = "cpu"
    side: int = 64
    steps: int = 600
    strengths: tuple[float, ...] = (20.0, 2.0, 200.0)

    @property
    def setting(self) -> str:
        """Backbone and image size, as a verdict names them."""
        return f"frozen features, {self.side} px"

    @property
    def stamps(self) -> tuple[str, ...]:
        """Features of this collection alone are a weak baseline."""
        return (WEAK,) if self.weights is None else ()

    @property
    def looks_alike(self) -> bool:
        """Weights from disk are the same for every seed."""
        return self.weights is not None

    def facts(self) -> dict[str, object]:
        """Everything that its results depend on."""
        weights = None if self.weights is None else sha256_of(self.weights)
        own = {} if self.weights else {"feature_steps": self.steps, "features": "trained again for each seed"}
        size = {"side": self.side, "strengths": list(self.strengths)}
        return {"backbone": "frozen", "weights": weights, "device": self.device, **own, **size}

    def units(self, steps: int) -> int:
        """One unit of work: a regression has no steps."""
        return 1

    def pace(self, steps: int, learned: int, others: int) -> TimeEstimate:
        """By a few images looked at, or a few steps of the network that looks; and by a small regression."""
        if self.weights is not None:
            network = load_pretrained(self.weights, self.device)
            look = seconds_of(lambda: network(noise(_FEW, self.side))) / _FEW * (learned + others)
        else:
            look = SmallNetwork(self.device, self.side).pace(self.steps, learned, learned + others).training
        return TimeEstimate(look, regression_seconds(self, learned))

    def look(
        self, images: Greys, real: Numbers, targets: Targets, classes: tuple[str, ...], seed: int, progress: Progress
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

    def learn(self, seen: Seen, spec: TrainingSpec, progress: Progress) -> Model:
        """Fit to the optimum: no steps, no luck, and weights of the classes where other backbones sample them evenly.

        Adding a prior to the logits in the loss moves the intercepts of the optimum by that prior, and nothing else:
        it is taken off them afterwards. The penalty's strength is one for an image, whatever their number: the loss is
        a sum, so that C = c / n, and c is chosen on validation; the first of `strengths` where there is none.
        """
        fitted = [self._fit(seen, spec, strength) for strength in self.strengths[: None if spec.watched else 1]]
        progress(1, 1)
        watched = spec.watched
        if watched is None:
            return fitted[0]
        return min(fitted, key=lambda each: _balanced_loss(each.probabilities(seen[watched.rows]), watched, spec))

    def _fit(self, seen: Seen, spec: TrainingSpec, strength: float) -> Regression | Regressions:
        if has_several(spec.targets):
            return Regressions(tuple(self._fit(seen, each, strength) for each in _of_each_finding(spec)))  # type: ignore[misc]
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        weights = _weights(spec)
        if len(there := np.unique(spec.targets)) < 2:  # of a finding whose one side nobody has
            sure = np.isin(np.arange(len(spec.classes)), there)
            return Regression(None, np.where(sure | ~sure.any(), 0.0, -np.inf))
        regression = LogisticRegression(C=strength / weights.sum(), max_iter=2000)
        with threadpool_limits(1):  # sums in another order have other last digits
            regression.fit(seen[spec.rows], spec.targets, sample_weight=weights)
        shift = np.zeros(len(spec.classes)) if spec.log_prior is None else -spec.log_prior
        return Regression(regression, np.asarray(shift, np.float64))


def _weights(spec: TrainingSpec) -> npt.NDArray[np.float64]:
    """What each row counts for in a sum, (M,): what other backbones do by sampling."""
    targets = spec.targets
    if spec.row_weights is not None:
        return np.asarray(spec.row_weights, np.float64)
    of_class = np.ones(len(spec.classes)) if spec.class_weights is None else spec.class_weights
    if spec.sampling == "balanced":
        counts = np.bincount(targets, minlength=len(spec.classes))
        of_class = len(targets) / (len(spec.classes) * np.maximum(counts, 1))
    return np.asarray(of_class[targets], np.float64)


def _balanced_loss(probabilities: Probabilities, watched: Watched, spec: TrainingSpec) -> float:
    """The loss of the targets in which all classes weigh the same, without what the training took for granted."""
    import torch

    if has_several(watched.targets):
        with np.errstate(divide="ignore"):
            logits = np.log(probabilities.astype(np.float64)) - np.log1p(-probabilities.astype(np.float64))
        logits = np.clip(logits, -30, 30) - spec.assumed_log_prior()
        truth = torch.from_numpy(watched.targets)
        return float(objective_for(watched.targets).balanced_loss(torch.from_numpy(logits), truth))
    moved = probabilities / spec.assumed_shares()
    own = moved[np.arange(len(moved)), watched.targets] / moved.sum(axis=1)
    losses = -np.log(np.maximum(own, 1e-12))
    return float(np.mean([losses[watched.targets == each].mean() for each in np.unique(watched.targets)]))


@dataclass(frozen=True, slots=True)
class Regression:
    """A logistic regression, and what is added to its logits, (C,)."""

    fitted: Any
    shift: npt.NDArray[np.float64]
    course: ClassVar[Course] = Course()

    def probabilities(self, seen: Seen) -> Probabilities:
        """(N, C) probabilities of the classes for (N, D) features; 0 for a class that it never saw."""
        probabilities = np.zeros((len(seen), len(self.shift)))
        if len(seen) and self.fitted is None:
            probabilities[:] = 1
        elif len(seen):
            probabilities[:, self.fitted.classes_] = self.fitted.predict_proba(seen)
        probabilities *= np.exp(self.shift - self.shift.max())
        shares: Probabilities = (probabilities / np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-300)).astype(
            np.float32
        )
        return shares


@dataclass(frozen=True, slots=True)
class Regressions:
    """A logistic regression for each finding."""

    fitted: tuple[Regression, ...]
    course: ClassVar[Course] = Course()

    def probabilities(self, seen: Seen) -> Probabilities:
        """(N, F) probabilities of the findings for (N, D) features."""
        return np.stack([each.probabilities(seen)[:, GIVEN] for each in self.fitted], axis=1)


def _of_each_finding(spec: TrainingSpec) -> Iterator[TrainingSpec]:
    """The same for each finding as two classes, of the images of which it is known; weights are those of rows."""
    rows = np.ones(len(spec.rows)) if spec.row_weights is None else spec.row_weights
    if spec.sampling == "balanced":
        rows = evened(strata(spec.targets))
    for number, name in enumerate(spec.classes):
        has = having(spec.targets, number)
        known = np.flatnonzero(has | lacking(spec.targets, number))
        weight = 1.0 if spec.class_weights is None else float(spec.class_weights[number])
        yield replace(
            spec,
            rows=spec.rows[known],
            targets=has[known].astype(np.int64),
            classes=(f"no {name}", name),
            row_weights=(rows * np.where(has, weight, 1.0))[known].astype(np.float32),
            class_weights=None,
            sampling="weighted",
        )


def _in_turn(embed: Callable[[Greys], Floats], images: Greys, progress: Progress) -> Floats:
    found = []
    for start in range(0, len(images), _AT_ONCE):
        found.append(embed(images[start : start + _AT_ONCE]))
        progress(min(start + _AT_ONCE, len(images)), len(images))
    return np.concatenate(found)
