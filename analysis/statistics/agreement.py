"""How well readers told real from synthetic, and how well they agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from balancer.jobs import Reading

_Z = 1.959964  # of the normal distribution: 95% lie within


@dataclass(frozen=True, slots=True)
class Proportion:
    """`hits` of `total`, with the limits of the 95% interval of the share; 0 to 1 where nothing is known."""

    hits: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        """Hits divided by total, `None` of nothing."""
        return self.hits / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cohen's kappa of two readers over the `images` that both answered, with its 95% interval.

    `kappa` is `None` where it is not defined (no images, or both readers gave one answer throughout), the limits where
    the sample leaves no room for an error (both agreed on all, or one of them gave one answer throughout).
    """

    readers: tuple[str, str]
    images: int
    kappa: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One reader in one study: answers that were right, in all and of the real and synthetic images."""

    reader: str
    all: Proportion
    real: Proportion
    synthetic: Proportion


@dataclass(frozen=True, slots=True)
class Study:
    """A blinded study: each reader's accuracy, and the agreement of every two."""

    name: str
    readers: tuple[Accuracy, ...]
    agreements: tuple[Agreement, ...]


def proportion(hits: int, total: int) -> Proportion:
    """A share with Wilson's score interval (Wilson 1927, JASA 22:209), which holds for few images too.

    >>> found = proportion(8, 10)
    >>> round(found.low, 3), round(found.high, 3)
    (0.49, 0.943)
    """
    if not total:
        return Proportion(0, 0, 0.0, 1.0)
    from scipy.stats import binomtest

    interval = binomtest(hits, total).proportion_ci(method="wilson")
    return Proportion(hits, total, float(interval.low), float(interval.high))


def agreement(first: Mapping[str, str], second: Mapping[str, str], readers: tuple[str, str]) -> Agreement:
    """Cohen's kappa (1960) over the images in both, with the large-sample interval of Fleiss, Cohen and Everitt.

    Psychological Bulletin 72:323 (1969). The interval is cut at -1 and 1.

    >>> agreement({"a": "real", "b": "synthetic"}, {"a": "real", "b": "synthetic", "c": "real"}, ("A", "B")).kappa
    1.0
    """
    both = sorted(first.keys() & second.keys())
    one, two = [first[image] for image in both], [second[image] for image in both]
    if len({*one}) < 2 and len({*two}) < 2:
        return Agreement(readers, len(both), None, None, None)
    from sklearn.metrics import cohen_kappa_score, confusion_matrix

    kappa = float(cohen_kappa_score(one, two))
    error = _kappa_error(confusion_matrix(one, two))
    if not error > 0:
        return Agreement(readers, len(both), kappa, None, None)
    return Agreement(readers, len(both), kappa, max(-1.0, kappa - _Z * error), min(1.0, kappa + _Z * error))


def studies(readings: Iterable[Reading]) -> list[Study]:
    """All studies in the order of their first answer; of a reader's answers on one image the latest counts."""
    latest: dict[str, dict[str, dict[str, Reading]]] = {}
    for reading in readings:
        latest.setdefault(reading.study, {}).setdefault(reading.reader, {})[reading.image] = reading
    return [_study(name, by_reader) for name, by_reader in latest.items()]


def _study(name: str, by_reader: Mapping[str, Mapping[str, Reading]]) -> Study:
    given = {
        reader: {image: reading for image, reading in answers.items() if reading.answer is not None}
        for reader, answers in by_reader.items()
    }
    answers = {
        reader: {image: str(reading.answer) for image, reading in readings.items()}
        for reader, readings in given.items()
    }
    pairs = combinations(answers, 2)
    return Study(
        name,
        tuple(_accuracy(reader, list(readings.values())) for reader, readings in given.items()),
        tuple(agreement(answers[one], answers[two], (one, two)) for one, two in pairs),
    )


def _accuracy(reader: str, readings: Sequence[Reading]) -> Accuracy:
    def right(some: Sequence[Reading]) -> Proportion:
        return proportion(sum(reading.answer == reading.truth for reading in some), len(some))

    real, synthetic = ([each for each in readings if each.truth == truth] for truth in ("real", "synthetic"))
    return Accuracy(reader, right(readings), right(real), right(synthetic))


def _kappa_error(counts: npt.NDArray[np.float64]) -> float:
    """The standard error of kappa from how often each pair of answers was given, (k, k)."""
    total = counts.sum()
    shares = counts / total
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = np.trace(shares), rows @ columns
    agreed = np.diag(shares) @ ((1 - expected) - (rows + columns) * (1 - observed)) ** 2
    apart = shares * (columns[:, None] + rows[None, :]) ** 2
    disagreed = (1 - observed) ** 2 * (apart.sum() - np.trace(apart))
    variance = agreed + disagreed - (observed * expected - 2 * expected + observed) ** 2
    return math.sqrt(max(0.0, float(variance)) / total) / float(1 - expected) ** 2
