"""Trainings on the workers of a Ray cluster, the same as in this process. What is kept, this process keeps."""

from __future__ import annotations

import socket
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from analysis.comparison.training.run_files import hash_of
from analysis.comparison.training.runs import code_digest
from analysis.comparison.training.training_spec import Backbone, Seen
from analysis.comparison.training.worker_pool import Job, Said, lost, train
from balancer.errors import BalanceError, ComparisonError
from balancer.filling.ray_cluster import RayCluster, prepare_worker, ray_cluster, starting
from balancer.parallel import Stepped

COMMAND = "balance compare"
LOSSES = 3
"""Times that a worker may be lost over a training."""
_PAUSE = 1.0  # seconds after which Ctrl-C is heard at the latest


@dataclass(slots=True)
class _Task:
    """A training, and how often a worker was lost over it."""

    job: Job
    losses: int = 0


class RayPool:
    """Trains on so many workers at once: by default one for each GPU of the cluster, else one for each processor.

    What is seen travels as arrays: workers need neither the collection nor the state. A training whose worker is killed
    is done again, and `say` hears how many were. Use it in a `with` block: Ray starts with the first training.
    """

    def __init__(self, workers: int | None, device: str, say: Callable[[str], None] = lambda text: None) -> None:
        self._asked_for, self._device, self._say = workers, device, say
        self._stack = ExitStack()
        self._cluster: RayCluster | None = None
        self._shared: dict[Path, Any] = {}
        self.repeated = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *how: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        self._shared, self._cluster = {}, None
        self._stack.close()

    def run(self, items: Iterable[Job], stepped: Stepped = lambda steps: None) -> Iterator[tuple[Job, Said]]:
        """The trainings as they are finished; `stepped` hears of the steps of each when it is.

        Raises:
            SettingsError: Ray is not installed.
            GenerationError: the cluster cannot be reached, or has no room.
            ComparisonError: a worker has another version, or other weights.
            StateError: a worker was lost over the same training several times.
            BalanceError: what a training raised.
            RuntimeError: a training raised something else, whose traceback is the message.
        """
        whole = False
        try:
            yield from self._run(iter(items), stepped)
            whole = True
        finally:
            if not whole:  # some are still at work
                self.close()

    def _open(self) -> RayCluster:
        if self._cluster is None:
            self._say(starting())
            self._cluster = self._stack.enter_context(ray_cluster(self._asked_for, self._device, COMMAND))
        return self._cluster

    def _run(self, waiting: Iterator[Job], stepped: Stepped) -> Iterator[tuple[Job, Said]]:
        first = next(waiting, None)
        if first is None:
            return
        cluster = self._open()
        at_once = self._asked_for or (cluster.gpus if self._gpus else cluster.processors) or 1
        again, busy = deque([_Task(first)]), dict[Any, _Task]()
        same = fingerprint(first.layout.backbone)
        while True:
            while len(busy) < at_once and (task := again.popleft() if again else _next(waiting)) is not None:
                busy[self._begin(task.job, same, busy.values())] = task
            if not busy:
                return
            for answer in cluster.ray.wait([*busy], timeout=_PAUSE)[0]:
                task = busy.pop(answer)
                found = self._found(task, answer)
                if found is None:
                    again.append(task)
                    continue
                said, steps = found
                stepped(steps)
                yield task.job, said

    @property
    def _gpus(self) -> int:
        return int(self._device.startswith("cuda"))

    def _begin(self, job: Job, same: str, busy: Iterable[_Task]) -> Any:
        """Hand a training out; what several see is shared, as long as one of them is at work."""
        ray, file = self._open().ray, _file(job)
        needed = {file, *(_file(each.job) for each in busy)}
        self._shared = {each: ref for each, ref in self._shared.items() if each in needed}
        with self._open().room(COMMAND):
            if file not in self._shared:
                self._shared[file] = ray.put(np.asarray(np.load(file, mmap_mode="r")))
            kind = ray.remote(num_cpus=1, num_gpus=self._gpus, max_retries=0)(train_on_worker)
            return kind.remote(job, self._shared[file], same)

    def _found(self, task: _Task, answer: Any) -> tuple[Said, int] | None:
        """What came of a training; `None`: its worker was lost."""
        ray = self._open().ray
        try:
            with self._open().room(COMMAND):
                found: tuple[Said, int] = ray.get(answer)
                return found
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, BalanceError):
                raise error.cause from None
            if isinstance(error.cause, ImportError) or "failed to import on the worker" in str(error):
                raise _others("no package: " + str(error).strip().splitlines()[-1][:300]) from error
            raise RuntimeError(str(error)) from error
        except ray.exceptions.RayError as error:
            task.losses, self.repeated = task.losses + 1, self.repeated + 1
            if task.losses >= LOSSES:
                raise lost(task.job) from error
            self._say(f"{task.job.training.name} is trained again: its worker was lost (so far: {self.repeated}).")
            return None


def _next(waiting: Iterator[Job]) -> _Task | None:
    job = next(waiting, None)
    return None if job is None else _Task(job)


def _file(job: Job) -> Path:
    return job.layout.files[job.training.seed]


def fingerprint(backbone: Backbone) -> str:
    """A hash of what a training with this backbone depends on: versions, code, settings and weights."""
    return hash_of([code_digest(), backbone.facts()])


def train_on_worker(job: Job, seen: Seen, same: str) -> tuple[Said, int]:
    """What runs on a worker: a training, and how many steps it made. `same` is the fingerprint that it must have.

    Raises:
        ComparisonError: versions or weights are others here.
    """
    prepare_worker()
    _require_same(job.layout.backbone, same)
    steps = 0

    def stepped(count: int) -> None:
        nonlocal steps
        steps += count

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # it is only read
        return train(job, seen, stepped), steps


def _require_same(backbone: Backbone, same: str) -> None:
    try:
        found = "other ones" if fingerprint(backbone) != same else ""
    except OSError as error:
        found = f"no file {Path(str(error.filename)).name}"
    if found:
        raise _others(f"{found} on {socket.gethostname()}")


def _others(found: str) -> ComparisonError:
    return ComparisonError(
        needed="the same versions of balance and torch, and the same weights, on every machine of the cluster",
        found=found,
        next_step="install the same there, with --weights at the same path; or: balance compare --engine local",
    )
