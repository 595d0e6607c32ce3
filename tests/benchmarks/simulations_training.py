"""Can a training that ended be told from one that was stopped? Curves drawn with known ends, and real small networks.

The curves are not what the rule assumes: exponentials, power laws, two phases and late starts, some of which overfit
afterwards, with noise that goes on from check to check, and seeds of which each learns at its own speed. Their plateau
is known without noise. Networks are trained on phantoms by the tool's own code, and look for their own end as the
baseline of a comparison does; a training of fewer steps begins as a longer one, so its course is the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from analysis.statistics.convergence import STILL, Course, is_unfinished, next_check, plateau
from analysis.vision.augmentation import Augmentation
from analysis.vision.checkpoints import Monitor
from analysis.vision.classifier import ClassifierSettings, train_classifier
from examples.phantoms import draw_radiograph
from tests.benchmarks.rows import Row

SHAPES = ("exponential", "power law", "two phases", "late start")
PACE, LONGEST = 100.0, 8000  # steps
SIDE, CLASSES, COUNTS = 24, ("normal", "pleural_effusion"), (60, 15)
NETWORK_STEPS, NETWORK_SEEDS = 500, 3


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


def finished(full: bool) -> Row:
    share = flagged(4000 if full else 400, (3, 5), 2)
    what = "S11 drawn trainings of twice their plateau, 3 or 5 seeds"
    return Row(what, "finished", f"flagged in {share:.1%}", "at most 5%", share <= 0.05)


def stopped(full: bool) -> Row:
    share = flagged(4000 if full else 400, (3, 5), 0.25)
    what = "S11 drawn trainings of a quarter of their plateau, 3 or 5 seeds"
    return Row(what, "unfinished", f"flagged in {share:.1%}", "at least 95%", share >= 0.95)


def network_courses(draw: int, seeds: int = NETWORK_SEEDS) -> tuple[list[Course], int]:
    """Small networks of new phantoms, as long as the first one needs, and the step of its plateau."""
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

    def course(seed: int, steps: int, to_plateau: bool) -> Course:
        settings = ClassifierSettings(
            steps=steps, width=8, batch_size=16, sampling="balanced", augmentation=Augmentation.strong(), seed=seed
        )
        monitor = Monitor(unseen, truth, prior, to_plateau)
        return train_classifier(greys, targets, CLASSES, settings, monitor=monitor).course

    first = course(0, NETWORK_STEPS, to_plateau=True)
    return [first, *(course(seed, first.steps[-1], False) for seed in range(1, seeds))], plateau(first)


def beginning(course: Course, last: float) -> Course:
    """A course until a step: that of the training which was stopped there."""
    count = max(2, sum(step <= last for step in course.steps))
    return Course(course.steps[:count], course.losses[:count])


def networks(full: bool) -> Row:
    """Both goals at once, since a training serves for both."""
    draws = 100 if full else 8
    found = [network_courses(draw) for draw in range(draws)]
    ended = sum(is_unfinished(courses) for courses, _ in found)
    cut = sum(is_unfinished([beginning(each, end / 4) for each in courses]) for courses, end in found)
    most = max(1, round(0.05 * draws))
    return Row(
        f"S11 networks trained on {draws} draws of phantoms, {NETWORK_SEEDS} seeds",
        "finished; stopped at a quarter of the plateau",
        f"flagged {ended}; {cut}",
        f"at most {most}; at least {draws - most}",
        ended <= most and cut >= draws - most,
    )


ROWS = [finished, stopped, networks]
