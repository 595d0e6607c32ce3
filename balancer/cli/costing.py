"""What a comparison costs, said before anything is trained: how many trainings, and about how long all of them take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from balancer.text import duration

if TYPE_CHECKING:
    from analysis.comparison.training.training_spec import Learner
    from balancer.cli.benches import Order

_RATED = 3  # the arms whose learning rate is chosen: those of the verdict and the matched control


@dataclass(frozen=True, slots=True)
class Cost:
    """So many trainings of `each` seconds, so many at once; before them looks at all images, one after the other.

    `of_curve` of the trainings are for the learning curve, after the others. `at_most`: how long they are is found out.
    """

    trainings: int
    of_curve: int
    each: float
    at_once: int
    looking: float = 0.0
    at_most: bool = False

    @property
    def seconds(self) -> float:
        """Until all is done, as the clock counts."""
        rounds = (math.ceil(each / self.at_once) for each in (self.trainings - self.of_curve, self.of_curve))
        return self.looking + sum(rounds) * self.each

    def __str__(self) -> str:
        """In words.

        >>> str(Cost(80, 10, 30.0, 2))
        '80 trainings of about 30 s (10 of them for the learning curve), 2 at once: about 20 min'
        """
        curve = f" ({self.of_curve} of them for the learning curve)" if self.of_curve else ""
        at_once = f", {self.at_once} at once" if self.at_once > 1 else ""
        look = f", after {duration(self.looking)} of computing features" if self.looking >= 1 else ""
        count = f"{self.trainings} training{'s' if self.trainings > 1 else ''}"
        about = "at most" if self.at_most else "about"
        return f"{count} of {about} {duration(self.each)}{curve}{at_once}{look}: {about} {duration(self.seconds)}"


def training_cost(order: Order, legs: int, *, folds: bool, made: bool) -> Cost:
    """What is to be trained on so many folds or redraws, if none of it is done; `made`: there are synthetic images.

    How long a training takes is tried, for a second or two.
    """
    from analysis.comparison.training.replicates import FRACTIONS
    from analysis.comparison.training.runs import usual_workers

    settings, learner = order.settings, order.settings.learner
    seeds, studies = len(settings.seeds), legs if folds else 1
    curve = len(FRACTIONS) * seeds if made and legs == 1 and order.has_curve else 0
    tried = len(learner.rates) - 1 if settings.tries_rates and learner.rates else 0
    trainings = (len(_arms(order, made)) * seeds + tried * (_RATED if made else 1)) * studies + curve
    steps = settings.steps or settings.longest
    parts = order.session.split.parts
    learned, others = (int(parts.isin(some).sum()) for some in (("train", "holdout"), ("val", "test")))
    pace = learner.pace(steps, learned, others)
    at_once = order.workers or usual_workers(learner, learner.units(steps) * trainings)
    looks = _looks(learner, seeds, legs, folds=folds) + curve
    most = settings.steps is None and learner.rates != ()
    return Cost(trainings, curve, pace.training, min(at_once, trainings), looks * pace.look, at_most=most)


def _looks(learner: Learner, seeds: int, legs: int, *, folds: bool) -> int:
    """How often all images are looked at: once a leg, or once a seed."""
    return legs if learner.looks_alike else seeds * (legs if folds else 1)


def _arms(order: Order, made: bool) -> set[str]:
    """Those that are trained, as far as can be told before the images are gathered."""
    from analysis.comparison.inputs.study import EXTRA
    from analysis.comparison.training.arm_selection import wanted_of
    from analysis.comparison.training.arms import ARMS

    learner, extras = order.settings.learner, [f"{EXTRA}{name}" for name in order.wanted.extras]
    trained = [each for each in ARMS.values() if each.learn is not None]
    able = [each.name for each in trained if (made or each.adds is None) and not set(each.asks) & set(learner.unable)]
    how: dict[str, Any] = {"quick": order.quick, "only": order.only, "recipe": order.settings.recipe}
    return wanted_of(able, [*ARMS, *extras], learner, **how) & {*able, *extras}
