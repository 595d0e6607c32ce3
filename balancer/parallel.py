"""Work on many items over all processor cores: in forked processes where that is safe, else in threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from balancer.errors import StateError

Item = TypeVar("Item")
Result = TypeVar("Result")
_CHUNK = 64
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
        for number, found in _forked(work, chunks, count):
            yield list(zip(chunks[number], found, strict=True))
        return
    for chunk, found in zip(chunks, in_threads(work, chunks), strict=True):
        yield list(zip(chunk, found, strict=True))


def _forked(
    work: Callable[[Sequence[Item]], Sequence[Result]], chunks: Sequence[Sequence[Item]], count: int
) -> Iterator[tuple[int, Sequence[Result]]]:
    """(number of the chunk, its results), from `count` processes that end when this one does."""
    context = multiprocessing.get_context("fork")
    open_ends: list[Connection] = []
    workers: list[BaseProcess] = []
    try:
        for first in range(count):
            ours, theirs = context.Pipe(duplex=False)
            worker: BaseProcess = context.Process(
                target=_serve, args=(theirs, [*open_ends, ours], work, chunks, first, count), daemon=True
            )
            with deaf_children():  # Ctrl-C reaches this process, and it ends them
                worker.start()
                workers.append(worker)
            theirs.close()  # else the end of a killed worker would never be seen
            open_ends.append(ours)
        while open_ends:
            for end in [each for each in wait(open_ends) if isinstance(each, Connection)]:
                found: tuple[int, Sequence[Result]] | None = _received(end)
                if found is None:
                    open_ends.remove(end)
                else:
                    yield found
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _serve(
    end: Connection,
    inherited: Sequence[Connection],
    work: Callable[[Sequence[Item]], Sequence[Result]],
    chunks: Sequence[Sequence[Item]],
    first: int,
    step: int,
) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in inherited:
        other.close()  # else a pipe whose reader was killed would not break
    try:
        for number in range(first, len(chunks), step):
            end.send((number, work(chunks[number])))
        end.send(None)
    except BrokenPipeError:  # the parent was killed
        os._exit(1)


def _received(end: Connection) -> Any:
    try:
        return end.recv()
    except EOFError as error:
        raise StateError(
            needed="processes that finish decoding",
            found="one of them was killed, perhaps because memory ran out",
            next_step="close other programs and run the command again, such as balance scan FOLDER",
        ) from error
