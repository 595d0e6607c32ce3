"""Does an image show what it is to be labelled with, as far as a simple classifier on real images can tell?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from analysis.data.minimums import LABEL_PATIENTS
from analysis.statistics.intervals import Interval, auroc_interval
from analysis.vision.copy_embedding import Vectors

Labels = npt.NDArray[np.object_]
_LEAST_AUROC, _LEAST_BOUND = 0.7, 0.6
TAIL, CLEARLY = 0.01, 4.0  # the share of real images that look worse; times more probable another class must be
_FOLDS, _MANY = 5, 2000


@dataclass(frozen=True, slots=True)
class LabelGate:
    """A logistic regression on features, and for each class the probability that only the worst real images fall below.

    `abstains` names the classes that are not judged, and why; `areas` are the AUROCs of all, each against the others.
    """

    labels: tuple[str, ...]
    mean: Vectors
    spread: Vectors
    weights: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.float64]
    least: Mapping[str, float]
    abstains: Mapping[str, str]
    areas: Mapping[str, Interval] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, features: Vectors, labels: Labels, groups: npt.NDArray[np.int64], held: npt.NDArray[np.bool_]
    ) -> LabelGate:
        """Fit on what is not `held`, sharpened or softened (temperature) on what is; tails from images not learned."""
        return cls.fit_and_judge(features, labels, groups, held)[0]

    @classmethod
    def fit_and_judge(
        cls, features: Vectors, labels: Labels, groups: npt.NDArray[np.int64], held: npt.NDArray[np.bool_]
    ) -> tuple[LabelGate, npt.NDArray[np.float64]]:
        """A gate, and class probabilities of each image by a model that has not seen its patient: (N, classes)."""
        classes = tuple(sorted(set(labels)))
        mean, spread = features.mean(0), features.std(0) + 1e-3
        inputs = (features - mean) / spread
        train, groups = np.flatnonzero(~held), groups.copy()
        groups[groups < 0] = groups.max(initial=0) + 1 + np.arange((groups < 0).sum())  # each a patient of its own
        apart = len(np.unique(groups[train]))
        if len(classes) < 2 or len(set(labels[train])) < len(classes) or apart < _FOLDS:
            why = f"only {apart} patients to train on" if apart < _FOLDS else "there is no other class"
            reasons = dict.fromkeys(classes, f"{why} in the training split")
            nothing = np.zeros((len(classes), features.shape[1]))
            nobody = np.full((len(features), len(classes)), 1 / max(1, len(classes)))
            return cls(classes, mean, spread, nothing, np.zeros(len(classes)), {}, reasons), nobody
        outside = _out_of_fold(inputs[train], labels[train], groups[train], classes)
        weights, offsets = _fitted(inputs[train], labels[train], classes)
        logits = np.concatenate([outside, inputs[held] @ weights.T + offsets])
        known, people = np.concatenate([labels[train], labels[held]]), np.concatenate([groups[train], groups[held]])
        heat = _temperature(
            logits[len(train) :] if held.sum() >= 50 else logits,
            known[-held.sum() :] if held.sum() >= 50 else known,
            classes,
        )
        probabilities = softmax(logits / heat, axis=1)
        auroc = {
            name: auroc_interval(probabilities[:, place], known == name, people) for place, name in enumerate(classes)
        }
        abstains = {name: why for name in classes if (why := _why_not(auroc[name], known == name, people))}
        least = {
            name: float(np.quantile(probabilities[known == name, place], TAIL, method="lower"))
            for place, name in enumerate(classes)
            if name not in abstains
        }
        unseen = np.empty_like(probabilities)
        unseen[np.concatenate([train, np.flatnonzero(held)])] = probabilities
        return cls(classes, mean, spread, weights / heat, offsets / heat, least, abstains, auroc), unseen

    def probabilities(self, features: Vectors) -> npt.NDArray[np.float64]:
        """Class probabilities of each image, with classes taken as equally frequent: shape (N, classes)."""
        inputs = (features - self.mean) / self.spread
        return np.asarray(np.round(softmax(inputs @ self.weights.T + self.offsets, axis=1), 5))

    def judge(self, label: str, features: Vectors, scores: dict[str, float | str]) -> tuple[list[str], list[str]]:
        """Why an image of a class is to be rejected; a person is asked about none."""
        if label not in self.labels:
            return [], []
        probabilities = self.probabilities(features)[0]
        scores["label_probability"] = float(probabilities[self.labels.index(label)])
        why = self.contradiction(label, probabilities)
        return ([f"label: {why}"] if why else []), []

    def contradiction(self, wanted: str, probabilities: npt.NDArray[np.float64]) -> str:
        """Why an image is clearly not of the wanted class; "" when it may be, or when this cannot be told."""
        other = self.looks_like(wanted, probabilities)
        return f"looks like {other}, and less like {wanted} than nearly all real images of it" if other else ""

    def looks_like(self, wanted: str, probabilities: npt.NDArray[np.float64]) -> str:
        """The class that an image clearly is of instead of the wanted one; "" where there is none that can be told."""
        if wanted not in self.least:
            return ""
        chance, other = float(probabilities[self.labels.index(wanted)]), int(probabilities.argmax())
        clear = chance < self.least[wanted] and probabilities[other] >= CLEARLY * chance
        return self.labels[other] if clear else ""


def mean_distance(vectors: Vectors) -> float:
    """Mean distance of all pairs (1 - cosine): how diverse a set of images is.

    >>> mean_distance(np.eye(2, dtype=np.float32))
    1.0
    """
    count = len(vectors)
    if count < 2:
        return 0.0
    total = vectors.sum(0, dtype=np.float64)
    return round(1 - float((total @ total - count) / (count * (count - 1))), 4)


def _out_of_fold(
    inputs: Vectors, labels: Labels, groups: npt.NDArray[np.int64], classes: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Logits for each image by a model that has seen no image of its patient."""
    from sklearn.model_selection import StratifiedGroupKFold

    logits = np.zeros((len(inputs), len(classes)))
    for learn, judge in _folds(StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0), inputs, labels, groups):
        weights, offsets = _fitted(inputs[learn], labels[learn], classes)
        logits[judge] = inputs[judge] @ weights.T + offsets
    return logits


def _folds(
    splitter: object, inputs: Vectors, labels: Labels, groups: npt.NDArray[np.int64]
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer patients than folds: it abstains
        return list(splitter.split(inputs, labels.astype(str), groups))  # type: ignore[attr-defined]


def _fitted(
    inputs: Vectors, labels: Labels, classes: Sequence[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights (classes, features) and offsets of a regression in which every class weighs the same."""
    from sklearn.linear_model import LogisticRegression

    chosen = np.sort(np.concatenate([_some(np.flatnonzero(labels == name)) for name in classes]))
    present = [name for name in classes if (labels[chosen] == name).any()]
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=300, tol=1e-3)
    model.fit(inputs[chosen], labels[chosen].astype(str))
    weights, offsets = np.zeros((len(classes), inputs.shape[1])), np.full(len(classes), -10.0)
    places = [classes.index(name) for name in present]
    if len(present) == 2:  # one row stands for two classes
        weights[places], offsets[places] = (
            np.stack([-model.coef_[0], model.coef_[0]]) / 2,
            np.array([-1, 1]) * model.intercept_[0] / 2,
        )
    else:
        weights[places], offsets[places] = model.coef_, model.intercept_
    return weights, offsets


def _some(places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return places[:: max(1, len(places) // _MANY)]


def _temperature(logits: npt.NDArray[np.float64], labels: Labels, classes: Sequence[str]) -> float:
    """What logits are divided by for the best mean log likelihood over classes (Guo et al. 2017, arXiv:1706.04599)."""
    wanted = np.array([classes.index(name) for name in labels])
    weight = 1 / np.bincount(wanted, minlength=len(classes))[wanted]

    def loss(heat: float) -> float:
        probabilities = softmax(logits / heat, axis=1)[np.arange(len(wanted)), wanted]
        return -float((weight * np.log(probabilities + 1e-12)).sum() / weight.sum())

    return float(min(np.geomspace(0.25, 8, 41), key=loss))


def _why_not(auroc: Interval, own: npt.NDArray[np.bool_], people: npt.NDArray[np.int64]) -> str:
    patients = len(np.unique(people[own]))
    if patients < LABEL_PATIENTS:
        return f"only {patients} patients of this class, which is too few"
    if auroc.value < _LEAST_AUROC or auroc.low < _LEAST_BOUND:
        return f"real images of this class can hardly be distinguished from others (AUROC {auroc.value:.2f})"
    return ""
