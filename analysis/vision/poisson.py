"""A part of one image put into another so that no seam is seen: Poisson blending.

Pérez, Gangnet and Blake, Poisson image editing (2003, doi:10.1145/882262.882269).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from balancer.imaging.decode import GreyImage

_SIDES = ((0, 1), (1, 0), (0, -1), (-1, 0))


def blended(part: GreyImage, into: GreyImage, mask: npt.NDArray[np.bool_]) -> GreyImage:
    """The image `into` with the differences between neighbours that `part` has where the mask is; all are (H, W).

    Outside the mask nothing changes. What is added to `part` is smooth: in every pixel of the mask the mean of what is
    added to its neighbours, and beside the mask what makes them equal to `into`.

    Raises:
        ValueError: the shapes differ, or the mask leaves nothing of `into`.

    >>> part, into, mask = np.full((3, 3), 9, np.uint8), np.full((3, 3), 50, np.uint8), np.zeros((3, 3), bool)
    >>> part[1, 1], mask[1, 1] = 29, True
    >>> blended(part, into, mask)[1].tolist()
    [50, 70, 50]
    """
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import spsolve

    if not part.shape == into.shape == mask.shape or mask.all():
        raise ValueError(f"a mask that leaves a part of an image of the same shape, not {mask.shape} of {into.shape}")
    result = into.copy()
    if not mask.any():
        return result
    places, less = np.argwhere(mask), into.astype(np.float64) - part
    numbers = np.full(mask.shape, -1)
    numbers[mask] = mine = np.arange(len(places))
    degrees, known = np.zeros(len(places)), np.zeros(len(places))
    pairs = [np.stack((mine, mine))]
    for side in _SIDES:
        beside = places + side
        there = ((beside >= 0) & (beside < mask.shape)).all(axis=1)
        rows, columns = beside[there].T
        inside = mask[rows, columns]
        degrees[there] += 1
        known[mine[there][~inside]] += less[rows, columns][~inside]
        pairs.append(np.stack((mine[there][inside], numbers[rows, columns][inside])))
    values = np.concatenate((degrees, -np.ones(sum(pair.shape[1] for pair in pairs[1:]))))
    system = csr_array((values, tuple(np.concatenate(pairs, axis=1))), shape=(len(mine), len(mine)))
    result[mask] = np.rint(np.clip(part[mask] + spsolve(system.tocsc(), known), 0, 255)).astype(np.uint8)
    return result
