"""The exchange rate: how many more real images of the rare class the synthetic ones are worth.

A learning curve of the reference arm, trained on fractions of the real images of the rare class, tells how its AUPRC
rises with them. Where the synthetic arm's AUPRC lies on that curve is what it is worth. Beyond the real images that
there are the curve is continued, not measured, and meant to err towards too little worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.comparison.inference.bootstrap import draw_patients, draw_seeds
from analysis.comparison.inputs.study import Outcomes, Probabilities
from analysis.comparison.training.learning_curve import Point
from analysis.data.targets import lacking
from analysis.statistics.average_precision import Ranked
from analysis.statistics.intervals import Flags, Values

BEYOND = 2.0
"""The curve is continued to so many times its largest number of real images, and no further."""
_LAST = 3  # points that tell how the curve goes on
_AT_ONCE = 4_000_000  # numbers


@dataclass(frozen=True, slots=True)
class Worth:
    """More real images (or patients) than the arm had: negative is less than none; cut off where the curve ends.

    `least` and `most` are where it is cut off: as little as the smallest point, as much as the curve is continued.
    """

    mean: float
    low: float
    high: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The primary endpoint of one point of the curve, with its interval."""

    images: int
    patients: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Exchange:
    """What an arm is worth in real images and in patients; `rises` says whether the curve measurably rises at all."""

    arm: str
    label: str
    images: Worth
    patients: Worth
    curve: tuple[CurvePoint, ...]
    rises: bool


def exchange_rate(
    outcomes: Outcomes, arm: str, points: Sequence[Point], *, times: int = 1000, seed: int = 0, level: float = 0.95
) -> Exchange:
    """What an arm of `outcomes` that had the real images of the largest point, and synthetic ones, is worth.

    Patients and seeds are drawn anew `times` times, as for every other figure, the same for the arm and for every
    point, and the curve is fitted to each draw; intervals are percentiles.

    Raises:
        ValueError: fewer than two points, two of one size, or probabilities of other images or seeds than the arm's.
    """
    points = sorted(points, key=lambda point: point.images)
    _require(outcomes.probabilities[arm], points)
    rare = outcomes.classes.index(outcomes.rare)
    scores = np.stack(
        [each[:, :, rare] for each in (*(point.probabilities for point in points), outcomes.probabilities[arm])]
    )
    whole, drawn = _figures(scores, outcomes, rare, times, seed)
    margins = [(1 - level) / 2, (1 + level) / 2]
    bounds = np.quantile(drawn, margins, axis=0)
    rises = np.quantile(drawn[:, len(points) - 1] - drawn[:, 0], margins[0]) > 0
    images, patients = (
        _worth(np.array(sizes, float), whole, drawn, margins)
        for sizes in ([point.images for point in points], [point.patients for point in points])
    )
    curve = tuple(
        CurvePoint(point.images, point.patients, float(whole[at]), float(bounds[0, at]), float(bounds[1, at]))
        for at, point in enumerate(points)
    )
    return Exchange(arm, outcomes.rare, images, patients, curve, bool(rises))


def inverse(sizes: Values, figures: Values, wanted: float) -> float:
    """The size at which a rising curve through the points has the wanted figure.

    The curve is the nearest one that never falls (isotonic regression, by pool adjacent violators), straight between
    the points over the logarithm of the size. It goes on by the slope of the least-squares line through its last three
    points; of a curve that flattens that is too high, so that an arm is said to be worth too little, not too much.
    Below the smallest size that size is the answer, above `BEYOND` times the largest that one.

    >>> sizes, figures = np.array([10.0, 20.0, 40.0]), np.array([0.2, 0.3, 0.4])
    >>> [round(inverse(sizes, figures, wanted), 2) for wanted in (0.3, 0.45, 0.9)]
    [20.0, 56.57, 80.0]
    """
    from scipy.optimize import isotonic_regression

    places, rising = np.log(sizes), isotonic_regression(figures).x
    slope = float(np.polyfit(places[-_LAST:], rising[-_LAST:], 1)[0])
    ahead = places[-1] + math.log(BEYOND)
    if wanted > rising[-1]:
        place = min(ahead, places[-1] + (wanted - rising[-1]) / slope) if slope > 1e-9 else ahead
    else:
        strictly = rising - 1e-9 * np.arange(len(rising))[::-1]  # of a plateau the largest size
        place = float(np.interp(wanted, strictly, places))
    return float(math.exp(place))


def _require(probabilities: Probabilities, points: Sequence[Point]) -> None:
    if len(points) < 2 or len({point.images for point in points}) < len(points):
        raise ValueError("a learning curve needs two points or more, of different sizes")
    if any(point.probabilities.shape != probabilities.shape for point in points):
        raise ValueError(
            "probabilities of the same images, seeds and classes are needed for the arm and for every point"
        )


def _figures(scores: Values, outcomes: Outcomes, rare: int, times: int, seed: int) -> tuple[Values, Values]:
    """The mean AUPRC over seeds of (K, S, N) scores: of all images (K,), and of each draw of patients and seeds."""
    positive, seeds = outcomes.judged, scores.shape[1]
    patients = draw_patients(outcomes.targets, outcomes.groups, times, seed)
    known = positive | lacking(outcomes.targets, rare)
    scores, positive, patients = scores[..., known], positive[known], patients[known]
    patients = np.concatenate((np.ones((len(positive), 1), np.float32), patients), axis=1)
    shares = np.concatenate((np.full((seeds, 1), 1 / seeds), draw_seeds(seeds, times)), axis=1)
    columns = max(1, _AT_ONCE // len(positive))
    found = np.concatenate(
        [
            _mean_of_seeds(scores, positive, patients[:, at : at + columns], shares[:, at : at + columns])
            for at in range(0, times + 1, columns)
        ]
    )
    return found[0], found[1:][~np.isnan(found[1:]).any(axis=1)]


def _mean_of_seeds(scores: Values, positive: Flags, weights: Values, shares: Values) -> Values:
    """(B, K) means over seeds, by their shares (S, B), of (K, S, N) scores at (N, B) weights."""
    columns = np.ascontiguousarray(weights, np.float64)
    means: Values = np.stack(
        [
            sum(
                (Ranked.of(one, positive).areas(columns)[0] * shares[at] for at, one in enumerate(seeds)),
                start=np.zeros(weights.shape[1]),
            )
            for seeds in scores
        ],
        axis=1,
    )
    return means


def _worth(sizes: Values, whole: Values, drawn: Values, margins: list[float]) -> Worth:
    """How much more than the largest point the arm, the last figure of each row, is worth."""
    had = float(sizes[-1])
    mean = inverse(sizes, whole[:-1], float(whole[-1])) - had
    low, high = np.quantile([inverse(sizes, row[:-1], float(row[-1])) - had for row in drawn], margins)
    return Worth(mean, float(low), float(high), float(sizes[0]) - had, (BEYOND - 1) * had)
