"""Figures with intervals: shares, areas under the ROC curve, and whatever can be resampled by patient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

Values = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]
Groups = npt.NDArray[np.int64]
"""One number for each patient (or other unit that is drawn as a whole), an entry an image."""
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the bounds of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def group_numbers(names: list[str]) -> Groups:
    """Equal names to equal numbers.

    >>> group_numbers(["p2", "p1", "p2"]).tolist()
    [1, 0, 1]
    """
    return np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)


def wilson(successes: float, total: float, level: float = 0.95) -> Interval:
    """A share with Wilson's score interval (Wilson 1927); of nothing, anything is possible.

    >>> print(wilson(0, 10))
    0.00 [0.00, 0.28]
    """
    if total == 0:
        return Interval(math.nan, 0.0, 1.0)
    z, share = _z(level), successes / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Interval(share, 0.0 if successes == 0 else low, 1.0 if successes == total else high)


def auroc(scores: Values, positive: Flags) -> float:
    """The chance that a positive scores above a negative, ties counting half (Mann and Whitney 1947).

    >>> auroc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True]))
    0.875

    Raises:
        ValueError: there is no positive, or no negative.
    """
    return float(aurocs(scores[:, None], positive[:, None])[0])


def aurocs(scores: Values, positive: Flags) -> Values:
    """One area for each column of two (N, B) arrays, or of (N, 1) scores and (N, B) flags."""
    n_positive = positive.sum(axis=0)
    n_negative = len(positive) - n_positive
    if not (n_positive.all() and n_negative.all()):
        raise ValueError("an area under the ROC curve needs positives and negatives")
    ranks = np.asarray(rankdata(scores, axis=0))
    sums = (ranks * positive).sum(axis=0)
    areas: Values = (sums - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
    return areas


def auroc_interval(scores: Values, positive: Flags, groups: Groups | None = None, level: float = 0.95) -> Interval:
    """The area with an interval that knows which images belong together (Obuchowski 1997, on the logit scale).

    Without groups this is DeLong's variance (1988). An area of 0 or 1 has no variance to be estimated: its bound
    is Wilson's for as many successes as the smaller side has groups.
    """
    area = auroc(scores, positive)
    groups = np.arange(len(scores)) if groups is None else groups
    sides = [len(np.unique(groups[side])) for side in (positive, ~positive)]
    if area in (0.0, 1.0) or min(sides) < 2:
        bound = wilson(min(sides), min(sides), level).low
        return Interval(area, bound if area == 1 else 0.0, 1.0 if area else 1 - bound)
    error = math.sqrt(max(_auroc_variance(scores, positive, groups, area), 1e-12)) / (area * (1 - area))
    low, high = expit(logit(area) + np.array([-1, 1]) * _z(level) * error)
    return Interval(area, float(low), float(high))


def bootstrap(
    statistic: Callable[[Places], float], groups: Groups, times: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """A figure of images, given their places, with its percentile interval; whole groups are drawn again.

    A draw for which the statistic is not a number is passed over.

    >>> values = np.array([0.0, 1.0, 0.0, 1.0])
    >>> print(bootstrap(lambda places: float(values[places].mean()), np.array([0, 0, 1, 1])))
    0.50 [0.50, 0.50]
    """
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(times):
        drawn = chance.integers(0, len(members), len(members))
        found.append(statistic(np.concatenate([members[place] for place in drawn])))
    value = statistic(np.arange(len(groups)))
    usable = [each for each in found if not math.isnan(each)]
    if not usable:
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _auroc_variance(scores: Values, positive: Flags, groups: Groups, area: float) -> float:
    """Obuchowski's (1997) sum of squared structural components, those of a group taken together."""
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    overall = np.asarray(rankdata(scores))
    components = np.empty(len(scores))
    components[positive] = (overall[positive] - rankdata(scores[positive])) / n_negative
    components[~positive] = 1 - (overall[~positive] - rankdata(scores[~positive])) / n_positive
    numbers = np.unique(groups, return_inverse=True)[1]
    total = int(numbers.max()) + 1
    up = np.bincount(numbers, np.where(positive, components - area, 0), total)
    down = np.bincount(numbers, np.where(positive, 0, components - area), total)
    with_positive = len(np.unique(groups[positive]))
    with_negative = len(np.unique(groups[~positive]))
    first = with_positive / (with_positive - 1) * float(up @ up) / n_positive**2
    second = with_negative / (with_negative - 1) * float(down @ down) / n_negative**2
    both = total / (total - 1) * float(up @ down) / (n_positive * n_negative)
    return first + second + 2 * both


def _z(level: float) -> float:
    return float(norm.ppf((1 + level) / 2))
