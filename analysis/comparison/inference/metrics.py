"""The figures of a comparison: probabilities of classes against the truth, for many weightings of the images at once.

A bootstrap draw is a column of weights, so a thousand draws cost a few passes over the images, sorted once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.comparison.inference.finding_metrics import OVERALL_FINDINGS, binned_gap, measure_findings
from analysis.comparison.inputs.study import Numbers, Probabilities
from analysis.data.targets import Targets, has_several
from analysis.statistics.average_precision import RankedFolds
from analysis.statistics.intervals import Flags, Values

Floats = npt.NDArray[np.float64]

OVERALL = ("macro_f1", "balanced_accuracy", "mcc", "brier", "calibration_error")
OF_A_CLASS = ("auprc", "auroc", "recall", "prevalence")
LOWER_IS_BETTER = ("brier", "calibration_error")

_AT_ONCE = 1000  # draws: their weights stay in the processor's cache


def metric_names(classes: Sequence[str], several: bool = False) -> tuple[str, ...]:
    """The names of all figures, in the order in which `measure` gives them; `several`: these are findings.

    >>> metric_names(["A"])[:5]
    ('auprc:A', 'auroc:A', 'recall:A', 'prevalence:A', 'macro_f1')
    """
    return (
        *(f"{name}:{label}" for label in classes for name in OF_A_CLASS),
        *(OVERALL_FINDINGS if several else OVERALL),
    )


def metric_range(name: str) -> tuple[float, float]:
    """The least and the largest value that a figure can take.

    >>> metric_range("mcc"), metric_range("auprc:A")
    ((-1.0, 1.0), (0.0, 1.0))
    """
    return {"mcc": (-1.0, 1.0), "brier": (0.0, 2.0)}.get(name, (0.0, 1.0))


def difference_range(name: str) -> tuple[float, float]:
    """The least and the largest difference that two values of a figure can have.

    >>> difference_range("recall:A")
    (-1.0, 1.0)
    """
    low, high = metric_range(name)
    return low - high, high - low


def measure(
    probabilities: Probabilities,
    targets: Targets,
    weights: Values | None = None,
    folds: Numbers | None = None,
    measured: Flags | None = None,
) -> Floats:
    """All figures, (K, B), of (N, C) probabilities for (N, B) weights of the images, or (K, 1) for equal ones.

    They equal those of scikit-learn with `sample_weight`: average precision, area under the ROC curve, recall,
    F1, balanced accuracy, Matthews' correlation, the Brier score of all classes (not halved). A mean over classes is
    over those that `targets` has; what is undefined without an image of a class is not a number. The calibration
    error is that of the likeliest class in 15 bins of equal mass, whose bounds do not move with the weights. Weights
    of single precision are half the work, and good for five digits. With `folds`, the fold of each image, areas are
    means within folds, weighted by the images of the class; all else counts images, whose fold does not matter.
    Of marks of findings the figures are those of `measure_findings`, of the findings that are `measured`.

    >>> sure = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    >>> dict(zip(metric_names("AB"), measure(sure, np.array([0, 1]))[:, 0].round(3).tolist()))["macro_f1"]
    1.0
    """
    weights = np.ones((len(targets), 1)) if weights is None else weights
    if has_several(targets):
        pieces = [
            measure_findings(probabilities, targets, weights[:, start : start + _AT_ONCE], folds, measured)
            for start in range(0, weights.shape[1], _AT_ONCE)
        ]
        return np.concatenate(pieces, axis=1)
    sorted_classes = [
        RankedFolds.of(probabilities[:, number], targets == number, folds) for number in range(probabilities.shape[1])
    ]
    pieces = [
        _measure(probabilities, targets, np.ascontiguousarray(weights[:, start : start + _AT_ONCE]), sorted_classes)
        for start in range(0, weights.shape[1], _AT_ONCE)
    ]
    return np.concatenate(pieces, axis=1)


@dataclass(frozen=True, slots=True)
class Bin:
    """Images given similar probabilities of a class: the mean chance, the share that has it, and how many images."""

    predicted: float
    observed: float
    images: int


def reliability(probabilities: Probabilities, positive: Flags, bins: int = 10) -> tuple[Bin, ...]:
    """Bins of equal mass over (S, N) probabilities of one class; an image counts once for each of S trainings.

    >>> reliability(np.array([[0.1, 0.3, 0.9, 0.7]]), np.array([False, False, True, True]), 2)
    (Bin(predicted=0.2, observed=0.0, images=2), Bin(predicted=0.8, observed=1.0, images=2))
    """
    n_images = probabilities.shape[1]
    flat, truth = probabilities.ravel().astype(np.float64), np.tile(positive, len(probabilities))
    places = np.array_split(np.argsort(flat, kind="stable"), min(bins, n_images))
    return tuple(
        Bin(float(flat[some].mean()), float(truth[some].mean()), len(np.unique(some % n_images)))
        for some in places
        if len(some)
    )


def _measure(probabilities: Probabilities, targets: Numbers, weights: Values, ranked: Sequence[RankedFolds]) -> Floats:
    n_classes, total = probabilities.shape[1], weights.sum(axis=0, dtype=np.float64)
    confusion = _confusion(probabilities, targets, weights)
    of_class = confusion.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls = np.diagonal(confusion).T / of_class
    rows: list[Values] = []
    for number in range(n_classes):
        rows += [*ranked[number].areas(weights), recalls[number], of_class[number] / total]
    loss = np.square(probabilities.astype(np.float64) - np.eye(n_classes)[targets]).sum(axis=1)
    present = np.unique(targets)
    rows += [_macro_f1(confusion, present), recalls[present].mean(axis=0), _mcc(confusion)]
    return np.stack(
        [*rows, loss.astype(weights.dtype) @ weights / total, _calibration_error(probabilities, targets, weights)]
    )


def _confusion(probabilities: Probabilities, targets: Numbers, weights: Values) -> Floats:
    """(C, C, B): the weight of each class, by row, that is called each class, by column."""
    n_classes = probabilities.shape[1]
    cells = targets * n_classes + probabilities.argmax(axis=1)
    ones = np.eye(n_classes**2, dtype=weights.dtype)[cells]
    found: Floats = (ones.T @ weights).astype(np.float64).reshape(n_classes, n_classes, -1)
    return found


def _macro_f1(confusion: Floats, present: Numbers) -> Floats:
    right, sums = np.diagonal(confusion).T, confusion.sum(axis=0) + confusion.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores: Floats = np.where(sums > 0, 2 * right / sums, 0)[present].mean(axis=0)
    return scores


def _mcc(confusion: Floats) -> Floats:
    """Gorodkin's (2004) correlation of several classes; 0 where all images are of, or called, one class."""
    right, truly, called = np.trace(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    total = truly.sum(axis=0)
    above = right * total - (truly * called).sum(axis=0)
    below = (total**2 - (truly**2).sum(axis=0)) * (total**2 - (called**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(below > 1e-9 * total**4, above / np.sqrt(np.maximum(below, 0)), 0)
    return found


def _calibration_error(probabilities: Probabilities, targets: Numbers, weights: Values) -> Values:
    """The mean gap between the chance of the likeliest class and how often it is right."""
    best = probabilities.max(axis=1).astype(np.float64)
    return binned_gap(best, probabilities.argmax(axis=1) == targets, weights)
