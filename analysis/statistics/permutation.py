"""Detectors of a difference between two kinds of images, and one test over all of them that keeps its level.

Every detector is run on the true flags and on flags that were exchanged at random between patients, in one go: flags
are (N, B + 1) with the truth in column 0. The test compares the largest standardised area under the ROC curve of
all detectors with what the exchanged flags gave (max-T, Westfall and Young 1993), so that however many detectors
are tried, the chance of a false alarm is the level that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.statistics.intervals import Flags, Groups, Values, aurocs

Floats = npt.NDArray[np.float32]
Folds = npt.NDArray[np.int64]

_RIDGE = 0.1  # of the variance of a feature
_PIXELS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a detector came to: its area, by how many standard deviations of chance, and the chance of any such."""

    area: float
    deviations: float
    p_value: float


def exchange_flags(flags: Flags, groups: Groups, times: int, seed: int = 0) -> Flags:
    """The true flags and `times` exchanges of them, (N, times + 1).

    Groups of one kind exchange their flags with each other as wholes; within a group of both kinds, as that of a
    patient and the images made from him, flags are exchanged between its images.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    shares = np.bincount(numbers, flags) / np.bincount(numbers)
    pure = np.flatnonzero((shares == 0) | (shares == 1))
    mixed = [np.flatnonzero(numbers == each) for each in np.flatnonzero((shares > 0) & (shares < 1))]
    whole = np.isin(numbers, pure)
    found = np.repeat(flags[:, None], times + 1, axis=1)
    chance = np.random.default_rng(seed)
    for column in range(1, times + 1):
        of_group = shares.copy()
        of_group[pure] = chance.permutation(shares[pure])
        found[whole, column] = of_group[numbers[whole]] == 1
        for places in mixed:
            found[places, column] = chance.permutation(flags[places])
    return found


def make_folds(groups: Groups, folds: int = 5, seed: int = 0) -> Folds:
    """A fold for each image, whole groups together, without a look at any flag.

    >>> folds = make_folds(np.array([0, 0, 1, 2]), folds=2)
    >>> bool(folds[0] == folds[1])
    True
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(int(numbers.max()) + 1)
    found: Folds = (np.argsort(order) % folds)[numbers]
    return found


def linear_areas(features: Floats, flags: Flags, folds: Folds) -> tuple[Values, Values]:
    """Areas, (B + 1,), of a linear detector of (N, D) features, and its scores for the true flags.

    The detector is ridge regression on the flags, Fisher's discriminant but for scale; scores are out of fold.
    """
    scores = np.zeros(flags.shape)
    for fold in np.unique(folds):
        inside, outside = folds != fold, folds == fold
        mean, scale = features[inside].mean(axis=0), features[inside].std(axis=0)
        x = (features - mean) / np.where(scale > 1e-6, scale, np.inf)
        wanted = flags[inside] - flags[inside].mean(axis=0)
        square = x[inside].T @ x[inside] / inside.sum() + _RIDGE * np.eye(x.shape[1])
        scores[outside] = x[outside] @ np.linalg.solve(square, x[inside].T @ wanted / inside.sum())
    return aurocs(scores, flags), scores[:, 0]


def single_areas(values: Values, flags: Flags) -> Values:
    """Areas, (B + 1,), of one figure an image, whichever way round: from 0.5 to 1."""
    areas = aurocs(np.asarray(values, np.float64)[:, None], flags)
    return np.maximum(areas, 1 - areas)


def pixel_areas(stack: npt.NDArray[np.integer], flags: Flags, folds: Folds, floor: float) -> tuple[Values, Values]:
    """Areas, (B + 1,), of the one place of (N, P) that tells best, and its scores for the true flags.

    The place is chosen in the other folds by its difference of means, in standard deviations to which `floor`, in
    grey levels, is added: what is tried on so many places must be judged on images that did not choose.
    """
    names = np.unique(folds)
    best = _best_places(stack, flags, folds, names, floor)
    scores = np.zeros(flags.shape)
    for fold, found in zip(names, best, strict=True):
        outside = np.flatnonzero(folds == fold)
        scores[outside] = np.sign(found.t) * (stack[outside][:, found.place] - found.middle) / found.spread
    return aurocs(scores, flags), scores[:, 0]


def standard_error(flags: Flags, groups: Groups) -> float:
    """Standard error of the AUROC of an uninformative feature, with one independent value for each group.

    >>> round(standard_error(np.arange(20) >= 10, np.arange(20)), 3)
    0.132
    """
    one, other = (len(np.unique(groups[side])) for side in (flags, ~flags))
    return float(np.sqrt((one + other + 1) / (12 * one * other)))


def joint_test(areas: Mapping[str, Values], errors: Mapping[str, float]) -> dict[str, Outcome]:
    """One test over all detectors, given the areas of each with true (first) and exchanged flags.

    A detector's p-value already counts that all the others were tried; the smallest is that of the whole test.
    `errors` are the least standard deviations: a figure that hardly ever varies would else look extreme when it does.
    """
    names, table = list(areas), np.array(list(areas.values()))
    spread = np.maximum(table.std(axis=1), [errors[name] for name in names])[:, None]
    deviations = (table - table.mean(axis=1, keepdims=True)) / spread
    largest = deviations.max(axis=0)
    return {
        name: Outcome(float(area[0]), float(each[0]), float((largest >= each[0]).mean()))
        for name, area, each in zip(names, table, deviations, strict=True)
    }


@dataclass(slots=True)
class _Best:
    """Of every column: the place that tells best so far, how well and which way round, its mean and its spread."""

    place: npt.NDArray[np.int64]
    t: Values
    middle: Values
    spread: Values

    @classmethod
    def none(cls, columns: int) -> _Best:
        return cls(np.zeros(columns, np.int64), np.zeros(columns), np.zeros(columns), np.ones(columns))

    def better(self, start: int, t: Floats, middle: Floats, spread: Floats) -> None:
        """Take over what is better among the places from `start` on."""
        columns = np.arange(t.shape[1])
        place = np.abs(t).argmax(axis=0)
        new = np.abs(t[place, columns]) > np.abs(self.t)
        chosen = place[new], columns[new]
        self.place[new], self.t[new] = place[new] + start, t[chosen]
        self.middle[new], self.spread[new] = middle[place[new]], spread[chosen]


def _best_places(stack: npt.NDArray[np.integer], flags: Flags, folds: Folds, names: Folds, floor: float) -> list[_Best]:
    """The best place among the other folds, for each fold; a block of places at a time."""
    best = [_Best.none(flags.shape[1]) for _ in names]
    weights = flags.astype(np.float32)
    for start in range(0, stack.shape[1], _PIXELS_AT_ONCE):
        x = stack[:, start : start + _PIXELS_AT_ONCE].astype(np.float32)
        sums = np.array([x[folds == fold].T @ weights[folds == fold] for fold in names])
        whole = sums.sum(axis=0)
        for number, fold in enumerate(names):
            inside = folds != fold
            some = x[inside]
            t, spread = _differences(some, whole - sums[number], flags[inside].sum(axis=0), floor)
            best[number].better(start, t, some.mean(axis=0), spread)
    return best


def _differences(x: Floats, sums: Floats, flagged: npt.NDArray[np.int64], floor: float) -> tuple[Floats, Floats]:
    """Differences of the means of flagged and others over their common spread, and that spread, each (P, B + 1).

    With values less their mean m, n of them flagged, S = sums - n m and c = 1 / n + 1 / (N - n), the difference is
    c S and the sum of squares within both kinds is that of all less c S S.
    """
    n = np.maximum(flagged, 1).astype(np.float32)
    c = 1 / n + 1 / np.maximum(len(x) - flagged, 1).astype(np.float32)
    mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)[:, None]
    squares = np.square(x - mean[:, 0]).sum(axis=0)[:, None]
    sums = sums - mean * n
    spread = np.sqrt(np.maximum(squares - c * np.square(sums), 0) / max(len(x) - 2, 1)) + floor
    return (c * sums / spread).astype(np.float32), spread.astype(np.float32)
