"""Classes of one training image: nothing but a copy of it could be learnt, so they are left out."""

from __future__ import annotations

from collections.abc import Sequence

from balancer.adapting.common.model_card import class_counts
from balancer.collection.scan import Sample
from balancer.errors import CollectionError


def without_singles(samples: Sequence[Sample]) -> tuple[list[Sample], list[str]]:
    """The samples of classes of two or more, by path, and the labels of the others.

    Raises:
        CollectionError: nothing is left to learn from.
    """
    counts = class_counts(samples)
    single = [label for label, count in counts.items() if count == 1]
    kept = sorted((each for each in samples if each.label not in single), key=lambda each: each.path)
    if not kept:
        raise CollectionError(
            needed="a class with at least two training images",
            found="none" if not counts else f"only one image of {', '.join(single)}",
            next_step="see the splits: balance split",
        )
    return kept, single


def left_out(label: str) -> str:
    """What is said of a class of one image.

    >>> left_out("nodule")[:40]
    'Warning: nodule has only one training im'
    """
    return (
        f"Warning: {label} has only one training image, which the model could only copy: it is left out. "
        "Do not request images of this class."
    )
