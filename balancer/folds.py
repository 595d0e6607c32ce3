"""Folds for cross-fitting: every patient of a small class is tested once, by models that never saw them."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from balancer.errors import SplitError
from balancer.groups import drawn_order, groups_by_class, stay_together, strata_of, stratified
from balancer.scan import Collection

FOLDS, FEW, MOST = 5, 100, 20
"""A class of fewer than `FEW` patients makes `FOLDS` folds the default; more than `MOST` are too many to train."""
NO_FOLDS = pd.Series(dtype="int64")


def group_counts(collection: Collection) -> dict[str, int]:
    """Patients of each class, an image without a known patient counting as one of its own."""
    members = groups_by_class(collection.images["label"], stay_together(collection))
    return {label: len(members[label]) for label in collection.labels}


def usual_folds(collection: Collection) -> int:
    """5 where a class is too small to be judged by one test part alone, else 0."""
    return FOLDS if 1 < min(group_counts(collection).values()) < FEW else 0


def draw_folds(collection: Collection, count: int, seed: int = 0, earlier: pd.Series = NO_FOLDS) -> pd.Series:
    """The fold, 0 to `count` - 1, of each image of the collection, its own test part included.

    Groups are dealt in an order that depends on their names and the seed alone, each to the fold that has the fewest
    of its stratum (sex, view), of its class and of all; what `earlier` says stays.

    Raises:
        SplitError: one fold, fewer than none, or more than 20.
    """
    if count == 0:
        return NO_FOLDS
    if not 2 <= count <= MOST:
        advice = "use, for example: balance split --folds 5"
        raise SplitError(needed=f"2 to {MOST} folds, or 0 for none", found=str(count), next_step=advice)
    groups = stay_together(collection)
    strata = strata_of(collection, groups)
    known = earlier.reindex(collection.images.index).dropna()
    fold_of = dict(zip(groups[known.index], (int(fold) % count for fold in known), strict=True))
    total = Counter(fold_of.values())
    for members in groups_by_class(collection.images["label"], groups).values():
        _deal(stratified(drawn_order(members, seed + 2), strata), fold_of, total, count)
    return groups.map(fold_of).astype("int64")


def _deal(strata: list[list[str]], fold_of: dict[str, int], total: Counter[int], count: int) -> None:
    """Deal the groups of one class, stratum by stratum."""
    of_class = Counter(fold_of[group] for stratum in strata for group in stratum if group in fold_of)
    for stratum in strata:
        of_stratum = Counter(fold_of[group] for group in stratum if group in fold_of)
        for group in stratum:
            if group in fold_of:
                continue
            keys = [(of_stratum[fold], of_class[fold], total[fold], fold) for fold in range(count)]
            fold = min(keys)[-1]
            fold_of[group] = fold
            for counter in (of_stratum, of_class, total):
                counter[fold] += 1
