"""Intensities of a generated image, harmonised to a real one of its class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from balancer.images import GreyImage
from balancer.material import read_unchanged
from balancer.scan import Sample

Histogram = npt.NDArray[np.int64]
"""How many pixels have each of the grey values 0 to 255: shape (256,)."""


def histogram(grey: GreyImage) -> Histogram:
    """How many pixels have each grey value."""
    return np.bincount(grey.ravel(), minlength=256)


def harmonise(grey: GreyImage, reference: GreyImage) -> GreyImage:
    """Give an image of shape (H, W) the distribution of grey values that a reference of any shape has.

    Monotone, so that no order of brightness is turned round: histogram specification by quantiles (Gonzalez and
    Woods, Digital Image Processing, section 3.3). A grey value goes to that of the reference at the same quantile,
    between two of them in proportion; it counts with half of its own pixels, so that a large black border is not
    lifted. A blank image, or a blank reference, changes nothing.

    >>> harmonise(np.uint8([[0, 1], [2, 3]]), np.uint8([[10, 20, 30, 40]])).tolist()
    [[10, 20], [30, 40]]
    >>> harmonise(np.uint8([[7, 7]]), np.uint8([[10, 20]])).tolist()
    [[7, 7]]
    """
    return harmonise_to(grey, histogram(reference))


def harmonise_to(grey: GreyImage, wanted: Histogram) -> GreyImage:
    """The same, where of the reference only its histogram is at hand."""
    found = histogram(grey)
    if np.count_nonzero(found) < 2 or np.count_nonzero(wanted) < 2:
        return grey
    values = np.flatnonzero(wanted)
    table = np.interp(_quantiles(found), _quantiles(wanted)[values], values)
    harmonised: GreyImage = np.rint(table).astype(np.uint8)[grey]
    return harmonised


class References:
    """Real images by what is taken from them, their histograms: each file is read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[Sample, Histogram] = {}

    def lend(self, grey: GreyImage, reference: Sample) -> GreyImage:
        """An image with the intensities of a real one.

        Raises:
            CollectionError: the real image is gone, or another than when it was drawn.
            ImageError: it cannot be decoded.
        """
        if reference not in self._known:  # two threads may both read it: they find the same
            self._known[reference] = histogram(read_unchanged(self._root, reference))
        return harmonise_to(grey, self._known[reference])


def _quantiles(counts: Histogram) -> npt.NDArray[np.float64]:
    """For each grey value the share of pixels that are darker, and half of its own."""
    shares: npt.NDArray[np.float64] = (np.cumsum(counts) - counts / 2) / counts.sum()
    return shares
