"""What images are labelled with, in one of two forms, and all that hangs on which it is but the loss.

- One class an image: (N,) numbers of classes.
- Several findings an image: (N, F) marks, 1 where the image has the finding, 0 where it has not, and below 0 where that
  is uncertain or not told. What is unknown counts neither way, in training and in figures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from balancer.collection.label_sets import DENIED, GIVEN

Targets = npt.NDArray[Any]
"""(N,) numbers of classes, or (N, F) marks of findings."""
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_FEW = 10  # images of a label set: a smaller one would be shown far too often by itself


def has_several(targets: Targets) -> bool:
    """Whether these are marks of findings."""
    return targets.ndim == 2


def having(targets: Targets, number: int) -> Flags:
    """(N,) which images have the class or the finding.

    >>> having(np.array([0, 1]), 1).tolist(), having(np.array([[0, 1], [1, -1]]), 1).tolist()
    ([False, True], [True, False])
    """
    found: Flags = (targets[:, number] == GIVEN) if has_several(targets) else (targets == number)
    return found


def lacking(targets: Targets, number: int) -> Flags:
    """(N,) which images are known not to have it.

    >>> lacking(np.array([0, 1]), 1).tolist(), lacking(np.array([[0, 1], [1, -1]]), 1).tolist()
    ([True, False], [False, False])
    """
    found: Flags = (targets[:, number] == DENIED) if has_several(targets) else (targets != number)
    return found


def count_each(targets: Targets, size: int) -> Numbers:
    """(size,) images of each class or finding.

    >>> count_each(np.array([[0, 1], [1, 1]]), 2).tolist()
    [1, 2]
    """
    counts: Numbers = (
        (targets == GIVEN).sum(axis=0) if has_several(targets) else np.bincount(targets, minlength=size)
    ).astype(np.int64)
    return counts


def rarity(targets: Targets) -> Numbers:
    """(N,) the rarest class or finding of each image by its place among all, 0 the rarest; last what has none.

    >>> rarity(np.array([0, 0, 1])).tolist(), rarity(np.array([[1, 1], [1, 0], [0, -1]])).tolist()
    ([1, 1, 0], [0, 1, 2])
    """
    size = targets.shape[1] if has_several(targets) else int(targets.max(initial=-1)) + 1
    rank = np.argsort(np.argsort(count_each(targets, size), kind="stable"), kind="stable")
    if not has_several(targets):
        return np.asarray(rank[targets], np.int64)
    rarest: Numbers = np.where(targets == GIVEN, rank, size).min(axis=1, initial=size).astype(np.int64)
    return rarest


def strata(targets: Targets) -> Numbers:
    """(N,) what a balanced sampler shows equally often: the class of each image, or the number of its label set.

    A label set of fewer than 10 images counts as the rarest of its findings: by itself it would be shown far too often.

    >>> strata(np.array([2, 0])).tolist()
    [2, 0]
    >>> strata(np.array([[1, 0]] * 10 + [[0, 0]] * 10 + [[1, 1]])).tolist()[::10]
    [1, 0, 2]
    """
    if not has_several(targets):
        return targets
    _, place, counts = np.unique(targets == GIVEN, axis=0, return_inverse=True, return_counts=True)
    place = place.ravel()
    numbers = np.where(counts[place] < _FEW, len(counts) + rarity(targets), place)
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def evened(groups: Numbers) -> npt.NDArray[np.float64]:
    """(N,) weights by which all groups weigh the same.

    >>> evened(np.array([0, 0, 1])).tolist()
    [0.5, 0.5, 1.0]
    """
    weights: npt.NDArray[np.float64] = 1 / np.bincount(groups)[groups]
    return weights


def log_odds(targets: Targets, weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """(F,) logarithms of the odds of each finding among images that weigh `weights`, (N,); 0 where one side is empty.

    >>> log_odds(np.array([[1], [0], [0], [-1]]), np.ones(4)).round(2).tolist()
    [-0.69]
    """
    has, lacks = (weights @ (targets == mark) for mark in (GIVEN, DENIED))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((has > 0) & (lacks > 0), np.log(has / lacks), 0.0)
