"""Can a training that ended be told from one that was stopped? Curves drawn with known ends, and real small networks.

The curves are not what the rule assumes: exponentials, power laws, two phases and late starts, some of which overfit
afterwards, with noise that goes on from check to check, and seeds of which each learns at its own speed. Their plateau
is known without noise. Networks are trained on phantoms by the tool's own code, all seeds for the same number of steps
as in a comparison: until the end that the first of them finds, and a quarter of its plateau. Whether that was the end
is told by the further course of the same trainings; one of fewer steps begins as a longer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student

from analysis.statistics.convergence import STILL, Course, is_over, is_unfinished, next_check, plateau
from analysis.vision.augmentation import Augmentation
from analysis.vision.checkpoints import Monitor
from analysis.vision.classifier import ClassifierSettings, train_classifier
from examples.phantoms import draw_radiograph
from tests.benchmarks.rows import Row

SHAPES = ("exponential", "power law", "two phases", "late start")
PACE, LONGEST = 100.0, 8000  # steps
SIDE, CLASSES, COUNTS = 24, ("normal", "pleural_effusion"), (60, 15)
NETWORK_STEPS, NETWORK_SEEDS = 1000, 3
LEAST, LEAST_QUARTER = 100, 10  # steps
GUESS = float(np.log(len(CLASSES)))


def noiseless(shape: str, overfits: float, steps: Any) -> Any:
    """What is left of a fall of 1 at these steps, (N,); afterwards it may rise."""
    x = steps / PACE
    fall = {
        "exponential": np.exp(-x),
        "power law": 1 / (1 + x),
        "two phases": 0.7 * np.exp(-x) + 0.3 * np.exp(-x / 6),
        "late start": 1 / (1 + np.exp(2 * (x - 2))),
    }[shape]
    return fall + overfits * np.maximum(0, x - 3)


def true_plateau(shape: str, overfits: float) -> int:
    """The step from which on less than `STILL` of the whole fall is left."""
    falls = noiseless(shape, overfits, np.arange(LONGEST, dtype=np.float64))
    return int(np.argmax(falls <= falls.min() + STILL * (falls[0] - falls.min())))


def drawn_courses(shape: str, overfits: float, last: int, seeds: int, noise: float, chance: Any) -> list[Course]:
    """Courses of so many seeds until a step; the noise is a share of the fall, and half of it goes on to each check."""
    steps = [0]
    while (step := next_check(steps[-1])) < last:
        steps.append(step)
    steps.append(last)
    found = []
    for _ in range(seeds):
        paced, own = np.array(steps) / chance.lognormal(0, 0.1), [0.0]
        for fresh in chance.normal(0, noise, len(steps)):
            own.append(0.5 * own[-1] + 0.75**0.5 * fresh)
        losses = 0.1 + 0.6 * (noiseless(shape, overfits, paced) + np.array(own[1:]))
        found.append(Course(tuple(steps), tuple(losses.tolist())))
    return found


def flagged(sets: int, seeds: Sequence[int], of_plateau: float, seed: int = 0) -> float:
    """The share of drawn trainings called unfinished, each of so many times the steps to its plateau."""
    chance, found = np.random.default_rng(seed), 0
    for number in range(sets):
        shape, overfits = SHAPES[number % len(SHAPES)], chance.choice([0.0, 0.01])
        last = max(20, round(of_plateau * true_plateau(shape, overfits)))
        noise = chance.choice([0.01, 0.02, 0.03])
        found += is_unfinished(drawn_courses(shape, overfits, last, int(chance.choice(seeds)), noise, chance))
    return found / sets


def ends_of_late_ones(sets: int, learns: bool, seed: int = 0) -> tuple[float, int]:
    """Trainings that stand at a guess's loss for 100 to 400 steps: the share that ends after it, and the latest end."""
    chance, after, ends = np.random.default_rng(seed), 0, []
    for _ in range(sets):
        still = chance.uniform(100, 400)
        steps = [0]
        while steps[-1] < 2000:
            steps.append(next_check(steps[-1]))
        fall = np.exp(-np.maximum(0, np.array(steps) - still) / PACE) if learns else 1
        losses = GUESS * (0.1 + 0.9 * fall) + chance.normal(0, chance.choice([0.001, 0.002, 0.004]), len(steps))
        end = own_end(Course(tuple(steps), tuple(losses.tolist()))).steps[-1]
        after += end > still + PACE
        ends.append(end)
    return after / sets, max(ends)


def late(full: bool) -> Row:
    share, _ = ends_of_late_ones(2000 if full else 200, learns=True)
    _, latest = ends_of_late_ones(2000 if full else 200, learns=False)
    what = "trainings that learn only after 100 to 400 steps, or never"
    told = f"{share:.1%} found their end after it; the others at step {latest} at the latest"
    return Row(what, "not over before", told, "at least 95%; 700", share >= 0.95 and latest <= 700)


def finished(full: bool) -> Row:
    share = flagged(4000 if full else 400, (3, 5), 2)
    what = "S11 drawn trainings of twice their plateau, 3 or 5 seeds"
    return Row(what, "finished", f"flagged in {share:.1%}", "at most 5%", share <= 0.05)


def stopped(full: bool) -> Row:
    share = flagged(4000 if full else 400, (3, 5), 0.25)
    what = "S11 drawn trainings of a quarter of their plateau, 3 or 5 seeds"
    return Row(what, "unfinished", f"flagged in {share:.1%}", "at least 95%", share >= 0.95)


def network_courses(draw: int, seeds: int = NETWORK_SEEDS) -> list[Course]:
    """Small networks of new phantoms, trained much longer than most of them need."""
    torch.set_num_threads(1)

    def images(first: int, counts: Sequence[int]) -> tuple[Any, Any]:
        places = [
            (label, first + 1000 * at + number) for at, label in enumerate(CLASSES) for number in range(counts[at])
        ]
        greys = np.stack([draw_radiograph(label, patient, 0, SIDE, 3) for label, patient in places])
        return greys, np.repeat(np.arange(len(CLASSES)), counts)

    greys, targets = images(10_000 * draw, COUNTS)
    unseen, truth = images(10_000 * draw + 5000, (20, 20))
    prior = np.log(np.full(len(CLASSES), 1 / len(CLASSES)))

    def course(seed: int) -> Course:
        settings = ClassifierSettings(
            steps=NETWORK_STEPS,
            width=8,
            batch_size=16,
            sampling="balanced",
            augmentation=Augmentation.strong(),
            seed=seed,
        )
        return train_classifier(greys, targets, CLASSES, settings, monitor=Monitor(unseen, truth, prior)).course

    return [course(seed) for seed in range(seeds)]


def until(course: Course, step: int) -> Course:
    """That of a training which was stopped there."""
    count = sum(each <= step for each in course.steps)
    return Course(course.steps[:count], course.losses[:count])


def own_end(course: Course) -> Course:
    """That of a training which looks for its own end; where it finds none, the whole."""
    ends = (until(course, step) for step in course.steps)
    return next((each for each in ends if is_over(each, LEAST, GUESS)), course)


def was_left(courses: Sequence[Course], step: int) -> tuple[float, float]:
    """What the further course of trainings took off the lowest loss, as a share of the fall; its least and most.

    One-sided bounds of 95% for the mean over the seeds.
    """
    shares = np.array([(until(each, step).lowest - each.lowest) / (each.losses[0] - each.lowest) for each in courses])
    width = float(student.ppf(0.95, len(shares) - 1)) * shares.std(ddof=1) / len(shares) ** 0.5
    return float(shares.mean() - width), float(shares.mean() + width)


@dataclass(frozen=True, slots=True)
class Stop:
    """Trainings stopped together: whether they had ended by their further course, None if not sure; what was said."""

    ended: bool | None
    flagged: bool

    @classmethod
    def of(cls, courses: Sequence[Course], step: int) -> Stop:
        """Judge the beginning, and compare it with the whole."""
        least, most = was_left(courses, step)
        ended = True if most <= STILL else False if least > STILL else None
        return cls(ended, is_unfinished([until(each, step) for each in courses]))


def stops(courses: Sequence[Course]) -> tuple[Stop, Stop]:
    """At a quarter of the first one's plateau, and at the end that it finds; all trainings stop at the same step."""
    found = own_end(courses[0])
    return Stop.of(courses, max(LEAST_QUARTER, plateau(found) // 4)), Stop.of(courses, found.steps[-1])


def networks_row(draws: Sequence[Sequence[Course]]) -> Row:
    """Both goals at once, since a training serves for both; what was not sure, or ended too early, is named."""
    quarters, ends = zip(*map(stops, draws), strict=True)
    cut = [each.flagged for each in quarters if each.ended is False]
    finished = [each.flagged for each in ends if each.ended]
    early = [each.flagged for each in ends if each.ended is False]
    missed, alarms = len(cut) - sum(cut), sum(finished)
    allowed = [max(1, round(0.05 * len(each))) for each in (cut, finished)]
    return Row(
        f"S11 networks trained on {len(draws)} draws of phantoms, {NETWORK_SEEDS} seeds, stopped twice",
        f"{len(cut)} unfinished at a quarter; {len(finished)} finished, {len(early)} unfinished at the end they found",
        f"flagged {sum(cut)}; {alarms}, {sum(early)}",
        f"at least {len(cut) - allowed[0]}; at most {allowed[1]}; no goal",
        bool(cut and finished) and missed <= allowed[0] and alarms <= allowed[1],
    )


def networks(full: bool) -> Row:
    """New draws: on 0 to 7 a rule of the lowest loss was tried: it found fewer on new ones, and was left."""
    return networks_row([network_courses(100 + draw) for draw in range(100 if full else 8)])


ROWS = [finished, stopped, late, networks]
