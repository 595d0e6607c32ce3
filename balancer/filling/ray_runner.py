"""Batches on the workers of a Ray cluster. Resume stays in the ledger: Ray only places the work."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from typing import Any, Self

from balancer.errors import BalanceError, GenerationError
from balancer.filling.ray_cluster import RayCluster, ray_cluster
from balancer.filling.ray_worker import RayWorker
from balancer.filling.runner import Batch, Made, SetAside
from balancer.filling.work_queue import WorkQueue
from balancer.generators.protocol import ImageGenerator

IN_FLIGHT = 2
"""Batches that a worker has at once: it makes one while the other waits for it."""
_COMMAND = "balance fill"
_WINDOW = 4  # batches on their way, for each worker
_PAUSE = 0.5  # seconds between two questions to a worker that restarts
_LONG, _STUCK = 60.0, 1800.0  # seconds without any worker: worth a word, an error


class RayRunner:
    """Generators on the workers of a cluster; each is built once, from a blueprint that checks the weights there.

    A worker that is killed, or whose machine is gone, is started again by Ray; its batches go back to the queue, and
    it is used again as soon as it answers. Use it in a `with` block: the workers end with it.
    """

    def __init__(self, device: str, workers: int | None, say: Callable[[str], None] = lambda text: None) -> None:
        self._device, self._asked_for, self._say = device, workers, say
        self._stack = ExitStack()
        self._cluster: RayCluster | None = None
        self._queue: WorkQueue[int] | None = None
        self._ready: set[int] = set()
        self._actors: dict[int, Any] = {}
        self._asked: dict[Any, tuple[int, Batch | None]] = {}
        self._later: dict[int, float] = {}
        self._last_seen, self._said = 0.0, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *how: object) -> None:
        self._stack.close()

    @property
    def workers(self) -> int:
        """How many generators there are to be: by default one for each GPU."""
        gpus = 0 if self._cluster is None or not self._device.startswith("cuda") else self._cluster.gpus
        return self._asked_for or gpus or 1

    @property
    def _ray(self) -> Any:
        return self._open().ray

    def _open(self) -> RayCluster:
        """The cluster; it is started, or joined, when the first batch comes."""
        if self._cluster is None:
            self._cluster = self._stack.enter_context(ray_cluster(self._asked_for, self._device))
        return self._cluster

    @property
    def note(self) -> str:
        """How many workers are there, and how many batches were made again."""
        again = 0 if self._queue is None else self._queue.repeated
        there = f"{len(self._ready)} of {self.workers} workers"
        return there if not again else f"{there}, batches repeated: {again}"

    def __call__(
        self, make_generator: Callable[[], ImageGenerator], batches: Iterable[Batch]
    ) -> Iterator[Made | SetAside]:
        """Yield what came of each batch, in order.

        Raises:
            BalanceError: what a generator raised of its own.
            GenerationError: no worker comes.
        """
        waiting = iter(batches)
        first = next(waiting, None)
        if first is None:
            return
        for worker in self._missing():
            self._start(worker, make_generator)
        queue = self._queue = WorkQueue[int](chain((first,), waiting), _WINDOW * self.workers)
        self._last_seen = time.monotonic()
        try:
            while not queue.is_over:
                self._hand_out(queue)
                yield from queue.ready()
                if not queue.is_over:
                    self._hear(queue, make_generator)
        finally:
            self._asked = {ref: pair for ref, pair in self._asked.items() if pair[1] is None}

    def _missing(self) -> list[int]:
        """The workers that were not started yet; how many there are to be hangs on the cluster."""
        self._open()
        return [worker for worker in range(self.workers) if worker not in self._actors]

    def _start(self, worker: int, make_generator: Callable[[], ImageGenerator]) -> None:
        threads = int(os.environ.get("OMP_NUM_THREADS", "0") or 0) or 1
        gpus = int(self._device.startswith("cuda"))
        kind = self._ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=-1, max_task_retries=0)(RayWorker)
        self._actors[worker] = kind.remote(make_generator, self._device, threads)
        self._ask(worker, None)

    def _ask(self, worker: int, batch: Batch | None) -> None:
        actor = self._actors[worker]
        with self._open().room(_COMMAND):
            self._asked[actor.ping.remote() if batch is None else actor.make.remote(batch)] = (worker, batch)

    def _hand_out(self, queue: WorkQueue[int]) -> None:
        """Give each worker that is there its batches, one round after the other."""
        for count in range(1, IN_FLIGHT + 1):
            for worker in sorted(self._ready):
                if queue.in_hand(worker) < count and (batch := queue.take(worker, self._ready)) is not None:
                    self._ask(worker, batch)

    def _hear(self, queue: WorkQueue[int], make_generator: Callable[[], ImageGenerator]) -> None:
        """Wait for an answer, and act on it."""
        now = time.monotonic()
        for worker in [each for each, at in self._later.items() if at <= now]:
            del self._later[worker]
            self._ask(worker, None)
        if not self._asked:
            time.sleep(_PAUSE)
        done = self._ray.wait([*self._asked], timeout=_PAUSE)[0] if self._asked else ()
        for answer in done:
            worker, batch = self._asked.pop(answer)
            self._take(queue, worker, batch, answer, make_generator)
        self._require_a_worker()

    def _take(
        self,
        queue: WorkQueue[int],
        worker: int,
        batch: Batch | None,
        answer: Any,
        make_generator: Callable[[], ImageGenerator],
    ) -> None:
        errors = self._ray.exceptions
        try:
            with self._open().room(_COMMAND):
                found = self._ray.get(answer)
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, BaseException) else error
            if isinstance(cause, BalanceError):  # an error of the application: it would come again
                raise cause from None
            if batch is None:
                raise _no_generator(_first_line(cause)) from error
            queue.failed(worker, batch, _first_line(cause))
        except errors.ActorUnavailableError as error:
            self._lose(queue, worker, error)
            self._later[worker] = time.monotonic() + _PAUSE
        except errors.ActorDiedError as error:
            if error.actor_init_failed:  # it would fail again
                raise _no_generator(str(error).strip().splitlines()[-1][:300]) from error
            self._lose(queue, worker, error)
            self._start(worker, make_generator)
        except errors.RayError as error:  # out of memory, a lost object, a crashed process
            if batch is None:
                self._later[worker] = time.monotonic() + _PAUSE
                return
            queue.failed(worker, batch, _first_line(error))
            self._ready.discard(worker)
            self._later[worker] = time.monotonic() + _PAUSE
        else:
            self._ready.add(worker)
            if batch is not None:
                queue.done(worker, replace(found, batch=batch))

    def _lose(self, queue: WorkQueue[int], worker: int, error: Exception) -> None:
        """A worker is gone for now: its batches go to others, and late answers of it are not heard."""
        self._ready.discard(worker)
        self._asked = {ref: (each, batch) for ref, (each, batch) in self._asked.items() if each != worker}
        queue.lost(worker, _first_line(error))

    def _require_a_worker(self) -> None:
        now = time.monotonic()
        if self._ready:
            self._last_seen, self._said = now, False
        elif now - self._last_seen > _LONG and not self._said:
            self._said = True
            self._say(
                "No worker is there yet: the cluster may have no room, as while another command uses it (ray status)"
            )
        elif now - self._last_seen > _STUCK:
            raise GenerationError(
                needed="a worker of the cluster with room for a generator",
                found=f"none within {_STUCK / 60:.0f} minutes",
                next_step="see what the cluster has (ray status), or: balance fill --engine ray --workers 1",
            )


def _no_generator(found: str) -> GenerationError:
    return GenerationError(
        needed="a generator on each worker, with the same packages and plug-ins as here",
        found=found,
        next_step="install the same there, and check the model there: balance doctor --model FOLDER",
    )


def _first_line(error: BaseException) -> str:
    return next(filter(None, (line.strip() for line in str(error).splitlines())), type(error).__name__)[:300]
