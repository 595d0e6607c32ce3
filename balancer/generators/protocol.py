"""The one call behind which every generator stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from balancer.imaging.decode import GreyImage
from balancer.jobs import Job


class ImageGenerator(Protocol):
    """Makes the image of each job.

    All jobs of a call share one `GenerationConfig`. An image depends on its own job; the size of the batch may change
    its last bits.
    """

    def generate(self, jobs: Sequence[Job]) -> Sequence[GreyImage]:
        """Return one uint8 array of shape (config.height, config.width) a job, in order.

        Raises:
            OutOfMemory: the batch does not fit on the device.
            GenerationError: anything else went wrong.
        """
        ...
