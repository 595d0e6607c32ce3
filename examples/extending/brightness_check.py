"""A screening check: a synthetic image must not be brighter or darker than the real training images are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from analysis.screening.own_checks import FittedCheck, Greys
from balancer.imaging.decode import GreyImage

_SLACK = 10.0  # grey levels beyond the real images' own range


def brightness(greys: Greys, labels: Sequence[str]) -> FittedCheck:
    """Fit on the real training images: (N, side, side) uint8. Called once; what it returns is asked for each image."""
    means = greys.mean(axis=(1, 2))
    low, high = means.min() - _SLACK, means.max() + _SLACK

    def reasons(grey: GreyImage, label: str) -> Iterator[str]:
        mean = float(np.mean(grey))
        if mean < low:
            yield "darker than any real training image"
        if mean > high:
            yield "brighter than any real training image"

    return reasons
