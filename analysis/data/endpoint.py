"""The endpoint of a comparison: the figure that decides it, and the class that it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split


def primary_endpoint(label: str) -> str:
    """The figure that decides a comparison: the AUPRC of the judged class.

    >>> primary_endpoint("nodule")
    'auprc:nodule'
    """
    return f"auprc:{label}"


def rarest_class(collection: Collection, split: Split) -> str | None:
    """The class with the fewest training images, one at least: that of the primary endpoint; `None` without any."""
    from balancer.splits.split import training_counts

    counts = {label: count for label, count in training_counts(collection, split).items() if count}
    return min(counts, key=lambda label: counts[label]) if counts else None


def fitting_folds(collection: Collection, split: Split, label: str) -> int:
    """The number of folds to advise for a class: at most as many as are stored, 5 where none are; 0 for none."""
    from balancer.splits.fold_limit import FOLDS, folds_that_fit
    from balancer.splits.groups import Groups

    return folds_that_fit(Groups.of(collection).counts().get(label, 0), split.fold_count or FOLDS)
