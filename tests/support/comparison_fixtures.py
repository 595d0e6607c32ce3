"""A tiny study: three kinds of stripes, the third one rare, and a learner that writes down what it is taught."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.comparison.inputs.study import ATTRIBUTES, Added, Part, Study
from analysis.comparison.training.training_spec import TimeEstimate
from analysis.statistics.convergence import Course

CLASSES = ("LYING", "STANDING", "RARE")
SIDE = 16


def stripes(targets, seed=0, noise=40):
    """Stripes that lie, that stand, and that stand only a little higher in contrast."""
    chance = np.random.default_rng(seed)
    wave = np.where(np.arange(SIDE) % 4 < 2, -1, 1)
    lying, standing = np.broadcast_to(wave[:, None], (SIDE, SIDE)), np.broadcast_to(wave[None, :], (SIDE, SIDE))
    kinds = np.stack([40 * lying, 40 * standing, 20 * standing + 15 * lying])
    greys = 128 + kinds[targets] + chance.normal(0, noise, (len(targets), SIDE, SIDE))
    return greys.clip(0, 255).astype(np.uint8)


def part(counts, seed=0):
    targets = np.repeat(np.arange(len(counts)), counts)
    size = len(targets)
    table = pd.DataFrame(index=range(size), columns=list(ATTRIBUTES))
    names = tuple(f"{seed}-{number}.png" for number in range(size))
    return Part(stripes(targets, seed), targets, np.arange(size), names, table)


def added(counts, seed=9):
    targets = np.repeat(np.arange(len(counts)), counts)
    return Added(stripes(targets, seed), targets)


def study(train=(40, 30, 6), extra=None, validation=(8, 8, 6)):
    pools = {"synthetic": added((0, 10, 34))} if extra is None else extra
    return Study(CLASSES, "RARE", part(train, 1), part(validation, 2), part((10, 10, 10), 3), pools)


@dataclass(frozen=True)
class Remembered:
    """A model that knows no better than the first image it was taught."""

    first: int
    course: Course = Course()  # noqa: RUF009  # frozen

    def probabilities(self, seen):
        return np.full((len(seen), len(CLASSES)), 1 / len(CLASSES), np.float32)


@dataclass(frozen=True)
class Scribe:
    """A learner that learns nothing and writes down every lesson."""

    specs: list = field(default_factory=list)
    side: int = SIDE
    steps: int = 5
    setting: str = "scribe, 16 px"
    stamps: tuple = ()
    memory: int = 1
    device: str = "cpu"
    unable: dict = field(default_factory=dict)
    looks_alike: bool = True
    rates: tuple = ()
    stop_after: int = 10**6

    def facts(self):
        return {"backbone": "scribe"}

    def units(self, steps):
        return steps

    def look(self, images, real, targets, classes, seed, progress):
        return images

    def pace(self, steps, learned, others):
        return TimeEstimate(0.0, 1.0)

    def learn(self, seen, spec, progress):
        if len(self.specs) == self.stop_after:
            raise KeyboardInterrupt
        self.specs.append(spec)
        for step in range(spec.steps):
            progress(step + 1, spec.steps)
        return Remembered(spec.rows[0])
