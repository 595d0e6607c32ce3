"""The canonical 8-bit grey array, what a header says of it, and the window through which deeper values are seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

GreyImage = npt.NDArray[np.uint8]
"""An array of shape (height, width): 0 is the darkest that the file holds or can hold, 255 the brightest."""

_TAIL, _MARGIN = 0.01, 0.05  # of the pixels at each end; of the width between, beyond them
_SAMPLED = 1 << 20  # pixels that percentiles are taken of
_BAND = 256  # rows that are rescaled at once


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself before its pixels are decoded. `bits` are bits a channel."""

    format: str
    mode: str
    bits: int
    width: int
    height: int


def rescaled(values: npt.NDArray[Any]) -> GreyImage:
    """Values of more than 8 bits as grey levels, by their `robust_window`.

    >>> rescaled(np.array([[0, 500, 1000]], np.uint16)).tolist()
    [[0, 128, 255]]

    Raises:
        ValueError: they are not all finite numbers.
    """
    return windowed(values, *robust_window(values))


def robust_window(values: npt.NDArray[Any]) -> tuple[float, float]:
    """The values that become black and white: the darkest and the brightest, unless they lie far from all others.

    A burnt-in letter or a dead pixel at 65,535 would leave an image of 12 bits a sixteenth of its grey levels. So the
    window reaches no further than 5% of the width between the 1st and the 99th percentile beyond these two.

    >>> [round(each) for each in robust_window(np.array([0, *range(1000), 65_535]))]
    [0, 1039]

    Raises:
        ValueError: they are not all finite numbers.
    """
    least, most = float(values.min()), float(values.max())
    if not np.isfinite(least) or not np.isfinite(most):  # a NaN is its own minimum
        raise ValueError("it contains values that are not finite numbers")
    some = values.ravel()[:: max(1, values.size // _SAMPLED)]
    low, high = np.quantile(some, (_TAIL, 1 - _TAIL), method="nearest").tolist()
    if low == high:  # nearly all of one value: what is left of the image lies outside
        return least, most
    margin = _MARGIN * (high - low)
    return max(least, low - margin), min(most, high + margin)


def windowed(values: npt.NDArray[Any], low: float, high: float) -> GreyImage:
    """Grey levels of values: 0 up to `low`, 255 from `high`, in a straight line between."""
    scaled = np.zeros(values.shape, np.uint8)
    if low < high:
        for start in range(0, len(values), _BAND):  # the whole in 64 bits would take eight times the file's memory
            band = np.clip(values[start : start + _BAND].astype(np.float64), low, high)
            scaled[start : start + _BAND] = np.rint((band - low) * (255 / (high - low)))
    return scaled
