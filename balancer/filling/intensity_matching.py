"""Intensities of a generated image, harmonised to a real one of its class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from balancer.collection.scan import Sample
from balancer.collection.unchanged import read_unchanged
from balancer.imaging.decode import GreyImage

Histogram = npt.NDArray[np.int64]
"""How many pixels have each of the grey values 0 to 255: shape (256,)."""


FLOOR = 8
"""Grey values up to this are background: a border's share differs from image to image and says nothing of exposure."""
STEEPEST = 2.0
"""No grey step becomes more than twice, or less than half, of what it was: steeper maps turn noise into edges."""
_SHARES = np.arange(0.1, 0.95, 0.1)


def histogram(grey: GreyImage) -> Histogram:
    """How many pixels have each grey value."""
    return np.bincount(grey.ravel(), minlength=256)


def harmonise(grey: GreyImage, reference: GreyImage) -> GreyImage:
    """Give an image of shape (H, W) the exposure and contrast of a reference of any shape.

    The deciles of what is not background go to those of the reference, as in histogram specification (Gonzalez and
    Woods, Digital Image Processing, section 3.3), and what lies between in proportion; but black stays black, and no
    step grows or shrinks by more than `STEEPEST`. So no order of brightness is turned round, and no border lifted. A
    blank image, or a blank reference, changes nothing.

    >>> harmonise(np.uint8([[0, 40], [60, 80]]), np.uint8([[0, 60], [80, 100]])).tolist()
    [[0, 60], [80, 100]]
    >>> harmonise(np.uint8([[0, 3], [60, 80]]), np.uint8([[90, 160], [160, 200]])).tolist()
    [[0, 4], [90, 130]]
    """
    return harmonise_to(grey, histogram(reference))


def harmonise_to(grey: GreyImage, wanted: Histogram) -> GreyImage:
    """Match an image to the stored histogram of a reference image."""
    here, there = _deciles(histogram(grey)), _deciles(wanted)
    if not len(here) or not len(there):
        return grey
    harmonised: GreyImage = np.rint(_table(here, there)).astype(np.uint8)[grey]
    return harmonised


class HistogramCache:
    """Real images by what is taken from them, their histograms: each file is read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[Sample, Histogram] = {}

    def match_intensity(self, grey: GreyImage, reference: Sample) -> GreyImage:
        """An image with the intensities of a real one.

        Raises:
            CollectionError: the real image is gone, or another than when it was drawn.
            ImageError: it cannot be decoded.
        """
        if reference not in self._known:  # two threads may both read it: they find the same
            self._known[reference] = histogram(read_unchanged(self._root, reference))
        return harmonise_to(grey, self._known[reference])


def _deciles(counts: Histogram) -> npt.NDArray[np.float64]:
    """The grey values of the 1st to 9th decile above the floor; empty where fewer than two values are."""
    body = np.where(np.arange(256) > FLOOR, counts, 0)
    if np.count_nonzero(body) < 2:
        return np.empty(0)
    values = np.flatnonzero(body)
    shares = (np.cumsum(body) - body / 2) / body.sum()
    deciles: npt.NDArray[np.float64] = np.interp(_SHARES, shares[values], values)
    return deciles


def _table(here: npt.NDArray[np.float64], there: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where each grey value goes: from black up, after the wanted deciles as fast as the slope may be."""
    stops, wanted = np.append(here, 255.0), np.append(there, 255.0)
    found, at, level = [0.0], [0.0], 0.0
    for stop, goal in zip(stops, wanted, strict=True):
        width = stop - at[-1]
        level = min(255.0, float(np.clip(goal, level + width / STEEPEST, level + width * STEEPEST)))
        at.append(float(stop))
        found.append(level)
    table: npt.NDArray[np.float64] = np.interp(np.arange(256), at, found)
    return table
