"""One run after another in this process, or several at once in processes of one thread each.

Small networks gain little from a second thread and much from a second training beside them. Every run has one thread
wherever it happens, so that its result does not depend on how many there are.
"""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from analysis.comparison.inputs.study import Probabilities
from analysis.comparison.training.arms import Arm, Recipe, Rows, Task
from analysis.comparison.training.training_spec import Backbone, Model, Seen, TrainingSpec, Watched
from analysis.statistics.convergence import NO_COURSE, Course
from balancer.errors import BalanceError, OutOfMemory, StateError
from balancer.parallel import deaf_children

Stepped = Callable[[int], None]
_EVERY = 0.2  # seconds between two reports of a process


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


class WorkerPool:
    """Processes that train, several at once; they start with the first job and stay for those of later phases.

    With one worker, trainings run one after the other in this process.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._crew: list[tuple[Connection, BaseProcess]] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *how: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        crew, self._crew = self._crew, []
        for _, worker in crew:
            worker.terminate()
            worker.join()

    def run(self, jobs: Iterable[Job], stepped: Stepped) -> Iterator[tuple[Job, Said]]:
        """The jobs as they are finished; each is taken when a worker is free. `stepped` hears of steps that were made.

        Raises:
            StateError: a process was killed.
            BalanceError: what a run raised.
            RuntimeError: it raised something else, whose traceback is the message.
        """
        if self.workers <= 1:
            yield from ((job, _run(job, stepped)) for job in jobs)
            return
        whole = False
        try:
            yield from self._run_in_processes(iter(jobs), stepped)
            whole = True
        finally:
            if not whole:  # some are still at work
                self.close()

    def _run_in_processes(self, waiting: Iterator[Job], stepped: Stepped) -> Iterator[tuple[Job, Said]]:
        self._crew = self._crew or _start(self.workers)
        busy = {end: job for (end, _), job in zip(self._crew, waiting, strict=False)}
        for end, job in busy.items():
            end.send(job)
        while busy:
            for end in [each for each in wait(list(busy)) if isinstance(each, Connection)]:
                said = _heard(end, busy[end], stepped)
                if said is None:
                    continue
                yield busy.pop(end), said
                for job in islice(waiting, 1):
                    busy[end] = job
                    end.send(job)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread within the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run(job: Job, stepped: Stepped) -> Said:
    layout, training = job.layout, job.training
    seen, courses = layout.seen(training.seed), list[Course]()
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
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and "allocate memory" not in str(error):
            raise
        raise OutOfMemory(
            needed=f"enough memory to train {job.training.arm.name}",
            found=str(error).splitlines()[0] if str(error) else "memory ran out",
            next_step="close other programs, or: balance compare --workers 1; completed training is kept",
        ) from error


def _start(count: int) -> list[tuple[Connection, BaseProcess]]:
    """Processes that wait for jobs; they do not hear Ctrl-C, which reaches this process too, and it ends them."""
    context = multiprocessing.get_context("spawn")
    crew: list[tuple[Connection, BaseProcess]] = []
    for _ in range(count):
        ours, theirs = context.Pipe()
        worker: BaseProcess = context.Process(target=_serve, args=(theirs,), daemon=True)
        with deaf_children():
            worker.start()
        theirs.close()  # else the end of a killed process would never be seen
        crew.append((ours, worker))
    return crew


def _serve(end: Connection) -> None:
    try:
        while True:
            job: Job = end.recv()
            try:
                said = _run(job, _reporter(end))
            except Exception as error:
                end.send(("failed", _packed(error)))
            else:
                end.send(("said", said))
    except (EOFError, OSError):  # the one who asked is gone
        return


def _reporter(end: Connection) -> Stepped:
    """Count steps, and tell of them now and then."""
    count, told = 0, time.monotonic()

    def stepped(steps: int) -> None:
        nonlocal count, told
        count += steps
        if time.monotonic() - told > _EVERY:
            end.send(("steps", count))
            count, told = 0, time.monotonic()

    return stepped


def _heard(end: Connection, job: Job, stepped: Stepped) -> Said | None:
    """What a process says: its results, or nothing yet."""
    try:
        kind, content = end.recv()
    except (EOFError, ConnectionResetError) as error:
        raise StateError(
            needed="training processes that run to completion",
            found=f"the one that trained {job.training.name} was killed, possibly because memory ran out",
            next_step="close other programs, then run the same balance compare again: completed training is kept",
        ) from error
    if kind == "failed":
        raise _unpacked(content, job.training.name)
    if kind == "steps":
        stepped(content)
        return None
    said: Said = content
    return said


def _packed(error: Exception) -> Any:
    if isinstance(error, BalanceError):
        return type(error), {"needed": error.needed, "found": error.found, "next_step": error.next_step}
    return None, "".join(traceback.format_exception(error))


def _unpacked(content: Any, name: str) -> Exception:
    kind, words = content
    if kind is None:
        return RuntimeError(f"{name} failed\n{words}")
    error: Exception = kind(**words)
    return error
