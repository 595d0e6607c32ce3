"""Folds for cross-fitting: every patient of a small class is tested once, by models that never saw them."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from balancer.errors import SplitError
from balancer.splits.fold_limit import folds_that_fit
from balancer.splits.groups import Groups, groups_by_class, seeded_order, stratified
from balancer.splits.iterative import Dealt, deal

FEW_PATIENTS, MAX_FOLDS = 100, 20
"""A class of fewer than `FEW_PATIENTS` patients to train on makes folds the default; more than `MAX_FOLDS` take too
long."""
NO_FOLDS = pd.Series(dtype="int64")


def small_classes(groups: Groups, parts: pd.Series) -> dict[str, int]:
    """The classes with fewer than 100 patients to train on, and how many they have."""
    counts = groups.counts(parts.isin(["train", "holdout"]))
    return {label: count for label, count in counts.items() if count < FEW_PATIENTS}


def default_folds(groups: Groups, parts: pd.Series) -> int:
    """5 where a class has so few patients to train on that none should be kept away from it for good, else 0.

    Fewer where the rarest class, that of the primary endpoint, is too small for five; none where it is too small for
    two. Of findings the rarest counts that is large enough for two folds: a rarer one hinders no other.
    """
    small, counts = small_classes(groups, parts), groups.counts()
    if groups.has is not None:
        return min(filter(None, (folds_that_fit(counts[finding]) for finding in small)), default=0)
    return folds_that_fit(min(counts.values())) if small else 0


def draw_folds(groups: Groups, count: int, seed: int = 0, earlier: pd.Series = NO_FOLDS) -> pd.Series:
    """The fold, 0 to `count` - 1, of each image of the collection, its own test part included.

    Groups are dealt in an order that depends on their names and the seed alone, each to the fold that has the fewest
    of its stratum (sex, view), of its class and of all; what `earlier` says stays.

    Raises:
        SplitError: one fold, fewer than none, or more than 20.
    """
    if count == 0:
        return NO_FOLDS
    if not 2 <= count <= MAX_FOLDS:
        advice = "use, for example: balance split --folds 5"
        raise SplitError(needed=f"2 to {MAX_FOLDS} folds, or 0 for none", found=str(count), next_step=advice)
    names = groups.names
    known = earlier.reindex(names.index).dropna()
    fold_of = dict(zip(names[known.index], (int(fold) % count for fold in known), strict=True))
    if groups.has is not None:
        dealt = Dealt.of(groups, list(names.unique()), seed + 2)
        return names.map(deal(dealt, [1 / count] * count, None, fold_of)).astype("int64")
    total = Counter(fold_of.values())
    for members in groups_by_class(groups.labels, names).values():
        _deal(stratified(seeded_order(members, seed + 2), groups.strata), fold_of, total, count)
    return names.map(fold_of).astype("int64")


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
