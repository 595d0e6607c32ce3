"""Does a classifier rely on what a generator leaves? Images that carry it, beside a control that never saw it.

The control is trained on real images alone, duplicated to the same number in each class: a control of other class
counts, or of another seed, calls images otherwise without any trace. The trace is put on both classes, which weigh the
same: a shortcut moves images towards the class that is mostly synthetic. What makes them merely harder to tell moves
the classes towards each other, which cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from analysis.data.balanced_folder import TrainingImagesByClass
from analysis.data.images import Greys
from analysis.statistics.intervals import Groups, Interval
from analysis.vision.classifier import Classifier

LEVEL = 0.01
"""The chance of a false alarm in a whole probe: all classes and all detectors together."""
LEAST_SHIFT = 0.05
"""Of the distance between the classes. Two classifiers of other images react otherwise to any change of an image: on
real X-rays without a synthetic one (four draws of patients, five changes), by up to 0.04."""

LEAST_SEPARATION = 1.0
"""Standard deviations between the classes, of controls that can say anything: about an area of 0.76. Classifiers that
have not learned the classes move with any change of an image, each its own way."""

_SAME_SHARE = 0.05
Values = npt.NDArray[np.float64]
Sides = tuple[tuple[Greys, Groups], tuple[Greys, Groups]]
"""Plain images of a class and those with the trace, each with their patients, numbered alike."""


@dataclass(frozen=True, slots=True)
class Lean:
    """How far a trace moves images towards the minority classes, beyond what it does with the control.

    `majority` and `minority` are shifts of the images of either, `excess` is their mean, in distances between the
    classes, with 95% intervals; `p_value` is that of the mean. `plain`, `traced` and `control` (both of them) are the
    shares of majority images called a minority class. `separation` is how well the controls tell plain images of the
    classes apart, in standard deviations of their log-odds.
    """

    what: str
    images: int
    plain: float
    traced: float
    control: tuple[float, float]
    majority: Interval
    minority: Interval
    excess: Interval
    p_value: float
    seeds: int
    separation: float

    @property
    def is_known(self) -> bool:
        """Whether the controls have learned the classes: else nothing can be said."""
        return self.separation >= LEAST_SEPARATION

    @property
    def leans(self) -> bool:
        """Whether images are shifted by enough to matter, and chance is excluded."""
        return self.is_known and self.p_value <= LEVEL and self.excess.value >= LEAST_SHIFT


def minority_classes(merged: TrainingImagesByClass) -> tuple[str, ...]:
    """The classes that being synthetic hints at: their synthetic share is above the majority's, else the rarest one.

    With `--symmetric` the shares still differ, since the rare classes have fewer real images.
    """
    shares = {label: _share(merged, label) for label in merged.labels}
    above = tuple(label for label in merged.labels if shares[label] > shares[merged.largest] + _SAME_SHARE)
    others = [label for label in merged.labels if label != merged.largest]
    return above or tuple(sorted(others, key=lambda label: len(merged.real[label]))[:1])


def measure_lean(
    what: str, pairs: Sequence[tuple[Classifier, Classifier]], minority: Sequence[str], majority: Sides, rare: Sides
) -> Lean:
    """Compare plain with traced images of both classes; `pairs` are the trained classifier and its control, by seed."""
    odds = [[_log_odds(each, greys, minority) for greys in _greys(majority, rare)] for pair in pairs for each in pair]
    scaled = [[side / _distance(some) for side in some] for some in odds]
    excess = [
        [ours - theirs for ours, theirs in zip(scaled[place], scaled[place + 1], strict=True)]
        for place in range(0, len(scaled), 2)
    ]
    columns = [np.array(values) for values in zip(*excess, strict=True)]
    of_majority, of_minority = _Shift.of(columns[0], columns[1], majority), _Shift.of(columns[2], columns[3], rare)
    both = of_majority.mean_with(of_minority)
    called = [[float((side > 0).mean()) for side in some[:2]] for some in odds]
    (plain, traced), control = (np.mean(some, axis=0).tolist() for some in (called[::2], called[1::2]))
    return Lean(
        what,
        len(majority[1][0]),
        plain,
        traced,
        (control[0], control[1]),
        of_majority.interval,
        of_minority.interval,
        both.interval,
        both.p_value,
        len(pairs),
        float(np.mean([_separation(some) for some in odds[1::2]])),
    )


def _greys(majority: Sides, rare: Sides) -> tuple[Greys, ...]:
    return (majority[0][0], majority[1][0], rare[0][0], rare[1][0])


def _log_odds(classifier: Classifier, greys: Greys, minority: Sequence[str]) -> Values:
    """(N,) of any minority class against all others."""
    columns = [classifier.classes.index(label) for label in minority]
    share = classifier.probabilities(greys)[:, columns].sum(axis=1).astype(np.float64).clip(1e-6, 1 - 1e-6)
    return np.asarray(np.log(share / (1 - share)))


def _distance(odds: Sequence[Values]) -> float:
    """Between the means of plain images of both classes; no less than they vary within a class."""
    return max(float(odds[2].mean() - odds[0].mean()), _spread(odds))


def _separation(odds: Sequence[Values]) -> float:
    return float(odds[2].mean() - odds[0].mean()) / _spread(odds)


def _spread(odds: Sequence[Values]) -> float:
    return max(float(np.sqrt((odds[2].var() + odds[0].var()) / 2)), 1e-6)


@dataclass(frozen=True, slots=True)
class _Shift:
    """A mean shift in each seed, and the variance that patients add to their mean.

    As in a comparison patients and seeds both count: Student's t with Satterthwaite's (1946) degrees of freedom.
    """

    by_seed: Values
    of_patients: float
    freedom: int

    @classmethod
    def of(cls, plain: Values, traced: Values, sides: Sides) -> _Shift:
        """From (S, N) plain and (S, M) traced values."""
        variance, freedom = _patient_variance(plain.mean(axis=0), traced.mean(axis=0), sides)
        return cls(traced.mean(axis=1) - plain.mean(axis=1), variance, freedom)

    def mean_with(self, other: _Shift) -> _Shift:
        """The mean of the shifts of two classes, whose patients are others; the degrees of freedom of the lesser."""
        variance = (self.of_patients + other.of_patients) / 4
        return _Shift((self.by_seed + other.by_seed) / 2, variance, min(self.freedom, other.freedom))

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return float(self.by_seed.mean())

    @property
    def interval(self) -> Interval:
        """The 95% interval."""
        error, degrees = self._error
        half = float(student.ppf(0.975, degrees) * error)
        return Interval(self.value, self.value - half, self.value + half)

    @property
    def p_value(self) -> float:
        """The chance of it without any shift, one-sided; where every patient moves alike, that of the sign test."""
        error, degrees = self._error
        if error > 0:
            return float(student.sf(self.value / error, degrees))
        return 1.0 if self.value <= 0 else float(0.5 ** (self.freedom + 1))

    @property
    def _error(self) -> tuple[float, float]:
        seeds = len(self.by_seed)
        of_seeds = float(self.by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
        total = self.of_patients + of_seeds
        spread = self.of_patients**2 / self.freedom + of_seeds**2 / max(1, seeds - 1)
        return float(np.sqrt(total)), total**2 / spread if spread > 0 else 1.0


def _patient_variance(plain: Values, traced: Values, sides: Sides) -> tuple[float, int]:
    """Variance of the difference of two means whose images share patients, and its degrees of freedom."""
    deviations = np.concatenate(((plain.mean() - plain) / len(plain), (traced - traced.mean()) / len(traced)))
    numbers = np.unique(np.concatenate((sides[0][1], sides[1][1])), return_inverse=True)[1]
    sums = np.bincount(numbers, deviations)
    freedom = max(1, len(sums) - 1)
    return float(len(sums) / freedom * (sums @ sums)), freedom


def _share(merged: TrainingImagesByClass, label: str) -> float:
    made = len(merged.synthetic[label])
    return made / max(1, made + len(merged.real[label]))
