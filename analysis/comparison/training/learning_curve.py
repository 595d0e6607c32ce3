"""A learning curve: an arm trained on fractions of the real images of the rare class."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.comparison.inputs.study import Part, Probabilities, Study
from analysis.comparison.training.arms import ARMS, Arm
from analysis.comparison.training.replicates import Replicate, Watch, across_redraws, run_replicates
from analysis.comparison.training.runs import RunSettings
from analysis.comparison.training.worker_pool import TrainingPool
from analysis.data.targets import having
from analysis.statistics.intervals import Flags

FRACTIONS = (0.25, 0.5)
"""Of the real images of the rare class: what a learning curve needs beside all of them."""


@dataclass(frozen=True, slots=True)
class Point:
    """The reference arm, trained on so many real images of the rare class, of so many patients.

    `probabilities` are (S, N, C), of the same test images and seeds as those of the arm that is compared with it.
    """

    images: int
    patients: int
    probabilities: Probabilities


def learning_curve(
    replicate: Replicate, arm: Arm, settings: RunSettings, home: Path, watch: Watch, *, pool: TrainingPool | None = None
) -> list[Point]:
    """An arm trained on fractions of the real images of the rare class, another draw of patients for each seed.

    Raises:
        BalanceError: a run has no memory, or its process was killed.
    """
    arms = (arm,) if arm.after is None else (ARMS[arm.after], arm)
    points = []
    for fraction in (*FRACTIONS, 1.0):
        title = f"Training on {fraction:.0%} of {replicate.study.rare}"
        own = [
            replace(replicate, name=title, study=subsample(replicate.study, fraction, seed), seeds=(seed,))
            for seed in replicate.seeds
        ]
        own = own if fraction < 1 else [replicate]
        run_replicates(own, arms, settings, home, watch, pool=pool, title=title)
        images, patients = np.mean([rare_size(each.study) for each in own], axis=0).round().astype(int).tolist()
        said = across_redraws(own, arms, settings, home, "test").probabilities[arm.name]
        points.append(Point(images, patients, said))
    return points


def rare_size(study: Study) -> tuple[int, int]:
    """Real training images of the rare class, and their patients."""
    mine = having(study.train.targets, study.classes.index(study.rare))
    return int(mine.sum()), len(np.unique(study.train.groups[mine]))


def subsample(study: Study, fraction: float, seed: int = 0) -> Study:
    """The study with a fraction of the patients of the rare class to train on, one at least; all else stays.

    Patients are taken in an order drawn by `seed`, so that a smaller fraction is part of every larger one.

    Raises:
        ValueError: the fraction is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"a fraction above 0 and at most 1, not {fraction}")
    train = study.train
    mine = having(train.targets, study.classes.index(study.rare))
    patients = np.random.default_rng(seed).permutation(np.unique(train.groups[mine]))
    kept = patients[: max(1, math.floor(fraction * len(patients) + 0.5))]
    return replace(study, train=_only(train, ~mine | np.isin(train.groups, kept)), external=None)


def _only(part: Part, which: Flags) -> Part:
    paths = tuple(path for path, wanted in zip(part.paths, which, strict=True) if wanted)
    attributes = part.attributes[which].reset_index(drop=True)
    return Part(part.images[which], part.targets[which], part.groups[which], paths, attributes)
