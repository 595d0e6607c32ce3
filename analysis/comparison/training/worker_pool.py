"""One run after another in this process, or several at once in processes of one thread each.

Small networks gain little from a second thread and much from a second training beside them. Every run has one thread
wherever it happens, so that its result does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Protocol

import numpy as np

from analysis.comparison.inputs.study import Probabilities
from analysis.comparison.training.arms import Arm, Recipe, Rows, Task
from analysis.comparison.training.training_spec import Backbone, Model, Seen, TrainingSpec, Watched
from analysis.statistics.convergence import NO_COURSE, Course
from balancer.errors import OutOfMemory, StateError
from balancer.parallel import Stepped, Workers, one_thread


@dataclass(frozen=True, slots=True)
class Layout:
    """What a run needs, light enough to be handed to a process: what is seen with each seed is in a file to be mapped.

    Of its rows, `real` and `added` are trained on; `validation`, `test` and `external` are the bounds of a part's rows.
    `watched` are those by which checkpoints are taken, None where there is no validation image.
    """

    files: Mapping[int, Path]
    classes: tuple[str, ...]
    real: Rows
    added: Mapping[str, Rows]
    validation: tuple[int, int]
    test: tuple[int, int]
    backbone: Backbone
    recipe: Recipe
    watched: Watched | None = None
    external: tuple[int, int] | None = None

    def seen(self, seed: int) -> Seen:
        """The images, or their features; pages are shared by all processes and never written."""
        seen: Seen = np.load(self.files[seed], mmap_mode="c")
        return seen


@dataclass(frozen=True, slots=True)
class Training:
    """An arm to be trained with a seed, for so many steps, at a learning rate (the backbone's own by default).

    With `to_plateau` it looks for its own end, at the latest after `steps`.
    """

    arm: Arm
    seed: int
    steps: int
    rate: float | None = None
    to_plateau: bool = False

    @property
    def name(self) -> str:
        """Arm and seed, as messages name a training."""
        return f"{self.arm.name} with seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a training: the probabilities of each part, and how its loss fell."""

    validation: Probabilities
    test: Probabilities
    course: Course = NO_COURSE
    external: Probabilities | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A training on what the layout holds; `pile` is the number of those it belongs to."""

    pile: int
    layout: Layout
    training: Training


class TrainingPool(Protocol):
    """Where trainings are done, several at once."""

    def run(self, items: Iterable[Job], stepped: Stepped = ...) -> Iterator[tuple[Job, Said]]:
        """The trainings as they are finished; `stepped` hears of steps made."""
        ...


class WorkerPool(Workers[Job, Said]):
    """Processes of this machine that train, several at once; with one worker, this process does one after the other."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers, _run, lost)


def _run(job: Job, stepped: Stepped) -> Said:
    return train(job, job.layout.seen(job.training.seed), stepped)


def train(job: Job, seen: Seen, stepped: Stepped) -> Said:
    """Do a training on what is `seen` with its seed, with one thread.

    Raises:
        OutOfMemory: there is not enough for it.
    """
    layout, training, courses = job.layout, job.training, list[Course]()
    watched = None if layout.watched is None else replace(layout.watched, to_plateau=training.to_plateau)
    if training.arm.learn is None:
        raise ValueError(f"{training.arm.name} learns nothing")

    def teach(spec: TrainingSpec) -> Model:
        spec = replace(spec, learning_rate=training.rate, watched=watched)
        model = layout.backbone.learn(seen, spec, lambda done, total: stepped(1))
        courses.append(model.course)
        return model

    task = Task(
        classes=layout.classes,
        real=layout.real,
        added=layout.added,
        steps=training.steps,
        seed=training.seed,
        recipe=layout.recipe,
        teach=teach,
    )
    with one_thread(), _memory(job):
        model = training.arm.learn(task)
        validation, test = (model.probabilities(seen[slice(*part)]) for part in (layout.validation, layout.test))
        external = None if layout.external is None else model.probabilities(seen[slice(*layout.external)])
    return Said(validation, test, reduce(Course.then, courses), external)


@contextmanager
def _memory(job: Job) -> Iterator[None]:
    import torch

    try:
        yield
    except Exception as error:
        error.add_note(f"while {job.training.name} was trained")
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and not (type(error) is RuntimeError and "allocate memory" in str(error)):
            raise
        raise OutOfMemory(
            needed=f"enough memory to train {job.training.arm.name}",
            found=str(error).splitlines()[0] if str(error) else "memory ran out",
            next_step="close other programs, or: balance compare --workers 1; completed training is kept",
        ) from error


def lost(job: Job) -> StateError:
    """The error where the process that did a training was killed."""
    return StateError(
        needed="training processes that run to completion",
        found=f"the one that trained {job.training.name} was killed, possibly because memory ran out",
        next_step="close other programs, then run the same balance compare again: completed training is kept",
    )
