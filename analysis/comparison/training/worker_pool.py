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
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from analysis.comparison.inputs.study import Chances
from analysis.comparison.training.arms import Arm, Recipe, Rows, Task
from analysis.comparison.training.training_spec import Learner, Seen
from balancer.errors import BalanceError, OutOfMemory, StateError
from balancer.parallel import deaf_children

Said = tuple[Chances, Chances]
"""The chances of the validation part and of the test part."""
Stepped = Callable[[int], None]
_EVERY = 0.2  # seconds between two reports of a process


@dataclass(frozen=True, slots=True)
class Layout:
    """What a run needs, light enough to be handed to a process: what is seen with each seed is in a file to be mapped.

    Of its rows, `real` and `added` are trained on; `validation` and `test` are the first and the last row of a part.
    """

    files: Mapping[int, Path]
    classes: tuple[str, ...]
    real: Rows
    added: Mapping[str, Rows]
    validation: tuple[int, int]
    test: tuple[int, int]
    learner: Learner
    steps: int
    recipe: Recipe

    def seen(self, seed: int) -> Seen:
        """The images, or their features; pages are shared by all processes and never written."""
        seen: Seen = np.load(self.files[seed], mmap_mode="c")
        return seen


@dataclass(frozen=True, slots=True)
class Job:
    """An arm and a seed, to be trained on what the layout holds; `pile` is the number of those it belongs to."""

    pile: int
    layout: Layout
    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.arm.name} with seed {self.seed}"


def run_here(jobs: Iterable[Job], stepped: Stepped) -> Iterator[tuple[Job, Said]]:
    """One run after another in this process."""
    for job in jobs:
        yield job, _run(job, stepped)


def run_in_processes(jobs: Iterable[Job], workers: int, stepped: Stepped) -> Iterator[tuple[Job, Said]]:
    """Several runs at once; they are yielded as they are finished, and `stepped` hears how many steps were made.

    A job is taken when a process is free for it.

    Raises:
        StateError: a process was killed.
        BalanceError: what a run raised.
        RuntimeError: it raised something else, whose traceback is the message.
    """
    waiting = iter(jobs)
    crew = _start(workers)
    try:
        busy = {end: job for (end, _), job in zip(crew, waiting, strict=False)}
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
    finally:
        for _, worker in crew:
            worker.terminate()
            worker.join()


@contextmanager
def one_thread() -> Iterator[None]:
    """torch computes with one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run(job: Job, stepped: Stepped) -> Said:
    layout, seen = job.layout, job.layout.seen(job.seed)
    if job.arm.learn is None:
        raise ValueError(f"{job.arm.name} learns nothing")
    task = Task(
        classes=layout.classes,
        real=layout.real,
        added=layout.added,
        steps=layout.steps,
        seed=job.seed,
        recipe=layout.recipe,
        teach=lambda lesson: layout.learner.learn(seen, lesson, lambda done, total: stepped(1)),
    )
    with one_thread(), _memory(job):
        model = job.arm.learn(task)
        validation, test = (model.chances(seen[slice(*part)]) for part in (layout.validation, layout.test))
    return validation, test


@contextmanager
def _memory(job: Job) -> Iterator[None]:
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and "allocate memory" not in str(error):
            raise
        raise OutOfMemory(
            needed=f"memory to train {job.arm.name}",
            found=str(error).splitlines()[0] if str(error) else "no more of it",
            next_step="close other programs, or: balance compare --workers 1; what is finished is kept",
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
            needed="processes that train to the end",
            found=f"the one that trained {job.name} was ended, perhaps for want of memory",
            next_step="close other programs, then the same balance compare again: what is finished is kept",
        ) from error
    if kind == "failed":
        raise _unpacked(content, job.name)
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
