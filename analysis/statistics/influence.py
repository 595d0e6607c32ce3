"""How much each image moves an average precision, and the error of it that follows, without a bootstrap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def average_precision_influence(positive: Floats, negative: Floats, weight: float = 1.0) -> tuple[Floats, Floats]:
    """Average precision (...) of (..., P) positive and (..., N) negative scores, and its derivatives (..., P + N).

    The derivative by the weight of an image, positives first, is its infinitesimal jackknife value (Jaeckel 1972;
    Efron 1981): the sum of their squares is the variance of a bootstrap over images. With T_i and F_i the positives and
    negatives that score at least as much as positive i, AP is the mean of T_i / (T_i + F_i). Each negative counts
    `weight` times. No two scores are equal.

    >>> area, moved = average_precision_influence(np.array([3.0, 1.0]), np.array([2.0]))
    >>> float(area.round(3)), moved.round(3).tolist()
    (0.833, [0.139, -0.028, -0.111])
    """
    n_positive = positive.shape[-1]
    scores = np.concatenate((positive, negative), axis=-1)
    order = np.argsort(-scores, axis=-1)
    hit = order < n_positive
    found = np.cumsum(hit, axis=-1, dtype=np.float64)
    false = weight * (np.arange(1, scores.shape[-1] + 1) - found)
    precision = found / (found + false)
    area = (hit * precision).sum(axis=-1) / n_positive
    gained = _from_here(np.where(hit, false / (found + false) ** 2, 0))
    lost = _from_here(np.where(hit, found / (found + false) ** 2, 0))
    moved = np.where(hit, precision - area[..., None] + gained, -weight * lost) / n_positive
    influence = np.empty_like(moved)
    np.put_along_axis(influence, order, moved, axis=-1)
    return area, influence


def stratified_variance(influence: Floats, strata: list[npt.NDArray[np.int64]]) -> Floats:
    """The variance (...) of a figure from the influence (..., U) of its units, drawn with replacement within strata.

    Of n units n - 1 are drawn, which makes it unbiased (Rao and Wu 1988); a stratum of one unit adds nothing.

    >>> float(stratified_variance(np.array([1.0, -1.0, 5.0]), [np.array([0, 1]), np.array([2])]))
    4.0
    """
    found = np.zeros(influence.shape[:-1])
    for units in strata:
        if len(units) > 1:
            found += len(units) * influence[..., units].var(axis=-1, ddof=1)
    return found


def _from_here(values: Floats) -> Floats:
    """Sums of each value and those after it."""
    sums: Floats = np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
    return sums
