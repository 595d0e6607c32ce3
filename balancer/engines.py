"""Where generators run. Today in this process; another engine would only have to place the same work elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from balancer.errors import OutOfMemory
from balancer.generators import ImageGenerator
from balancer.images import GreyImage
from balancer.jobs import Job


class Engine(Protocol):
    """Runs batches of jobs and yields each with its images, in order."""

    def __call__(
        self, make_generator: Callable[[], ImageGenerator], batches: Iterable[Sequence[Job]]
    ) -> Iterator[tuple[Sequence[Job], Sequence[GreyImage]]]:
        """Yield (batch, images) for each batch; the generator is made once, when the first batch asks for it."""
        ...


class LocalEngine:
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
        size = min(self._at_once or len(jobs), len(jobs))
        try:
            pieces = [jobs[start : start + size] for start in range(0, len(jobs), size)]
            return [image for piece in pieces for image in generator.generate(piece)]
        except OutOfMemory:
            if size == 1:
                raise
            self._at_once = size // 2  # what did not fit once is not tried again
            return self._run(generator, jobs)
