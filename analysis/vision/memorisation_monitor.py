"""Who watches a training for copies: is a sample nearer to a training image than real images are to each other?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.data.images import unit_vectors
from balancer.adapting.common.monitor import Observation, TrainingSet
from balancer.imaging.decode import GreyImage, resize

SIDE = 32
QUANTILE = 0.995
"""Real images whose nearest one of another patient is nearer than this share of them are as near as copies are."""
LEAST_GROUPS = 200
"""With fewer patients (or images, where patients are unknown) the threshold would be a guess: none is used."""
STOP_SHARE, STOP_COUNT = 0.25, 3
_BLOCK = 2048

Vectors = npt.NDArray[np.float32]


@dataclass(slots=True)
class CopyWatch:
    """A `TrainingMonitor` by correlation of small pictures; what it knows of the training images is worked out once.

    It says stop when a quarter of the samples, and three at least, are nearer to a training image than 99.5% of the
    real images are to the nearest of another patient.
    """

    _known: tuple[Vectors, float | None] | None = field(default=None, init=False)

    def __call__(self, samples: Mapping[str, Sequence[GreyImage]], seen: TrainingSet, /) -> Observation:
        """Return how near the samples are to the training images, and whether they copy."""
        if self._known is None:
            pool = small_vectors(list(seen.greys))
            self._known = pool, copy_threshold(pool, seen.groups)
        pool, threshold = self._known
        images = [image for row in samples.values() for image in row]
        near = nearest_correlations(small_vectors(images), pool)
        figures = {"nearest_median": float(np.median(near)), "nearest_most": float(near.max())}
        if threshold is None:
            few = f"too few patients for a copy threshold; the nearest sample correlates {near.max():.3f}"
            return Observation(figures, (few,))
        copies = int((near > threshold).sum())
        figures |= {"threshold": threshold, "copies": float(copies), "samples": float(len(near))}
        note = f"{copies} of {len(near)} samples are as similar as a copy to a training image ({threshold:.3f})"
        stop = copies >= STOP_COUNT and copies > STOP_SHARE * len(near)
        return Observation(figures, (note,), "its samples copy training images" if stop else "")


def small_vectors(greys: Sequence[GreyImage]) -> Vectors:
    """Pictures at 32 x 32 as vectors (N, 1024), whose products are correlations.

    >>> ramp = np.arange(64, dtype=np.uint8).reshape(8, 8)
    >>> round(float(small_vectors([ramp])[0] @ small_vectors([255 - ramp])[0]), 3)
    -1.0
    """
    return unit_vectors(np.stack([resize(grey, SIDE, SIDE) for grey in greys]))


def nearest_correlations(queries: Vectors, pool: Vectors) -> npt.NDArray[np.float32]:
    """The largest correlation of each query with any of the pool, (N,)."""
    blocks = [(queries @ pool[first : first + _BLOCK].T).max(axis=1) for first in range(0, len(pool), _BLOCK)]
    nearest: npt.NDArray[np.float32] = np.max(blocks, axis=0)
    return nearest


def copy_threshold(pool: Vectors, groups: Sequence[str]) -> float | None:
    """The 99.5th percentile of real images' correlation with the nearest of another group; `None` with few groups."""
    names = np.unique(np.array(groups), return_inverse=True)[1]
    if names.max() + 1 < LEAST_GROUPS:
        return None
    nearest = []
    for first in range(0, len(pool), _BLOCK):
        alike = pool[first : first + _BLOCK] @ pool.T
        alike[names[first : first + _BLOCK, None] == names[None]] = -1
        nearest.append(alike.max(axis=1))
    return float(np.quantile(np.concatenate(nearest), QUANTILE))
