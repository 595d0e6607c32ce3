"""Areas under precision-recall and ROC curves: for many weightings of the same scores, or for many scores at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.statistics.intervals import Flags, Places, Values


@dataclass(frozen=True, slots=True)
class Ranked:
    """Images with and without a class by falling chance of it; for each with it, how many rank above or level."""

    with_it: Places
    without: Places
    level_with: Places  # so many with the class have at least its chance
    level_without: Places
    above_without: Places

    @classmethod
    def of(cls, scores: Values, positive: Flags) -> Ranked:
        """From (N,) scores, and which of the images have the class."""
        places, rest = np.flatnonzero(positive), np.flatnonzero(~positive)
        places, rest = places[np.argsort(-scores[places])], rest[np.argsort(-scores[rest])]
        ours, theirs = -scores[places], -scores[rest]
        level, level_without = (np.searchsorted(some, ours, "right") for some in (ours, theirs))
        return cls(places, rest, level, level_without, np.searchsorted(theirs, ours, "left"))

    def areas(self, weights: Values) -> Values:
        """(2, B): under the precision-recall curve (average precision) and under the ROC curve, for (N, B) weights.

        They equal those of scikit-learn with `sample_weight`; images of equal score are one threshold. Without an
        image that has the class, or one that has not, they are not numbers.

        >>> ranked = Ranked.of(np.array([0.9, 0.5, 0.1]), np.array([True, False, True]))
        >>> ranked.areas(np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])).round(3).tolist()
        [[0.833, 1.0], [0.5, nan]]
        """
        if not (len(self.with_it) and len(self.without)):
            return np.full((2, weights.shape[1]), np.nan)
        hits = weights[self.with_it]
        found, false = _running(hits), _running(weights[self.without])
        found_level, false_level = found[self.level_with], false[self.level_without]
        with np.errstate(invalid="ignore", divide="ignore"):
            missed = false[-1] - (false_level + false[self.above_without]) / 2
            sums = np.stack(
                ((hits * _precisions(found_level, false_level)).sum(axis=0), (hits * missed).sum(axis=0) / false[-1])
            )
            areas: Values = sums / found[-1]
        return areas


@dataclass(frozen=True, slots=True)
class RankedFolds:
    """Images of several folds, each ranked by itself: scores of different models are on different scales."""

    folds: tuple[tuple[Places, Ranked], ...]

    @classmethod
    def of(cls, scores: Values, positive: Flags, folds: Places | None = None) -> RankedFolds:
        """From (N,) scores, which of the images have the class, and the fold of each; one fold by default."""
        numbers = np.zeros(len(scores), np.int64) if folds is None else folds
        rows = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
        return cls(tuple((each, Ranked.of(scores[each], positive[each])) for each in rows))

    def areas(self, weights: Values) -> Values:
        """(2, B): the mean of the folds' areas, each weighted by its images of the class, for (N, B) weights.

        A mean within folds and no area of the pooled scores (Forman and Scholz 2010, doi:10.1145/1882471.1882479;
        LeDell, Petersen and van der Laan 2015, doi:10.1214/15-EJS1035). A fold without an image of the class, or
        without any other, has no area and does not count.

        >>> scores, positive = np.array([5.0, 4.0, 1.0, 0.5]), np.array([1, 0, 1, 0], bool)
        >>> folds = np.array([0, 0, 1, 1])
        >>> RankedFolds.of(scores, positive, folds).areas(np.ones((4, 1)))[:, 0].tolist()
        [1.0, 1.0]
        """
        if len(self.folds) == 1:
            return self.folds[0][1].areas(weights)
        found = np.stack([ranked.areas(weights[rows]) for rows, ranked in self.folds])
        shares = np.stack([weights[rows][ranked.with_it].sum(axis=0) for rows, ranked in self.folds])[:, None]
        shares = np.where(np.isnan(found), 0, shares)
        with np.errstate(invalid="ignore", divide="ignore"):
            areas: Values = np.where(shares > 0, found * shares, 0).sum(axis=0) / shares.sum(axis=0)
        return areas


def _running(values: Values) -> Values:
    """(N + 1, B) running sums from 0 of (N, B) values; row by row is several times faster than `cumsum`."""
    found = np.concatenate((np.zeros_like(values[:1]), values))
    for place in range(1, len(found)):
        found[place] += found[place - 1]
    return found


def average_precisions(positive: Values, negative: Values) -> Values:
    """Average precision of (..., P) positive scores among (N,) negative ones; no two scores are equal.

    >>> float(average_precisions(np.array([3.0, 1.0]), np.array([2.0])).round(3))
    0.833
    """
    descending = -np.sort(-positive, axis=-1)
    above = len(negative) - np.searchsorted(np.sort(negative), descending, side="right")
    found: Values = _precisions(np.arange(1, positive.shape[-1] + 1), above).mean(axis=-1)
    return found


def _precisions(found: npt.NDArray[Any], false: npt.NDArray[Any]) -> Values:
    """Precision at each threshold: the share of true positives among predicted positives."""
    precisions: Values = np.where(found > 0, found / (found + false), 0)
    return precisions
