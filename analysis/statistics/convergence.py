"""How long to train, and whether a training had ended: told from its loss on validation images, checked now and then.

All of it is arithmetic on curves: what is trained does not matter here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

STILL = 0.015
"""An improvement is one if it is more than this share of all that the training has improved so far."""
_LEVEL = 0.2
"""That of the test against `STILL`. A finished training gains far less than that: of such ones under 5% are called
unfinished, and of those stopped at a quarter of their plateau over 95% (tests/benchmarks/simulations_training.py). At
0.05 only 87% of these were found with three seeds."""
_GUESS = 0.98
"""A loss that never fell below this share of a guess's is that of a network that learned nothing: by chance the lowest
of many checks lies a little below, and networks whose training ended while their loss still stood had 0.99."""
_STANDSTILL = 600
"""Steps for which a training is given time to fall below a guess's loss: nodules of a few pixels took 300."""
_SMOOTH = 2  # checks to each side of one that are averaged with it
_DENSE, _FIRST = 12, 5  # a check each twelfth of the steps so far, each five at first


def next_check(step: int) -> int:
    """The step of the check after one at `step`: the same for every training, however long it will be.

    >>> next_check(0), next_check(240)
    (5, 260)
    """
    return step + max(_FIRST, step // _DENSE)


@dataclass(frozen=True, slots=True)
class Course:
    """A training as its validation loss saw it: the steps at which it was checked, rising, and the loss at each.

    Nothing was checked where there was no validation image: an empty course.

    >>> Course((25, 50, 75), (1.0, 0.4, 0.5)).best
    50
    """

    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()

    @property
    def best(self) -> int:
        """The step of the lowest loss, the first of equal ones: whose weights are kept; 0 where nothing was checked."""
        return self.steps[int(np.argmin(self.losses))] if self.losses else 0

    @property
    def lowest(self) -> float:
        """The lowest loss; not a number where nothing was checked."""
        return min(self.losses, default=float("nan"))

    def then(self, other: Course) -> Course:
        """The curve with that of a further training stage appended, its steps counted on."""
        start = self.steps[-1] if self.steps else 0
        return Course(self.steps + tuple(start + step for step in other.steps), self.losses + other.losses)


NO_COURSE = Course()
"""That of a training which nobody watched."""


def plateau(course: Course) -> int:
    """The step at which the loss, smoothed, stopped improving: the first check after which it fell by `STILL` at most.

    >>> plateau(Course((0, 5, 10, 15, 20, 25, 30), (1.0, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3)))
    20
    """
    losses = _smooth(np.array(course.losses))
    enough = losses.min() + STILL * (losses.max() - losses.min())
    return course.steps[int(np.argmax(losses <= enough))]


def is_over(course: Course, least: int, guess: float) -> bool:
    """Whether a training that looks for its own end has found it: twice the steps to the plateau, and `least`.

    `guess` is the loss of equal odds. One that never fell clearly below it may not have begun to learn: it goes on to
    600 steps, and no further.

    >>> course = Course((0, 100, 200), (0.70, 0.69, 0.69))
    >>> is_over(course, least=100, guess=0.69), is_over(course, least=100, guess=1.0)
    (False, True)
    """
    if not course.steps:
        return False
    begun = course.lowest < _GUESS * guess
    return course.steps[-1] >= max(least, 2 * plateau(course) if begun else _STANDSTILL)


def is_unfinished(courses: Sequence[Course]) -> bool:
    """Whether trainings of one arm were still improving when they ended; `courses` are those of its seeds.

    Of each, by how much the loss of the last quarter of the steps is lower than that of the quarter before. One-sided t
    test over the seeds of that being more than `STILL` of the whole improvement; of a single seed it must be so as it
    is, which is a hint: up to a quarter of finished ones are called unfinished. A loss that rises, as it does where a
    network learns its images by heart, is no improvement.
    """
    excess = [_late_gain(each) - STILL * (max(each.losses) - each.lowest) for each in courses if len(each.losses) > 1]
    if not excess:
        return False
    mean, count = float(np.mean(excess)), len(excess)
    if count == 1:
        return mean > 0
    error = float(np.std(excess, ddof=1)) / count**0.5
    return mean > float(student.ppf(1 - _LEVEL, count - 1)) * error  # type: ignore[no-any-return]


def learned_nothing(courses: Sequence[Course], classes: int) -> bool:
    """Whether trainings did no better than a guess: class-balanced losses never clearly below that of equal odds.

    >>> learned_nothing([Course((25,), (0.7,)), Course((25,), (0.68,))], classes=2)
    True
    >>> learned_nothing([Course((25,), (0.7,)), Course((25,), (0.6,))], classes=2)
    False
    """
    lowest = [each.lowest for each in courses if each.losses]
    return bool(lowest) and not float(np.mean(lowest)) < _GUESS * np.log(max(2, classes))


def _late_gain(course: Course) -> float:
    """By how much the mean loss of the last quarter of the steps is lower than that of the quarter before."""
    quarter, losses = np.ceil(4 * np.array(course.steps) / course.steps[-1]), np.array(course.losses)
    last, before = losses[quarter == 4], losses[quarter == 3]
    return float(before.mean() - last.mean()) if len(before) else float(losses[-2] - losses[-1])


def _smooth(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Each the mean of itself and of those beside it; the first ones stay, since there the loss falls most."""
    means = [losses[max(0, at - _SMOOTH) : at + _SMOOTH + 1].mean() for at in range(len(losses))]
    return np.array(means)
