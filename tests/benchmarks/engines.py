"""What an engine costs, with a generator that only waits, as for a GPU: ratios within one run.

    python -m tests.benchmarks.engines [BATCHES [SECONDS]]
    python -m tests.benchmarks.engines --memory 10000

The first measures runners alone, then the whole driver. The machine may be shared, so only ratios of runs side by side
have a goal, and the driver's images a second are as they were. The second is the memory of the driver.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from balancer import FillSettings, NoScreen, ScanSettings, Workspace, fill, scan
from balancer.filling.ray_runner import RayRunner
from balancer.filling.runner import Batch, LocalRunner, Runner
from balancer.imaging.decode import GreyImage
from balancer.jobs import Job
from tests.support.balanced_fixtures import make_job
from tests.support.tiny_models import write_xrays
from tests.torture import noise_generator

ONE_WORKER, TWO_WORKERS, FLAT = 1.03, 1.9, 1.05
_AT_ONCE, _EVERY = 16, 1000


@dataclass(frozen=True)
class Waiting:
    """Square images after so many seconds for each batch, in which the processor is free, as beside a GPU."""

    seconds: float
    side: int = 320

    def __call__(self) -> Waiting:
        return self

    def generate(self, jobs: list[Job]) -> list[GreyImage]:
        """Wait, and give back a grey image for each job."""
        time.sleep(self.seconds)
        return [np.full((self.side, self.side), job.index % 256, np.uint8) for job in jobs]


def batches(count: int) -> Iterator[Batch]:
    """So many batches."""
    jobs = [make_job("NODULE", index) for index in range(_AT_ONCE)]
    return (Batch(jobs) for _ in range(count))


def seconds(runner: Runner, count: int, generator: Waiting) -> float:
    """How long a runner takes for so many batches, once it is warm."""
    for _ in runner(generator, batches(4)):
        pass
    began = time.perf_counter()
    assert sum(1 for _ in runner(generator, batches(count))) == count
    return time.perf_counter() - began


def memory() -> int:
    """Main memory of this process, in MiB."""
    return int(psutil.Process().memory_info().rss >> 20)


def told(what: str, value: float, goal: float, *, at_least: bool = False) -> None:
    """Print a figure beside its goal."""
    said = "met" if (value >= goal if at_least else value <= goal) else "MISSED"
    print(f"{said:7} {what}: {value:.3f} (goal: at {'least' if at_least else 'most'} {goal:g})", flush=True)


def ratios(count: int, wait: float) -> None:
    """One worker over this process, and two against one."""
    generator = Waiting(wait)
    local = seconds(LocalRunner(), count, generator)
    with RayRunner("cpu", 1) as alone:
        one = seconds(alone, count, generator)
        again = seconds(LocalRunner(), count, generator)
    with RayRunner("cpu", 2) as both:
        two = seconds(both, count, generator)
    print(
        f"{count} batches of {_AT_ONCE}, each {1000 * wait:g} ms, in this process twice: {local:.1f} s, {again:.1f} s",
        flush=True,
    )
    told("one worker over this process", 2 * one / (local + again), ONE_WORKER)
    told("two workers against one, times as fast", one / two, TWO_WORKERS, at_least=True)


def course_of_memory(count: int) -> None:
    """Memory of this process at every 1,000 batches of small images from one worker that has nothing else to do."""
    with RayRunner("cpu", 1) as alone:
        course = []
        for number, _ in enumerate(alone(Waiting(0.0, 32), batches(count)), 1):
            if number % _EVERY == 0:
                course.append(memory())
                print(f"        after {number:,} batches: {course[-1]} MiB", flush=True)
    told(f"memory after {count:,} batches over that after {_EVERY:,}", course[-1] / course[0], FLAT)


def driver(side: int, target: int) -> None:
    """Images a second that this process harmonises, encodes, records and merges, without a screen."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        noise_generator.install(folder / "site", "fast")
        write_xrays(folder / "xrays", {"normal": 30, "nodule": 5}, (side, side))
        scan(Workspace.open(folder), ScanSettings(folder / "xrays"))
        settings = FillSettings(target=str(target), max_ratio=1000, model=f"fast:{side}", batch_size="16")
        found = fill(Workspace.open(folder), settings, screen=NoScreen("benchmark"))
        figures = found.figures
    if figures is None or not figures.finishing:
        raise AssertionError("nothing was made")
    pace, whole = figures.made / figures.finishing, figures.made / figures.seconds
    print(f"        the driver alone, {side} px: {pace:.0f} images a second, {whole:.0f} with merging", flush=True)


def main() -> None:
    """Print the figures with their goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("batches", nargs="?", type=int, default=512)
    parser.add_argument("seconds", nargs="?", type=float, default=0.04)
    parser.add_argument("--memory", type=int, metavar="BATCHES", help="only the course of memory over so many batches")
    given = parser.parse_args()
    if given.memory is not None:
        course_of_memory(given.memory)
        return
    ratios(given.batches, given.seconds)
    driver(32, 1000)
    driver(512, 200)


if __name__ == "__main__":
    main()
