"""How long a fill takes, in this process or on workers, and how fast one process can finish what they make."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from balancer.devices import visible_gpus
from balancer.filling.ray_cluster import START_SECONDS, address_of
from balancer.text import duration
from balancer.workspace.reports import FILL
from balancer.workspace.settings import FillSettings

if TYPE_CHECKING:
    from balancer.generators.protocol import ImageGenerator
    from balancer.jobs import Job
    from balancer.workspace.fill_setup import FillRequest, FillSetup


FULL_SIZE = 2**28
"""Bytes of weights from which a model is slow on a processor: Stable Diffusion 1.5 has eight times as many."""


@dataclass(frozen=True, slots=True)
class FillTime:
    """What a fill takes: `batches` of `batch_seconds` each on every one of its `workers`, after `start` seconds.

    `images` a second are finished by this process, however many workers there are: at most `limit`, or unknown;
    `screened` says whether that includes the screen. `notes` say what the figures leave out.

    >>> found = FillTime(batches=100, batch_seconds=16.0, images=1600, workers=8, start=15.0, limit=40.0)
    >>> found.seconds, found.most_workers
    (223.0, 40)
    >>> FillTime(batches=100, batch_seconds=16.0, images=1600, workers=80, limit=40.0).seconds
    40.0
    """

    batches: int
    batch_seconds: float
    images: int
    workers: int = 1
    start: float = 0.0
    limit: float | None = None
    screened: bool = False
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Until all is made: by the workers, or by this process where it is the slower one."""
        made = -(-self.batches // self.workers) * self.batch_seconds
        return self.start + max(made, self.images / self.limit if self.limit else 0.0)

    @property
    def most_workers(self) -> int:
        """How many workers keep this process busy: more gain nothing. 1 where nothing is known of this process."""
        return max(1, int((self.limit or 0.0) * self.batch_seconds * self.batches / self.images))

    def to_json(self) -> dict[str, Any]:
        """The figures, for programs."""
        return {
            **{"seconds": self.seconds, "workers": self.workers, "start": self.start},
            **{"process_images_a_second": self.limit, "screened": self.screened, "most_workers": self.most_workers},
        }


def workers_of(settings: FillSettings) -> int:
    """How many generators there are at once: as many as were asked for; else, with Ray, one for each GPU here."""
    return settings.workers or (len(visible_gpus()) if settings.engine == "ray" else 0) or 1


def of_thousand(each: float, workers: int | None = None) -> str:
    """In words, what an image of so many seconds means for a fill of 1,000: here, and on several workers.

    >>> of_thousand(12.0, workers=8)
    'about 12 s; 1,000 images: about 3 h 20 min, about 25 min on --engine ray --workers 8, each as fast as this machine'
    """
    found = FillTime(1000, each, 1000)
    said = f"about {duration(each)}; 1,000 images: about {duration(found.seconds)}"
    count = workers or len(visible_gpus())
    if count < 2:
        return said
    several = replace(found, workers=count, start=START_SECONDS)
    alike = f"on --engine ray --workers {count}, each as fast as this machine"
    return f"{said}, about {duration(several.seconds)} {alike}"


def time_of(request: FillRequest, setup: FillSetup) -> FillTime:
    """How long a fill would take, measured by a few steps of a batch on this machine; each worker is taken to be alike.

    With workers this also measures how fast this process finishes images: with the screen, where an earlier fill kept
    that; else a batch is matched, encoded and written into a temporary folder.
    """
    from balancer.generators.preview import seconds_per_batch

    recipe, wanted, settings = setup.recipe, request.wanted, request.settings
    size, label = recipe.config.batch_size, wanted[0][0]
    jobs = [recipe.job(label, index) for index in range(size)]
    steps = recipe.sampler.mean_steps(recipe.config.steps)
    began = time.perf_counter()
    generator = setup.make_generator()
    loading = time.perf_counter() - began
    batches, images = sum(-(-count // size) for _, count in wanted), sum(count for _, count in wanted)
    slow = is_slow(setup)
    found = FillTime(
        batches,
        size * seconds_each(setup, generator, label) if slow else seconds_per_batch(generator, jobs, steps),
        images,
    )
    if settings.engine != "ray":
        return found
    joined = address_of(os.environ) is not None
    earlier = _earlier_limit(request.session.state.reports / FILL)
    return replace(
        found,
        workers=workers_of(settings),
        start=loading + (0.0 if joined else START_SECONDS),
        limit=earlier or _limit(request, setup, generator, jobs),
        screened=earlier is not None,
        notes=tuple(_notes(setup.device, joined=joined, asked=settings.workers is not None)),
    )


def is_slow(setup: FillSetup) -> bool:
    """Whether a batch takes so long, a full-size model on a processor, that its time is told before the first one."""
    weights = () if setup.choice is None else setup.choice.checkpoint.weights
    return setup.device == "cpu" and sum(file.stat().st_size for file in weights) >= FULL_SIZE


def seconds_each(setup: FillSetup, generator: ImageGenerator, label: str) -> float:
    """How long an image of a full-size model takes on a processor, by two denoising steps of one from text."""
    from balancer.generators.preview import seconds_per_image
    from balancer.generators.stable_diffusion import StableDiffusion
    from balancer.jobs import ModeDraw

    assert isinstance(generator, StableDiffusion)
    recipe = setup.recipe
    job = replace(recipe.job(label, 0), method=ModeDraw())
    return seconds_per_image(generator, job, recipe.sampler.mean_steps(recipe.config.steps))


def _notes(device: str, *, joined: bool, asked: bool) -> Iterator[str]:
    if joined and not asked:
        yield "How many GPUs the cluster has is not looked up: give --workers."
    if not device.startswith("cuda"):
        yield "Without GPUs each worker has one thread, or OMP_NUM_THREADS, and is slower than all threads here."


def _earlier_limit(place: Path) -> float | None:
    """Images a second that the last fill encoded, screened and recorded; unknown where it kept no such figure."""
    try:
        found = json.loads(place.read_text("utf-8"))
        return float(found["made"]) / float(found["finishing"])
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None


def _limit(request: FillRequest, setup: FillSetup, generator: ImageGenerator, jobs: Sequence[Job]) -> float:
    from balancer.filling.batch_files import BatchFiles
    from balancer.filling.runner import Batch, Made
    from balancer.generators.scheduler import fewest_steps

    few = max(fewest_steps(job.method.strength) for job in jobs)
    images = generator.generate([replace(job, config=replace(job.config, steps=few)) for job in jobs])
    made = Made(Batch(jobs), np.stack(images), setup.device, {}, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        files = BatchFiles(request.session.collection, setup.recipe, Path(folder))
        files.write(made)  # the first reads the real images that it is matched to
        began = time.perf_counter()
        files.write(made)
        return len(jobs) / (time.perf_counter() - began)
