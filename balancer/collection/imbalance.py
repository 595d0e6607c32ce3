"""Counts of classes to figures that say how imbalanced they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Imbalance:
    """How imbalanced a set of classes is.

    `ratio` is largest to smallest class; `evenness` Pielou's, 1 when all classes are equal; `effective_numbers` how
    many distinct images each class is worth (Cui et al. 2019); `deficits` what each lacks to the largest class.
    """

    counts: Mapping[str, int]
    shares: Mapping[str, float]
    ratio: float
    evenness: float
    effective_numbers: Mapping[str, float]
    deficits: Mapping[str, int]


def measure_imbalance(counts: Mapping[str, int]) -> Imbalance:
    """Measure classes by their numbers of images; an empty class makes the ratio infinite.

    >>> figures = measure_imbalance({"normal": 90, "nodule": 10})
    >>> figures.ratio, round(figures.evenness, 3), figures.deficits
    (9.0, 0.469, {'normal': 0, 'nodule': 80})

    Raises:
        ValueError: there is no class with an image.
    """
    total, largest = sum(counts.values()), max(counts.values(), default=0)
    if largest == 0:
        raise ValueError("no class has an image")
    smallest = min(counts.values())
    return Imbalance(
        counts=dict(counts),
        shares={label: count / total for label, count in counts.items()},
        ratio=largest / smallest if smallest else math.inf,
        evenness=evenness(counts),
        effective_numbers={label: effective_number(count, total) for label, count in counts.items()},
        deficits={label: largest - count for label, count in counts.items()},
    )


def evenness(counts: Mapping[str, int]) -> float:
    """Pielou's evenness: the Shannon entropy of the shares over its largest possible value (Pielou 1966).

    >>> evenness({"a": 5, "b": 5}), evenness({"a": 5, "b": 0})
    (1.0, 0.0)
    """
    total = sum(counts.values())
    shares = [count / total for count in counts.values() if count]
    entropy = sum(share * math.log(1 / share) for share in shares)
    return entropy / math.log(len(counts)) if len(counts) > 1 else 1.0


def effective_number(count: int, total: int) -> float:
    """(1 - beta^n) / (1 - beta) with beta = (N - 1) / N: the expected volume of n samples (Cui et al. 2019).

    >>> round(effective_number(50, 2050), 1)
    49.4
    """
    beta = (total - 1) / total
    return (1 - beta**count) / (1 - beta)
