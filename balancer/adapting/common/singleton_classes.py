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
            needed="a class with at least two training images, to learn from",
            found="none" if not counts else f"one image each of {', '.join(single)}",
            next_step="look at the parts with: balance scan FOLDER",
        )
    return kept, single


def left_out(label: str) -> str:
    """What is said of a class of one image.

    >>> left_out("nodule")[:40]
    'Warning: nodule has one training image, '
    """
    return (
        f"Warning: {label} has one training image, from which only a copy could be learnt: it is left out. "
        "Ask for none of that class."
    )
