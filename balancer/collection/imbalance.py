"""Counts of classes, or of findings of which an image may have several, to figures that say how imbalanced they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


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


def measure_imbalance(counts: Mapping[str, int], images: int | None = None) -> Imbalance:
    """Measure classes by their numbers of images; an empty class makes the ratio infinite.

    Where an image may count in several or in none, `images` is how many there are, of which shares are then.

    >>> figures = measure_imbalance({"normal": 90, "nodule": 10})
    >>> figures.ratio, round(figures.evenness, 3), figures.deficits
    (9.0, 0.469, {'normal': 0, 'nodule': 80})

    Raises:
        ValueError: there is no class with an image.
    """
    total, largest = images or sum(counts.values()), max(counts.values(), default=0)
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


@dataclass(frozen=True, slots=True)
class FindingImbalance:
    """How imbalanced the findings of images are that may have several.

    `ratios` are images of the most frequent finding for each one of a finding (IRLbl), infinite for a finding of none;
    `mean_ratio` (MeanIR) and `variation` (CVIR, their standard deviation over the mean) are over findings that have
    images. `concurrence` (SCUMBLE) is 0 where rare findings never share an image with frequent ones, and nears 1 where
    they always do: then more images of the rare are more of the frequent too. All by Charte et al. 2015
    (doi:10.1016/j.neucom.2014.08.091), the last by Charte et al., HAIS 2014. `together` are the images that have both
    of two findings.
    """

    ratios: Mapping[str, float]
    mean_ratio: float
    variation: float
    concurrence: float
    together: Mapping[str, Mapping[str, int]]


def measure_findings(has: pd.DataFrame) -> FindingImbalance:
    """Measure findings by a table of booleans: a row an image, a column a finding.

    >>> import pandas as pd
    >>> has = pd.DataFrame({"Effusion": [True, True, True, True], "Hernia": [False, False, False, True]})
    >>> figures = measure_findings(has)
    >>> figures.ratios, figures.mean_ratio, round(figures.concurrence, 3)
    ({'Effusion': 1.0, 'Hernia': 4.0}, 2.5, 0.05)

    Raises:
        ValueError: no image has a finding.
    """
    import numpy as np

    from balancer.collection.label_sets import co_occurrence

    given, names = has.to_numpy(bool), [str(name) for name in has.columns]
    counts = given.sum(axis=0)
    if not counts.any():
        raise ValueError("no image has a finding")
    ratios = np.where(counts > 0, counts.max() / np.maximum(counts, 1), np.inf)
    real = ratios[counts > 0]
    mean = float(real.mean())
    spread = float(real.std(ddof=1)) if len(real) > 1 else 0.0
    each, number = np.where(given, np.where(counts > 0, ratios, 1), 0.0), given.sum(axis=1)
    some = number > 0
    arithmetic = each[some].sum(axis=1) / number[some]
    logs = np.where(given[some], np.log(np.maximum(each[some], 1.0)), 0.0)
    concurrence = float((1 - np.exp(logs.sum(axis=1) / number[some]) / arithmetic).sum() / len(given))
    table = co_occurrence(has).to_numpy()
    together = {
        name: {
            other: int(table[row, column]) for column, other in enumerate(names) if column != row and table[row, column]
        }
        for row, name in enumerate(names)
    }
    return FindingImbalance(dict(zip(names, ratios.tolist(), strict=True)), mean, spread / mean, concurrence, together)
