"""Where generators run. Today in this process; another runner would only have to place the same work elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from balancer.errors import OutOfMemory
from balancer.generators.protocol import ImageGenerator
from balancer.imaging.decode import GreyImage
from balancer.jobs import Job


class Runner(Protocol):
    """Runs batches of jobs and yields each with its images, in order."""

    def __call__(
        self, make_generator: Callable[[], ImageGenerator], batches: Iterable[Sequence[Job]]
    ) -> Iterator[tuple[Sequence[Job], Sequence[GreyImage]]]:
        """Yield (batch, images) for each batch; the generator is made once, when the first batch asks for it."""
        ...


class LocalRunner:
    """One generator in this process. A batch that does not fit on the device is made in halves."""

    def __init__(self) -> None:
        self._generator: ImageGenerator | None = None
        self._at_once: int | None = None

    def __call__(
        self, make_generator: Callable[[], ImageGenerator], batches: Iterable[Sequence[Job]]
    ) -> Iterator[tuple[Sequence[Job], Sequence[GreyImage]]]:
        """Yield (batch, images) for each batch."""
        for batch in batches:
            self._generator = self._generator or make_generator()
            yield batch, self._run(self._generator, batch)

    def _run(self, generator: ImageGenerator, jobs: Sequence[Job]) -> list[GreyImage]:
        images: list[GreyImage] = []
        while len(images) < len(jobs):
            size = self._at_once or len(jobs)
            made = self._try(generator, jobs[len(images) : len(images) + size])
            if made is None:
                self._at_once = max(1, min(size, len(jobs)) // 2)  # what did not fit once is not tried again
            else:
                images += made
        return images

    def _try(self, generator: ImageGenerator, jobs: Sequence[Job]) -> Sequence[GreyImage] | None:
        """The images, or `None` when they did not fit: by then nothing holds on to what they filled the device with."""
        try:
            return generator.generate(jobs)
        except OutOfMemory:
            if len(jobs) == 1:
                raise
        return None
