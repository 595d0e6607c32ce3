"""The speed of drawing: our engine beside a plain batched loop over diffusers' own pipeline, on the processor.

Each draws in a process of its own, in turns, so that other work disturbs both; what counts is the processor's time, and
the middle of the ratios of the turns. Alone: `python -m tests.benchmarks.drawing [--large] [--turns N]`; `--large` has
Stable Diffusion 1.5's shapes at 256 pixels with random weights (14 GB of memory).
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.benchmarks.ratio import Ratio
from tests.support.cli_process import POCKET

GOAL = 0.9


@dataclass(frozen=True, slots=True)
class Task:
    """A batch to draw: which checkpoint, how many images, in how many steps, of how many pixels, how exact."""

    checkpoint: Path
    images: int
    steps: int
    size: int | None
    precision: str = "float32"


def engine(task: Task) -> Callable[[int], object]:
    """Draws batch number n of a task by our engine."""
    bench = _bench(task)
    generator = bench.generator()
    return lambda number: generator.generate(bench.jobs(task.images, number * task.images))


def loop(task: Task) -> Callable[[int], object]:
    """The same by diffusers' own pipeline and scheduler, as its documentation writes it."""
    from tests.benchmarks.gpu import plain_batch

    return plain_batch(_bench(task), task.images)


def bench_drawing(name: str, task: Task, turns: int = 3) -> Ratio:
    """Processor seconds of our engine, of those of the plain loop in float32."""
    plain = Task(task.checkpoint, task.images, task.steps, task.size)
    with _worker(engine, task) as ours, _worker(loop, plain) as theirs:
        pairs = [(ours(number), theirs(number)) for number in range(turns + 1)][1:]
    value = statistics.median(mine / other for mine, other in pairs)
    mine, other = (statistics.median(each) for each in zip(*pairs, strict=True))
    note = f"{task.images} images, {task.steps} steps, {task.precision}: {mine:.1f} and {other:.1f} processor seconds"
    return Ratio(f"drawing, {name}", value, "at most", GOAL, "diffusers' own batched loop in float32", note)


def _bench(task: Task) -> Any:
    from balancer.generators.models.checkpoint import find_checkpoint
    from balancer.generators.sampling import SamplingOptions, resolve_config
    from tests.benchmarks.gpu import Bench

    checkpoint = find_checkpoint(str(task.checkpoint))
    sampling = SamplingOptions(task.steps, None, task.size, task.images, "cpu", precision=task.precision)
    return Bench(checkpoint, "cpu", resolve_config(checkpoint, None, sampling))


@contextmanager
def _worker(kind: Callable[[Task], Callable[[int], object]], task: Task) -> Iterator[Callable[[int], float]]:
    """Another process that draws batches; gives the processor seconds of each."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, kind, task), daemon=True)
    process.start()
    there.close()

    def ask(number: int) -> float:
        here.send(number)
        return float(here.recv())

    yield ask
    here.send(None)
    process.join()


def _serve(place: Connection, kind: Callable[[Task], Callable[[int], object]], task: Task) -> None:
    draw = kind(task)
    while (number := place.recv()) is not None:
        began = time.process_time()
        draw(number)
        place.send(time.process_time() - began)


def ratios(turns: int = 3, *, large: bool = False) -> Iterator[Ratio]:
    """The pocket checkpoint, or Stable Diffusion 1.5's shapes; in bfloat16 too, where the processor has it."""
    from balancer.devices import supports_bfloat16
    from tests.benchmarks.lora import write_base

    with tempfile.TemporaryDirectory() as place:
        name, task = "the pocket checkpoint", Task(POCKET, 16, 25, None)
        if large:
            base = write_base(Path(place) / "base", large=True)
            name, task = "Stable Diffusion 1.5's shapes at 256 px", Task(base, 1, 2, 256)
        yield bench_drawing(name, task, turns)
        if supports_bfloat16("cpu"):
            exact = Task(task.checkpoint, task.images, task.steps, task.size, "bfloat16")
            yield bench_drawing(f"{name}, `--precision bfloat16`", exact, turns)


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    for each in ratios(given.turns, large=given.large):
        print(each, flush=True)


if __name__ == "__main__":
    main()
