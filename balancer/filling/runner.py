"""Where generators run: a runner takes batches of jobs and gives back their images. It screens and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from balancer.collection.scan import Sample
from balancer.devices import MADE_AGAIN, device_name, software_versions
from balancer.errors import OutOfMemory
from balancer.generators.protocol import ImageGenerator
from balancer.imaging.decode import GreyImage
from balancer.jobs import Job


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs of consecutive indices of one class, and the real images that some begin with, at the size they are drawn.

    `sources` travel as pixels: who makes the batch needs no collection.
    """

    jobs: Sequence[Job]
    sources: Mapping[Sample, GreyImage] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The batch as a message names it."""
        first, last = self.jobs[0], self.jobs[-1]
        return f"{first.label}, images {first.index} to {last.index}"


@dataclass(frozen=True, slots=True)
class Made:
    """The images of a batch: one contiguous uint8 array of shape (jobs, height, width), and what made them.

    `versions` are those of the packages that an image depends on, `seconds` what the batch took. `device` ends in
    `MADE_AGAIN` where the numbers of its own precision overflowed.
    """

    batch: Batch
    images: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
    device: str
    versions: Mapping[str, str]
    seconds: float


@dataclass(frozen=True, slots=True)
class SetAside:
    """A batch that could not be made, on several workers, and what the last of them said."""

    batch: Batch
    reason: str


class Runner(Protocol):
    """Runs batches of jobs and yields what came of each, in order."""

    def __call__(
        self, make_generator: Callable[[], ImageGenerator], batches: Iterable[Batch]
    ) -> Iterator[Made | SetAside]:
        """Yield the images of each batch; each worker makes its generator once, when its first batch comes."""
        ...


@runtime_checkable
class TakesSources(Protocol):
    """A generator that is handed the real images that its jobs begin with, so that it need not read them."""

    def lend(self, sources: Mapping[Sample, GreyImage]) -> None:
        """Take the real images of the next jobs, each of shape (config.height, config.width)."""
        ...


@runtime_checkable
class RemakesInFloat32(Protocol):
    """A generator that makes images again in float32 where those in its own precision are not numbers."""

    @property
    def made_again(self) -> bool:
        """Whether the last images had to be made again."""
        ...


class Maker:
    """One generator, made when the first batch comes. A batch that does not fit on the device is made in halves."""

    def __init__(self, make_generator: Callable[[], ImageGenerator], device: str = "cpu") -> None:
        self._make_generator, self._device = make_generator, device
        self._generator: ImageGenerator | None = None
        self._at_once: int | None = None

    def generator(self) -> ImageGenerator:
        """The generator, made if it was not yet.

        Raises:
            ModelError: it cannot be made.
        """
        self._generator = self._generator or self._make_generator()
        return self._generator

    def __call__(self, batch: Batch) -> Made:
        """Make the images of a batch.

        Raises:
            GenerationError: the generator failed.
        """
        generator = self.generator()
        if isinstance(generator, TakesSources):
            generator.lend(batch.sources)
        began = time.perf_counter()
        made, again = self._run(generator, batch.jobs)
        images, taken = np.stack(made), time.perf_counter() - began
        device = device_name(self._device) + (MADE_AGAIN if again else "")
        return Made(batch, images, device, software_versions(), taken)

    def _run(self, generator: ImageGenerator, jobs: Sequence[Job]) -> tuple[list[GreyImage], bool]:
        images: list[GreyImage] = []
        again = False
        while len(images) < len(jobs):
            size = self._at_once or len(jobs)
            made = self._try(generator, jobs[len(images) : len(images) + size])
            if made is None:
                self._at_once = max(1, min(size, len(jobs)) // 2)  # what did not fit once is not tried again
            else:
                images += made
                again |= isinstance(generator, RemakesInFloat32) and generator.made_again
        return images, again

    def _try(self, generator: ImageGenerator, jobs: Sequence[Job]) -> Sequence[GreyImage] | None:
        """The images, or `None` when they did not fit: by then nothing holds on to what they filled the device with."""
        try:
            return generator.generate(jobs)
        except OutOfMemory:
            if len(jobs) == 1:
                raise
        return None


class LocalRunner:
    """One generator in this process, on `device`."""

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._maker: Maker | None = None

    def __call__(self, make_generator: Callable[[], ImageGenerator], batches: Iterable[Batch]) -> Iterator[Made]:
        """Yield the images of each batch."""
        for batch in batches:
            self._maker = self._maker or Maker(make_generator, self._device)
            yield self._maker(batch)
