"""Does a model draw images of this kind at all? Asked of its first images, before hours are spent on the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.data.images import Greys
from analysis.data.minimums import QUALITY_IMAGES
from analysis.screening.image_quality import at_16_pixels

LEAST = 0.45
"""A distance below is never unfit, however alike the real images are: blurred or noisy ones of the kind keep to 0.4,
photographs and noise do not (`python -m tests.benchmarks.simulations unfit`)."""
_SILENT = 0.95  # where real images lie this far apart, nothing can be told: a blank image has distance 1
_TELLING = 3  # images of a class: two that look like no other say nothing of a third
_COMPARED, _OF_A_CLASS = 2000, 20  # real images to compare with, and those of each class at least
_FAR = 0.9  # the quantile of real images that counts as far; a broken tenth of them does no harm


@dataclass(frozen=True, slots=True)
class ModelFitness:
    """How near real images lie to the nearest one of another patient, and so how near images of a fit model do.

    The distance is 1 minus the correlation at 16 x 16 pixels, so exposure and contrast play no part. `limits` are by
    class, `usual` is for any other; both are well beyond the far tenth of real images, and at least `LEAST`.
    """

    real: npt.NDArray[np.float64]
    usual: float
    limits: Mapping[str, float]

    @classmethod
    def fit(
        cls, greys: Greys, labels: Sequence[str], groups: npt.NDArray[np.int64], least: int = QUALITY_IMAGES
    ) -> ModelFitness | None:
        """From real images, (N, 64, 64), with their labels and patients (-1 unknown); `None` of fewer than `least`."""
        names = np.asarray(labels, object)
        places = _chosen(names)
        real = _units(greys[places])
        blank = ~real.any(axis=1)
        real, names, groups = real[~blank], names[places][~blank], groups[places][~blank]
        if len(real) < least:
            return None
        own = (groups[:, None] == groups[None]) & (groups[:, None] >= 0)
        np.fill_diagonal(own, True)
        near = 1 - np.where(own, -1.0, real @ real.T).max(axis=1)
        usual = _limit(near)
        return cls(real, usual, {str(name): max(usual, _limit(near[names == name])) for name in dict.fromkeys(names)})

    def distances(self, greys: Greys) -> npt.NDArray[np.float64]:
        """How far each image, (N, 64, 64), is from the nearest real one: 0 the same, 1 nothing in common."""
        found: npt.NDArray[np.float64] = 1 - (_units(greys) @ self.real.T).max(axis=1)
        return found

    def why_unfit(self, greys: Greys, labels: Sequence[str]) -> str:
        """What is wrong with the images of a model, in words; "" unless more than half of them are beyond the limit.

        Real images that were held back are never called unfit, from four images on, as the simulation shows.
        """
        found = self.distances(greys)
        limits = np.array([self.limits.get(label, self.usual) for label in labels])
        far = (found > limits) & (limits < _SILENT)
        if not far.sum() > len(greys) / 2:
            return ""
        return (
            f"{far.sum()} of the first {len(greys)} images look like none of the real ones: their distance to the "
            f"nearest is {np.median(found):.2f}, and of real images at most {limits.max():.2f} (1: nothing in common)"
        )


def _units(greys: Greys) -> npt.NDArray[np.float64]:
    """Images as rows of 256 of length 1; a blank one as zeros."""
    flat = at_16_pixels(greys)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))


def _limit(near: npt.NDArray[np.float64]) -> float:
    """As far beyond the far tenth again as that is from the median; none for one or two images like no other."""
    if len(near) < _TELLING and near.max() > LEAST:
        return math.inf
    middle, far = np.quantile(near, [0.5, _FAR])
    return max(LEAST, float(2 * far - middle))


def _chosen(names: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
    """Places of the images to compare with: evenly over all, and some of each class."""
    evenly = np.arange(0, len(names), max(1, -(-len(names) // _COMPARED)))
    some = [np.flatnonzero(names == name)[:_OF_A_CLASS] for name in dict.fromkeys(names)]
    return np.unique(np.concatenate([evenly, *some])).astype(np.int64)
