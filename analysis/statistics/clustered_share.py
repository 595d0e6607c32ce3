"""A share of images that belong to patients, and what its interval must know of that."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from analysis.statistics.intervals import Flags, Groups, Interval, Values, wilson


def clustered_wilson(hits: Flags, groups: Groups, level: float = 0.95) -> Interval:
    """The share of images that are hits, with Wilson's interval for as many images as they are worth.

    Images of one patient resemble each other: n of them are worth n / d, where d is the variance of the share between
    patients over that of independent images (Rao and Scott 1992, doi:10.2307/2532311), never below 1; less by the
    square of Student's t over the normal quantile, since it is estimated from few patients (Korn and Graubard 1998).
    Where all or none are hits no variance can be estimated, and each patient counts once.

    >>> print(clustered_wilson(np.array([True, True, False, True]), np.array([0, 1, 2, 3])))
    0.75 [0.30, 0.95]
    >>> print(clustered_wilson(np.array([True, True, True, True]), np.array([0, 0, 1, 1])))
    1.00 [0.34, 1.00]
    """
    if not len(hits):
        return wilson(0, 0, level)
    patients, share = len(np.unique(groups)), float(np.mean(hits))
    if patients == len(hits):
        return wilson(int(np.sum(hits)), patients, level)
    if share in (0.0, 1.0) or patients < 2:
        return wilson(share * patients, patients, level)
    effect = _cluster_variance(hits - share, groups) * len(hits) / (share * (1 - share))
    few = norm.ppf((1 + level) / 2) / student.ppf((1 + level) / 2, patients - 1)
    worth = len(hits) / max(1.0, effect) * few**2
    return wilson(share * worth, worth, level)


def _cluster_variance(deviations: Values, groups: Groups) -> float:
    """The variance of a mean of images whose patients are independent."""
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], deviations)
    return float(len(sums) / (len(sums) - 1) * (sums @ sums) / len(deviations) ** 2)
