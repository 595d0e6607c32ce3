"""What runs on a worker of a Ray cluster: one generator, built once. It knows no state folder and no collection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from balancer.errors import BalanceError
from balancer.filling.ray_cluster import prepare_worker
from balancer.filling.runner import Batch, Made, Maker
from balancer.generators.protocol import ImageGenerator

_UNSAID = Batch(())


class RayWorker:
    """Makes batches with the generator of a blueprint, on `device`, with so many threads."""

    def __init__(self, blueprint: Callable[[], ImageGenerator], device: str, threads: int) -> None:
        """Build the generator; what stands against it is raised by `ping`, since Ray would only try again."""
        prepare_worker()
        self._error: BalanceError | None = None
        self._maker = Maker(blueprint, device)
        try:
            import torch

            self._maker.generator()
            torch.set_num_threads(threads)
        except BalanceError as error:
            self._error = error

    def ping(self) -> None:
        """Say that it is there.

        Raises:
            BalanceError: the generator could not be built here.
        """
        if self._error is not None:
            raise self._error

    def make(self, batch: Batch) -> Made:
        """Make a batch; what comes back does not repeat its jobs and its real images.

        Raises:
            GenerationError: the generator failed.
        """
        self.ping()
        return replace(self._maker(batch), batch=_UNSAID)
