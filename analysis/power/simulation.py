"""What `compare` would find: test sets with scores of two arms are simulated, and each is judged as `compare` judges.

The rule is that of `judge_scores`: the interval of one planned contrast, the patient its unit. Its bootstrap error is
replaced by what it converges to (`analysis.statistics.influence`), so that a thousand test sets take a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from scipy.stats import t as student

from analysis.statistics.influence import average_precision_influence, stratified_variance

if TYPE_CHECKING:
    from analysis.power.sample import Assumptions, Sample

Values = npt.NDArray[np.floating]
Numbers = npt.NDArray[np.int64]

_SCORES, _FEWEST_SETS, _MOST_SETS = 1_000_000, 200, 1000
_IMAGES, _PATIENTS = 2000, 60  # a larger test set is simulated smaller, but with so many patients of the class
_OTHERS = 3000  # images of other classes; of more, each that is kept stands for several
_HALVINGS = 9


@dataclass(frozen=True, slots=True)
class Contrasts:
    """For R simulated test sets, shape (R,): difference of the arms, its standard error, degrees of freedom."""

    differences: Values
    errors: Values
    freedom: Values

    def lowest(self, level: float) -> Values:
        """The lower bounds of the intervals."""
        lowest: Values = self.differences - student.ppf(1 - level / 2, self.freedom) * self.errors
        return lowest

    def helps(self, level: float) -> float:
        """The share of test sets whose interval lies above 0."""
        return float((self.lowest(level) > 0).mean())


class Simulation:
    """Test sets like `sample`, scored by a reference arm and by one that is better by a `gain` of the distance.

    Scores are normal, of equal variance in the class and outside it (the binormal model, Dorfman and Alf 1969). Of
    several folds each is ranked by itself, and their average precisions are weighted by their images of the class.
    The same random numbers serve every gain, so that what is found grows smoothly with it.

    Example:
        >>> from analysis.power.sample import Assumptions, Sample
        >>> simulation = Simulation(Sample((1,) * 40, (1,) * 360), Assumptions())
        >>> round(simulation.base, 1), round(simulation.mean(0.6), 1)
        (0.5, 0.2)
    """

    def __init__(self, sample: Sample, assumed: Assumptions, folds: int = 1, seed: int = 0) -> None:
        self.assumed, self.freedom = assumed, max(1, sample.patients - folds)
        self.prevalence = sample.images / (sample.images + sample.other_images)
        self._shrink = max(1.0, min(sample.patients / _PATIENTS, (sample.images + sample.other_images) / _IMAGES))
        self._distance = math.sqrt(2) * NormalDist().inv_cdf(assumed.auroc)
        rng = np.random.default_rng(seed)
        parts = _dealt(sample, folds, self._shrink, rng)
        images = sum(part.positive.size + part.negative.size for part in parts)
        self.sets = int(np.clip(_SCORES // images, _FEWEST_SETS, _MOST_SETS))
        self._weights = np.array([part.positive.size for part in parts]) / sum(part.positive.size for part in parts)
        luck = self._seed_spread / math.sqrt(assumed.seeds)
        self._offsets = luck * rng.standard_normal((2, self.sets))
        self._seed_scale = rng.chisquare(max(1, assumed.seeds - 1), self.sets) / max(1, assumed.seeds - 1)
        self._scores = [part.scores(self.sets, assumed, rng) for part in parts]
        self._parts = parts
        self._reference = self._measured(0, 0.0)

    @property
    def base(self) -> float:
        """The mean average precision of the reference."""
        return float((self._weights @ np.array([areas for areas, _ in self._reference])).mean())

    @property
    def largest_gain(self) -> float:
        """The gain of a nearly perfect arm, whose area leaves 500 times less to be had."""
        perfect = 1 - (1 - self.assumed.auroc) / 500
        return math.sqrt(2) * NormalDist().inv_cdf(perfect) - self._distance

    def at(self, gain: float) -> Contrasts:
        """What `compare` would find of an arm with this gain."""
        better, base = self._measured(1, gain), self._reference
        differences = self._weights @ np.array(
            [ours - theirs for (ours, _), (theirs, _) in zip(better, base, strict=True)]
        )
        variances = [
            stratified_variance(part.by_patient(ours - theirs), part.strata)
            for part, (_, ours), (_, theirs) in zip(self._parts, better, base, strict=True)
        ]
        patients = self._weights**2 @ np.array(variances) / self._shrink
        mean = differences.mean()
        seeds = self.seed_variance(gain) * self._seed_scale
        return Contrasts(
            mean + (differences - mean) / math.sqrt(self._shrink),
            np.sqrt(patients + seeds),
            _freedom(seeds, self.assumed.seeds - 1, patients, self.freedom),
        )

    def mean(self, gain: float) -> float:
        """The difference that an arm with this gain makes on average."""
        return float((self._weights @ np.array([areas for areas, _ in self._measured(1, gain)])).mean() - self.base)

    def seed_variance(self, gain: float) -> float:
        """The variance that the luck of so many trainings of both arms adds to a difference."""
        slopes = (self._slope(each) for each in (self._distance, self._distance + gain))
        return sum((slope * self._seed_spread) ** 2 for slope in slopes) / self.assumed.seeds

    def smallest(self) -> float | None:
        """The smallest difference that "helps" has the wanted power to show; `None` if no arm could be good enough."""
        wanted = lambda gain: self.at(gain).helps(self.assumed.level) >= self.assumed.power  # noqa: E731
        gain = _first(wanted, self.largest_gain)
        return None if gain is None else self.mean(gain)

    def gain_of(self, difference: float) -> float | None:
        """The gain that makes a difference; `None` where even a perfect arm makes less."""
        return _first(lambda gain: self.mean(gain) >= difference, self.largest_gain)

    @cached_property
    def _seed_spread(self) -> float:
        """The standard deviation of the distance between trainings, from that of the area."""
        return self.assumed.seed_auroc * math.sqrt(2) / NormalDist().pdf(self._distance / math.sqrt(2))

    def _slope(self, distance: float) -> float:
        areas = [expected_average_precision(distance + step, self.prevalence) for step in (-0.05, 0.05)]
        return (areas[1] - areas[0]) / 0.1

    def _measured(self, arm: int, gain: float) -> list[tuple[Values, Values]]:
        """The average precision (R,) and the influence (R, images) in each fold."""
        shift = (self._distance + gain + self._offsets[arm])[:, None]
        return [
            average_precision_influence(positive[arm] + shift, negative[arm], part.weight)
            for part, (positive, negative) in zip(self._parts, self._scores, strict=True)
        ]


def expected_average_precision(distance: float, prevalence: float) -> float:
    """The average precision of infinitely many images with normal scores whose means are so far apart.

    >>> round(expected_average_precision(0.0, 0.2), 3), round(expected_average_precision(9.0, 0.2), 3)
    (0.2, 1.0)
    """
    thresholds = np.linspace(distance + 6, -6, 2000)
    found, false = prevalence * norm.sf(thresholds - distance), (1 - prevalence) * norm.sf(thresholds)
    return float(np.trapezoid(found / (found + false), found) / prevalence)


@dataclass(frozen=True, slots=True)
class _Part:
    """The images of one fold: the patient of each, those with the class first; each of the others counts `weight`."""

    positive: Numbers
    negative: Numbers
    weight: float

    @property
    def strata(self) -> list[Numbers]:
        """Patients who have the class, and the others, as `draw_patients` has them."""
        rare, everyone = np.unique(self.positive), np.unique(np.concatenate((self.positive, self.negative)))
        return [rare, np.setdiff1d(everyone, rare)]

    def by_patient(self, influence: Values) -> Values:
        """(R, patients) sums of the influence (R, images)."""
        owners = np.concatenate((self.positive, self.negative))
        order = np.argsort(owners, kind="stable")
        starts = np.searchsorted(owners[order], np.arange(owners.max() + 1))
        sums: Values = np.add.reduceat(influence[:, order], starts, axis=1)
        return sums

    def scores(self, sets: int, assumed: Assumptions, rng: np.random.Generator) -> tuple[Values, Values]:
        """(2, R, P) and (2, R, N) standard normal scores, correlated between the arms and within the patients."""
        owners = np.concatenate((self.positive, self.negative))
        patients = rng.standard_normal((2, sets, int(owners.max()) + 1), dtype=np.float32)
        images = rng.standard_normal((2, sets, len(owners)), dtype=np.float32)
        scores = math.sqrt(assumed.resemblance) * patients[:, :, owners] + math.sqrt(1 - assumed.resemblance) * images
        scores[1] = assumed.correlation * scores[0] + math.sqrt(1 - assumed.correlation**2) * scores[1]
        return scores[..., : len(self.positive)], scores[..., len(self.positive) :]


def _dealt(sample: Sample, folds: int, shrink: float, rng: np.random.Generator) -> list[_Part]:
    """The patients dealt to the folds; fewer of them where the test set is simulated smaller."""
    kinds = [_thinned(some, shrink) for some in (sample.both, [(n, 0) for n in sample.rare])]
    others = _thinned([(0, n) for n in sample.others], shrink)
    weight = max(1.0, others[:, 1].sum() / _OTHERS)
    others = _thinned(others, weight)
    tables = [rng.permutation(np.concatenate(kinds)), rng.permutation(others)]
    return [_part(np.concatenate([table[fold::folds] for table in tables]), weight) for fold in range(folds)]


def _part(table: Numbers, weight: float) -> _Part:
    patients = np.arange(len(table))
    return _Part(np.repeat(patients, table[:, 0]), np.repeat(patients, table[:, 1]), weight)


def _thinned(sizes: object, shrink: float) -> Numbers:
    """(patients, 2) images with and without the class: `shrink` times fewer patients, evenly over their sizes."""
    table = np.array(sizes, np.int64).reshape(-1, 2)
    if shrink <= 1:
        return table
    ordered = table[np.lexsort(table.T)]
    kept = min(len(table), max(2, round(len(table) / shrink)))
    thinned: Numbers = ordered[np.linspace(0, len(table) - 1, kept).round().astype(np.int64)]
    return thinned


def _freedom(one: Values, one_freedom: int, other: Values, other_freedom: int) -> Values:
    """Satterthwaite's (1946) degrees of freedom of a sum of two variances."""
    spread = one**2 / max(1, one_freedom) + other**2 / max(1, other_freedom)
    freedom: Values = (one + other) ** 2 / np.maximum(spread, 1e-300)
    return np.maximum(freedom, 1.0)


def _first(holds: Callable[[float], bool], most: float) -> float | None:
    """Where something that holds from some point on begins to hold; `None` where it does not hold at `most`."""
    low, high = 0.0, most
    if not holds(high):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
