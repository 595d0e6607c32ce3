"""The replicates that a comparison stands on: one study, or one for each fold or redraw, put together to one test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis.comparison.inputs.study import Outcomes, Part, Study
from analysis.comparison.training.arms import Arm
from analysis.comparison.training.run_files import PredictionStore, Which, hash_of
from analysis.comparison.training.runs import Run, RunSettings, load, run_together, study_key
from analysis.comparison.training.worker_pool import Training, TrainingPool
from analysis.statistics.convergence import Course, is_unfinished

Watch = Callable[[str], Callable[[int, int], None]]
"""Begins a phase of the work and gives back what its progress goes to."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the arms of a study are trained: all for as many steps, some at a learning rate that was chosen for them."""

    steps: int
    rates: Mapping[str, float] = field(default_factory=dict)

    def training(self, each: Arm, seed: int) -> Training:
        """The training of an arm with a seed, at the steps and the rate of this schedule."""
        return Training(each, seed, self.steps, self.rates.get(each.name))


@dataclass(frozen=True, slots=True)
class Replicate:
    """A study and the seeds that are trained on it; `name` says which fold or redraw it is.

    Its `schedule` is there once it was found: see `tuning`.
    """

    name: str
    study: Study
    seeds: tuple[int, ...]
    schedule: Schedule | None = None

    def run(self, trainings: Sequence[Training], settings: RunSettings, home: Path) -> Run:
        """Trainings of this replicate, in a folder below `home` that is named by what they learn from."""
        return Run(self.study, trainings, settings, home / study_key(self.study, settings))

    def whole(self, arms: Sequence[Arm], settings: RunSettings, home: Path) -> Run:
        """Every arm with every seed, as the schedule says."""
        schedule = self.schedule or Schedule(settings.steps or settings.backbone.steps)
        return self.run([schedule.training(each, seed) for seed in self.seeds for each in arms], settings, home)


def run_replicates(
    replicates: Sequence[Replicate],
    arms: Sequence[Arm],
    settings: RunSettings,
    home: Path,
    watch: Watch,
    *,
    pool: TrainingPool | None = None,
    title: str = "Training",
) -> None:
    """Run every arm on every replicate; all replicates share the processes.

    Raises:
        BalanceError: a run has no memory, or its process was killed.
    """
    run_watched([replicate.whole(arms, settings, home) for replicate in replicates], watch, pool=pool, title=title)


def run_watched(runs: Sequence[Run], watch: Watch, *, pool: TrainingPool | None, title: str) -> None:
    """The same with the progress shown under a title."""
    run_together(runs, progress=watch(title), looking=watch(f"{title}: features"), pool=pool)


def across_folds(
    replicates: Sequence[Replicate], arms: Sequence[Arm], settings: RunSettings, home: Path, part: Which
) -> list[Outcomes]:
    """What the arms said of a part of each fold, the same seeds in each."""
    said = (load(replicate.whole(arms, settings, home), part) for replicate in replicates)
    return [
        Outcomes.of(replicate.study, _part(replicate.study, part), each)
        for replicate, each in zip(replicates, said, strict=True)
    ]


def across_redraws(
    replicates: Sequence[Replicate], arms: Sequence[Arm], settings: RunSettings, home: Path, part: Which
) -> Outcomes:
    """What the arms said of one part, which all replicates share: the seeds of all replicates one after the other."""
    said = [load(replicate.whole(arms, settings, home), part) for replicate in replicates]
    probabilities = {arm.name: np.concatenate([each[arm.name] for each in said]) for arm in arms}
    return Outcomes.of(replicates[0].study, _part(replicates[0].study, part), probabilities)


@dataclass(frozen=True, slots=True)
class Trained:
    """A training of a replicate, and how its loss fell."""

    replicate: str
    training: Training
    course: Course


def all_trained(
    replicates: Sequence[Replicate], arms: Sequence[Arm], settings: RunSettings, home: Path
) -> list[Trained]:
    """Every training of the comparison, whose arms were run."""
    runs = [(replicate, replicate.whole(arms, settings, home)) for replicate in replicates]
    return [
        Trained(replicate.name, each, PredictionStore(run.study, run.folder).course(each))
        for replicate, run in runs
        for each in run.trainings
    ]


def as_json(trained: Trained) -> dict[str, Any]:
    """A training for a program: its arm, fold or redraw, seed, steps, rate, and how its validation loss fell."""
    training, course = trained.training, trained.course
    return {
        "arm": training.arm.name,
        "leg": trained.replicate,
        "seed": training.seed,
        "steps": training.steps,
        "learning_rate": training.rate,
        "checkpoint": course.best,
        "validation_loss": course.lowest,
        "still_improving": is_unfinished([course]),
        "course": {"steps": list(course.steps), "losses": list(course.losses)},
    }


def deal_seeds(seeds: Sequence[int], redraws: int) -> list[tuple[int, ...]]:
    """The seeds of each redraw, dealt like cards.

    >>> deal_seeds(range(5), 2)
    [(0, 2, 4), (1, 3)]
    """
    return [tuple(seeds[place::redraws]) for place in range(redraws)]


def keys(replicates: Sequence[Replicate], settings: RunSettings) -> list[str]:
    """What a comparison is known by: the images, the settings and the schedule of each replicate."""
    return [
        hash_of([study_key(replicate.study, settings), replicate.schedule and asdict(replicate.schedule)])[:16]
        for replicate in replicates
    ]


def _part(study: Study, part: Which) -> Part:
    found = {"test": study.test, "validation": study.validation, "external": study.external}[part]
    if found is None:
        raise ValueError("the study has no external images")
    return found
