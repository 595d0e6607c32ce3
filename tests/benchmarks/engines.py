"""What an engine costs, with a generator that only waits, as for a GPU: ratios within one run.

`python -m tests.benchmarks.engines [BATCHES [SECONDS]]` measures runners alone, then the whole driver. The machine
may be shared, so only ratios of runs side by side are told, and the driver's images a second as they were.
"""

from __future__ import annotations

import sys
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
from conftest import make_collection
from tests.support.balanced_fixtures import make_job
from tests.torture import noise_generator

_AT_ONCE = 16


@dataclass(frozen=True)
class Waiting:
    """Images of 320 x 320 after so many seconds for each batch, in which the processor is free, as beside a GPU."""

    seconds: float

    def __call__(self) -> Waiting:
        return self

    def generate(self, jobs: list[Job]) -> list[GreyImage]:
        """Wait, and give back a grey image for each job."""
        time.sleep(self.seconds)
        return [np.full((320, 320), job.index % 256, np.uint8) for job in jobs]


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


def main(count: int = 512, wait: float = 0.04) -> None:
    """Print the ratios, and how many images a second the driver takes."""
    generator = Waiting(wait)
    local = seconds(LocalRunner(), count, generator)
    with RayRunner("cpu", 1) as alone:
        one = seconds(alone, count, generator)
        again = seconds(LocalRunner(), count, generator)
    with RayRunner("cpu", 2) as both:
        two, before = seconds(both, count, generator), psutil.Process().memory_info().rss >> 20
        seconds(both, count, generator)
        after = psutil.Process().memory_info().rss >> 20
    print(
        f"{count} batches of {_AT_ONCE}, each {1000 * wait:g} ms, in this process twice: {local:.1f} s, {again:.1f} s",
        flush=True,
    )
    print(f"one worker over this process: {2 * one / (local + again):.3f}", flush=True)
    print(f"two workers against one: {one / two:.2f} times as fast", flush=True)
    print(f"memory of this process after {count} and {2 * count} batches: {before} and {after} MiB", flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        noise_generator.install(folder / "site", "fast")
        make_collection(folder / "xrays", {"normal": 30, "nodule": 5})
        scan(Workspace.open(folder), ScanSettings(folder / "xrays"))
        settings = FillSettings(target="1000", max_ratio=1000, model="fast:64", batch_size="16", engine="local")
        began = time.perf_counter()
        found = fill(Workspace.open(folder), settings, screen=NoScreen("benchmark"))
        made = 0 if found.report is None else found.report.made
        print(f"the driver alone: {made / (time.perf_counter() - began):.0f} images of 32 x 32 a second", flush=True)


if __name__ == "__main__":
    main(*(kind(given) for kind, given in zip((int, float), sys.argv[1:], strict=False)))
