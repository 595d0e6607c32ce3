"""The legs that a comparison stands on: one study, or one for each fold or redraw, put together to one test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.comparison.inference.real_image_equivalent import Point, rare_size, subsample
from analysis.comparison.inputs.study import Chances, Outcomes, Part, Study
from analysis.comparison.training.arms import ARMS, Arm
from analysis.comparison.training.runs import Run, RunSettings, Which, load, run_together, study_key

FRACTIONS = (0.25, 0.5)
"""Of the real images of the rare class: what a learning curve needs beside all of them."""
Watch = Callable[[str], Callable[[int, int], None]]
"""Begins a phase of the work and gives back what its progress goes to."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A study and the seeds that are trained on it; `name` says which fold or redraw it is."""

    name: str
    study: Study
    seeds: tuple[int, ...]

    def settings(self, settings: RunSettings) -> RunSettings:
        """The run of this leg."""
        return replace(settings, seeds=self.seeds)


def run_legs(
    legs: Sequence[Leg],
    arms: Sequence[Arm],
    settings: RunSettings,
    home: Path,
    watch: Watch,
    *,
    workers: int | None = None,
    title: str = "Training",
) -> None:
    """Run every arm on every leg, each in a folder below `home` that is named by what it learns from.

    All legs share the processes.

    Raises:
        BalanceError: a run has no memory, or its process was killed.
    """
    owns = [leg.settings(settings) for leg in legs]
    runs = [Run(leg.study, arms, own, _folder(leg, own, home)) for leg, own in zip(legs, owns, strict=True)]
    looking, training = watch(f"{title}: features"), watch(title)
    run_together(runs, progress=training, looking=looking, workers=workers)


def across_folds(
    legs: Sequence[Leg], arms: Sequence[Arm], settings: RunSettings, home: Path, part: Which
) -> list[Outcomes]:
    """What the arms said of a part of each fold, the same seeds in each."""
    return [Outcomes.of(leg.study, _part(leg.study, part), _said(leg, arms, settings, home, part)) for leg in legs]


def across_redraws(
    legs: Sequence[Leg], arms: Sequence[Arm], settings: RunSettings, home: Path, part: Which
) -> Outcomes:
    """What the arms said of one part, which all legs share: the seeds of all legs one after the other."""
    said = [_said(leg, arms, settings, home, part) for leg in legs]
    chances = {arm.name: np.concatenate([each[arm.name] for each in said]) for arm in arms}
    return Outcomes.of(legs[0].study, _part(legs[0].study, part), chances)


def deal_seeds(seeds: Sequence[int], redraws: int) -> list[tuple[int, ...]]:
    """The seeds of each redraw, dealt like cards.

    >>> deal_seeds(range(5), 2)
    [(0, 2, 4), (1, 3)]
    """
    return [tuple(seeds[place::redraws]) for place in range(redraws)]


def learning_curve(
    leg: Leg, arm: Arm, settings: RunSettings, home: Path, watch: Watch, *, workers: int | None = None
) -> list[Point]:
    """An arm trained on fractions of the real images of the rare class, another draw of patients for each seed.

    Raises:
        BalanceError: a run has no memory, or its process was killed.
    """
    arms = (arm,) if arm.after is None else (ARMS[arm.after], arm)
    points = []
    for fraction in (*FRACTIONS, 1.0):
        title = f"Training on {fraction:.0%} of {leg.study.rare}"
        own = [Leg(title, subsample(leg.study, fraction, seed), (seed,)) for seed in leg.seeds]
        own = own if fraction < 1 else [leg]
        run_legs(own, arms, settings, home, watch, workers=workers, title=title)
        images, patients = np.mean([rare_size(each.study) for each in own], axis=0).round().astype(int).tolist()
        said = across_redraws(own, arms, settings, home, "test").chances[arm.name]
        points.append(Point(images, patients, said))
    return points


def keys(legs: Sequence[Leg], settings: RunSettings) -> list[str]:
    """What a comparison is known by: the folder of each leg."""
    return [study_key(leg.study, leg.settings(settings)) for leg in legs]


def _folder(leg: Leg, settings: RunSettings, home: Path) -> Path:
    return home / study_key(leg.study, settings)


def _said(leg: Leg, arms: Sequence[Arm], settings: RunSettings, home: Path, part: Which) -> dict[str, Chances]:
    own = leg.settings(settings)
    return load(leg.study, arms, own, _folder(leg, own, home), part)


def _part(study: Study, part: Which) -> Part:
    return study.test if part == "test" else study.validation
