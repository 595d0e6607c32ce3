"""A generator that costs nothing, installed as the family `free`: noise from a job's seed."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from balancer.imaging.decode import GreyImage
from balancer.jobs import Job


class Free:
    """What the entry point names. `WEIGHTS` is how many images fit on its device at once: `free:2`."""

    name, sha256, size = "noise", "0f" * 32, (32, 32)

    def __init__(self, weights: str, device: str, root: Path) -> None:
        self._fit = int(weights)

    def generate(self, jobs: Sequence[Job]) -> list[GreyImage]:
        """Grey noise, each image from its job's seed alone."""
        if len(jobs) > self._fit:
            import torch

            raise torch.OutOfMemoryError(f"no room for {len(jobs)} images")
        return [np.random.default_rng(job.seed).integers(0, 256, (32, 32), np.uint8) for job in jobs]


class Slow(Free):
    """The same, a moment for each image: what works on it can be met at work."""

    def generate(self, jobs: Sequence[Job]) -> list[GreyImage]:
        """Grey noise, each image from its job's seed alone."""
        time.sleep(0.05 * len(jobs))
        return super().generate(jobs)


def install(folder: Path, family: str = "free", kind: str = "Free") -> None:
    """Make the family known to this process and its children, as if a package had brought it."""
    info = folder / f"{family}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {family}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[balancer.generators]\n{family} = tests.torture.noise_generator:{kind}\n")
    sys.path.insert(0, str(folder))
