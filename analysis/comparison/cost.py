"""What a comparison costs, said before anything is trained: how many trainings, and about how long all of them take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.comparison.inputs.study import EXTRA
from analysis.comparison.request import Request
from analysis.comparison.training.arm_selection import wanted_of
from analysis.comparison.training.arms import ARMS
from analysis.comparison.training.learning_curve import FRACTIONS
from analysis.comparison.training.runs import usual_workers
from analysis.comparison.training.training_spec import Backbone
from balancer.text import duration, size_of
from balancer.workspace.fold_runs import Refit

_RATED = 3  # the arms whose learning rate is chosen: those of the verdict, the matched control; and the counter-arm


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


def training_cost(request: Request, *, made: bool) -> Cost:
    """What is to be trained on all folds or redraws, if none of it is done; `made`: there are synthetic images.

    How long a training takes is tried, for a second or two.
    """
    runs, settings, backbone = request.runs, request.settings, request.runs.backbone
    replicates, folds = settings.cross_fit or settings.redraw, bool(settings.cross_fit)
    seeds, studies = len(runs.seeds), replicates if folds else 1
    curve = len(FRACTIONS) * seeds if made and replicates == 1 and request.has_curve else 0
    tried = len(backbone.rates) - 1 if runs.tries_rates and backbone.rates else 0
    rated = _RATED + ("transplanted" in request.wanted.needs) if made else 1
    trainings = (len(_arms(request, made)) * seeds + tried * rated) * studies + curve
    steps = runs.steps or runs.longest
    parts = request.session.split.parts
    learned, others = (int(parts.isin(some).sum()) for some in (("train", "holdout"), ("val", "test")))
    pace = backbone.pace(steps, learned, others)
    at_once = settings.workers or usual_workers(backbone, backbone.units(steps) * trainings)
    looks = _looks(backbone, seeds, replicates, folds=folds) + curve
    most = runs.steps is None and backbone.rates != ()
    return Cost(trainings, curve, pace.training, min(at_once, trainings), looks * pace.look, at_most=most)


def cost_in_words(request: Request, refits: Sequence[Refit], training: Cost) -> str:
    """What all of it takes: what is adapted and filled again, and the trainings."""
    if not refits:
        return f"Cost: {training}. Completed training is not repeated."
    size = float(request.session.collection.images["size"].sum())
    return (
        f"Cost: {len(refits)} times {' + '.join(refits[0].runs)} ({duration(refits[0].seconds)} each, as the last ones "
        f"took), and {training}. All of it about {duration(seconds_of(refits, training))}, and "
        f"{size_of(1.5 * size)} of disk at a time. Completed training is not repeated."
    )


def seconds_of(refits: Sequence[Refit], training: Cost) -> float:
    """Until all is done, if nothing is done yet."""
    return sum(each.seconds for each in refits) + training.seconds


def _looks(backbone: Backbone, seeds: int, replicates: int, *, folds: bool) -> int:
    """How often all images are looked at: once a replicate, or once a seed."""
    return replicates if backbone.looks_alike else seeds * (replicates if folds else 1)


def _arms(request: Request, made: bool) -> set[str]:
    """Those that are trained, as far as can be told before the images are gathered."""
    backbone, extras = request.runs.backbone, [f"{EXTRA}{name}" for name in request.wanted.extras]
    trained = [each for each in ARMS.values() if each.learn is not None]
    there = [each for each in trained if each.adds != "transplanted" or "transplanted" in request.wanted.needs]
    able = [each.name for each in there if (made or each.adds is None) and not set(each.asks) & set(backbone.unable)]
    return wanted_of(able, [*ARMS, *extras], backbone, **request.which_arms) & {*able, *extras}
