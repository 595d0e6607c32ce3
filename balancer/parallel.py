"""Work on many items over all processor cores, in threads or in processes."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from balancer.errors import BalanceError, StateError

Item = TypeVar("Item")
Result = TypeVar("Result")
Stepped = Callable[[int], None]
Work = Callable[[Item, Stepped], Result]
_CHUNK = 64
_EVERY = 0.2  # seconds between two reports of a process
_AT_ONCE = 1024  # a million futures would take gigabytes
_WORTH_A_PROCESS = 256
_GROUPS = Path("/sys/fs/cgroup")
_CONTAINERS = (
    (_GROUPS, "memory.max", "memory.current"),
    (_GROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def cores() -> int:
    """How many processor cores this process may use, by its affinity and its container's quota (cgroup 1 and 2).

    The environment variable LOKY_MAX_CPU_COUNT lowers it, as for scikit-learn.
    """
    from joblib import cpu_count

    return int(cpu_count())


def free_memory() -> int:
    """Bytes of main memory that programs can still have, by the machine and by its container (cgroup 1 and 2)."""
    from psutil import virtual_memory

    limits = [virtual_memory().available]
    for folder, limit, used in _CONTAINERS:
        with suppress(OSError, ValueError):  # there is none of that kind, or its limit is "max"
            limits.append(_number(folder / limit) - _number(folder / used) + _cached(folder))
    return max(0, int(min(limits)))


def _number(path: Path) -> int:
    return int(path.read_text("ascii"))


def _cached(folder: Path) -> int:
    """What the system keeps of files, counts as used and gives up when memory is asked for."""
    pairs = (line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines())
    found = {name: int(number) for name, number in pairs}
    return found.get("total_inactive_file") or found.get("inactive_file", 0)


def in_threads(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    progress: Callable[[int, int], None] = lambda done, total: None,
    threads: int | None = None,
) -> Iterator[Result]:
    """What `work` returns for each item, in their order; by default with a thread for each core.

    >>> list(in_threads(abs, [-1, 2]))
    [1, 2]
    """
    with ThreadPoolExecutor(threads or cores()) as pool:
        for start in range(0, len(items), _AT_ONCE):
            for done, found in enumerate(pool.map(work, items[start : start + _AT_ONCE]), start + 1):
                progress(done, len(items))
                yield found


@contextmanager
def one_thread() -> Iterator[None]:
    """In the block torch computes in this thread alone: in many small calls threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes that begin in the block never hear Ctrl-C, which this one hears after it.

    It waits until then: one that was ignored meanwhile would be lost.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows has no such masks
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Workers(Generic[Item, Result]):
    """Processes that work on one item after another; they end when this process does, and never hear Ctrl-C.

    They start with the first item and stay for those of later calls. A `count` of 1 works in this process.
    `work` gets an item and a function to be called with the number of steps made. `lost` is the error where the
    process that works on an item is killed.

    >>> with Workers(1, lambda number, stepped: 2 * number, lambda number: StateError("", "", "")) as workers:
    ...     dict(workers.run([1, 2]))
    {1: 2, 2: 4}
    """

    def __init__(
        self, count: int, work: Work[Item, Result], lost: Callable[[Item], StateError], start: str = "spawn"
    ) -> None:
        self._count, self._work, self._lost, self._method = count, work, lost, start
        self._started: list[tuple[Connection, BaseProcess]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *how: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        started, self._started = self._started, []
        for end, worker in started:
            worker.terminate()
            worker.join()
            end.close()

    def run(self, items: Iterable[Item], stepped: Stepped = lambda steps: None) -> Iterator[tuple[Item, Result]]:
        """The items as they are finished; each is taken when a process is free. `stepped` hears of steps made.

        Raises:
            StateError: a process was killed.
            BalanceError: what `work` raised.
            RuntimeError: `work` raised something else, whose traceback is the message.
        """
        if self._count <= 1:
            yield from ((item, self._work(item, stepped)) for item in items)
            return
        whole = False
        try:
            yield from self._run_in_processes(iter(items), stepped)
            whole = True
        finally:
            if not whole:  # some are still at work
                self.close()

    def _run_in_processes(self, waiting: Iterator[Item], stepped: Stepped) -> Iterator[tuple[Item, Result]]:
        self._start()
        busy: dict[Connection, Item] = {}
        for end, _ in self._started:
            for item in islice(waiting, 1):
                busy[end] = item
                end.send(item)
        while busy:
            for end in [each for each in wait(list(busy)) if isinstance(each, Connection)]:
                kind, content = self._heard(end, busy[end])
                if kind == "steps":
                    stepped(content)
                    continue
                yield busy.pop(end), content
                for item in islice(waiting, 1):
                    busy[end] = item
                    end.send(item)

    def _start(self) -> None:
        context = multiprocessing.get_context(self._method)
        while len(self._started) < self._count:
            ours, theirs = context.Pipe()
            forked = [end for end, _ in self._started] + [ours] if self._method == "fork" else []
            worker: BaseProcess = context.Process(target=_serve, args=(theirs, forked, self._work), daemon=True)  # type: ignore[attr-defined]
            with deaf_children():  # Ctrl-C reaches this process, and it ends them
                worker.start()
                self._started.append((ours, worker))
            theirs.close()  # else the end of a killed process would never be seen

    def _heard(self, end: Connection, item: Item) -> tuple[str, Any]:
        try:
            kind, content = end.recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._lost(item) from error
        if kind == "failed":
            raise content
        return kind, content


def _serve(end: Connection, inherited: Sequence[Connection], work: Work[Item, Result]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in inherited:
        other.close()  # else a pipe whose reader was killed would not break
    try:
        while True:
            item = end.recv()
            try:
                found = work(item, _reporter(end))
            except Exception as error:
                end.send(("failed", _told(error)))
            else:
                end.send(("done", found))
    except (EOFError, OSError):  # the one who asked is gone
        return


def _reporter(end: Connection) -> Stepped:
    """Count steps, and report them now and then."""
    count, told = 0, time.monotonic()

    def stepped(steps: int) -> None:
        nonlocal count, told
        count += steps
        if time.monotonic() - told > _EVERY:
            end.send(("steps", count))
            count, told = 0, time.monotonic()

    return stepped


def _told(error: Exception) -> Exception:
    """An error for another process: of what is not ours the traceback would be lost."""
    return error if isinstance(error, BalanceError) else RuntimeError("".join(traceback.format_exception(error)))


def in_parallel(
    work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item]
) -> Iterator[Sequence[tuple[Item, Result]]]:
    """Yield what `work` makes of each chunk of `items`, as (item, result) pairs, in whatever order they are ready.

    `work` gets a list and gives a list of the same length. Short calls into C, as to decode a small image, wait for
    each other in threads; processes do not.

    >>> sorted(pair for chunk in in_parallel(lambda numbers: [n * n for n in numbers], [1, 2, 3]) for pair in chunk)
    [(1, 1), (2, 4), (3, 9)]
    """
    count = cores()
    size = max(1, min(_CHUNK, -(-len(items) // (4 * count))))
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    forks = sys.platform == "linux" and threading.active_count() == 1  # a fork beside other threads may hang
    if forks and count > 1 and len(items) >= _WORTH_A_PROCESS:
        with Workers(count, lambda number, _: work(chunks[number]), _lost, "fork") as workers:
            for number, found in workers.run(range(len(chunks))):
                yield list(zip(chunks[number], found, strict=True))
        return
    for chunk, found in zip(chunks, in_threads(work, chunks), strict=True):
        yield list(zip(chunk, found, strict=True))


def _lost(_: int) -> StateError:
    return StateError(
        needed="processes that finish decoding",
        found="one of them was killed, perhaps because memory ran out",
        next_step="close other programs and run the command again, such as balance scan FOLDER",
    )
