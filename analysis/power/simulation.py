"""How much the average precision of two arms differs by chance: normal scores of the same patients, drawn often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from analysis.statistics.average_precision import average_precisions

Values = npt.NDArray[np.floating]
Sizes = npt.NDArray[np.int64]

_SCORES, _MOST_DRAWS, _FEWEST_DRAWS = 3_000_000, 400, 100
_LARGEST = 120_000  # images; a larger test set is drawn smaller, or it would take more than a second or two
_STEPS = 24


@dataclass(frozen=True, slots=True)
class Spread:
    """The AUPRC of a reference arm; for arms from as good to nearly perfect the mean difference and its error."""

    base: float
    differences: Values
    errors: Values

    def smallest(self, errors: float) -> float | None:
        """The smallest difference that is so many standard errors; `None` where even the best arm's is less."""
        within = np.maximum.accumulate(self.differences / self.errors)
        return float(np.interp(errors, within, self.differences)) if within[-1] >= errors else None

    def error_of(self, difference: float) -> float | None:
        """The standard error of a difference; `None` where no arm can be so much better."""
        if difference > self.differences[-1]:
            return None
        return float(np.interp(difference, self.differences, self.errors))


def simulate(
    rare: Sequence[int], others: Sequence[int], auroc: float, correlation: float, resemblance: float, seed: int = 0
) -> Spread:
    """Draw a test set with so many images of each patient, scored by a reference arm and by better ones.

    The reference has the area `auroc`, by scores of equal variance (the binormal model, Dorfman and Alf 1969). Scores
    of one image by two arms correlate by `correlation`, those of two images of a patient by `resemblance`. The same
    draws serve all arms, so that differences between them are not luck. Of a very large test set a smaller one in the
    same proportion is drawn, and the error scaled by the square root.
    """
    shrink = max(1.0, (sum(rare) + sum(others)) / _LARGEST)
    sizes = _thinned(rare, shrink), _thinned(others, shrink)
    draws = int(np.clip(_SCORES // sum(int(each.sum()) for each in sizes), _FEWEST_DRAWS, _MOST_DRAWS))
    chance, shifts = np.random.default_rng(seed), _shifts(auroc)
    reference, arms = np.empty(draws), np.empty((draws, _STEPS))
    for draw in range(draws):
        positive, negative = (_scores(each, correlation, resemblance, chance) for each in sizes)
        reference[draw] = average_precisions(positive[0] + shifts[0], negative[0])
        arms[draw] = average_precisions(positive[1] + shifts[:, None], negative[1])
    errors = (arms - reference[:, None]).std(axis=0, ddof=1) / math.sqrt(shrink)
    means = arms.mean(axis=0)  # the first arm is as good as the reference
    return Spread(float(means[0]), means - means[0], np.maximum(errors, 1e-9))


def _shifts(auroc: float) -> Values:
    """Distances between the means of the classes, in standard deviations: the reference's, and up to nearly perfect."""
    least, most = (math.sqrt(2) * NormalDist().inv_cdf(area) for area in (auroc, 1 - (1 - auroc) / 500))
    shifts: Values = least + (most - least) * np.linspace(0, 1, _STEPS) ** 2
    return shifts


def _thinned(sizes: Sequence[int], shrink: float) -> Sizes:
    """`shrink` times fewer patients, spread evenly over all by how many images they have."""
    ordered = np.sort(np.asarray(sizes, np.int64))
    kept = max(min(len(ordered), 2), round(len(ordered) / shrink))
    thinned: Sizes = ordered[np.linspace(0, len(ordered) - 1, kept).round().astype(np.int64)]
    return thinned


def _scores(sizes: Sizes, correlation: float, resemblance: float, chance: np.random.Generator) -> Values:
    """(2, images) standard normal scores, correlated between the arms and within the patients."""
    patients = chance.standard_normal((2, len(sizes)), dtype=np.float32)
    images = chance.standard_normal((2, int(sizes.sum())), dtype=np.float32)
    scores = math.sqrt(resemblance) * np.repeat(patients, sizes, axis=1) + math.sqrt(1 - resemblance) * images
    scores[1] = correlation * scores[0] + math.sqrt(1 - correlation**2) * scores[1]
    return scores
