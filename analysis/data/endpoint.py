"""The endpoint of a comparison: the figure that decides it, and the class or finding that it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.minimums import RARE_TEST_PATIENTS, TEST_IMAGES

if TYPE_CHECKING:
    import pandas as pd

    from balancer.collection.scan import Collection
    from balancer.splits.split import Split


def primary_endpoint(label: str) -> str:
    """The figure that decides a comparison: the AUPRC of the judged class.

    >>> primary_endpoint("nodule")
    'auprc:nodule'
    """
    return f"auprc:{label}"


def rarest_class(collection: Collection, split: Split, *, pooled: bool = False) -> str | None:
    """The class with the fewest training images, one at least: that of the primary endpoint; `None` without any.

    Of findings the rarest that enough test patients have, since a collection has many of which nothing could be told;
    where there is none, the one with most test patients. `pooled`: every patient is tested, in one fold or another.
    """
    from balancer.splits.split import training_counts

    counts = {label: count for label, count in training_counts(collection, split).items() if count}
    if not counts or collection.label_sets is None:
        return min(counts, key=lambda label: counts[label]) if counts else None
    tested = _tested(collection, split, pooled)
    enough = [label for label in counts if tested[label][0] >= TEST_IMAGES and tested[label][1] >= RARE_TEST_PATIENTS]
    if enough:
        return min(enough, key=lambda label: (counts[label], label))
    return max(counts, key=lambda label: (tested[label][1], label))


def known_labels(collection: Collection, label: str) -> pd.Series:
    """What each image is, by path: of findings only the images of which it is known, called `label` or nothing ("")."""
    from balancer.collection.label_sets import DENIED, GIVEN

    if collection.label_sets is None:
        labels: pd.Series = collection.images["label"]
        return labels
    marks = collection.label_sets.only(collection.images.index).marks[label]
    known = marks[marks.isin([GIVEN, DENIED])]
    return known.map({GIVEN: label, DENIED: ""}).astype(object)


def _tested(collection: Collection, split: Split, pooled: bool) -> dict[str, tuple[int, int]]:
    """Test images and patients of each finding."""
    from balancer.splits.groups import stay_together

    assert collection.label_sets is not None
    paths = collection.images.index if pooled else split.paths("test").intersection(collection.images.index)
    has = collection.label_sets.only(paths).has()
    patients = has.groupby(stay_together(collection).loc[paths].to_numpy()).any().sum()
    return {name: (int(has[name].sum()), int(patients[name])) for name in map(str, has)}


def fitting_folds(collection: Collection, split: Split, label: str) -> int:
    """The number of folds to advise for a class: at most as many as are stored, 5 where none are; 0 for none."""
    from balancer.splits.fold_limit import FOLDS, folds_that_fit
    from balancer.splits.groups import Groups

    return folds_that_fit(Groups.of(collection).counts().get(label, 0), split.fold_count or FOLDS)
