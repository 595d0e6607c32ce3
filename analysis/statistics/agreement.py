"""How well readers told real from synthetic, and how well they agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType

import numpy as np

from analysis.statistics.clustered_share import clustered_wilson
from analysis.statistics.intervals import Flags, Groups, group_numbers
from balancer.jobs import BlindedAnswer

NOBODY: Mapping[str, str] = MappingProxyType({})
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


def proportion(hits: Sequence[bool], patients: Sequence[str]) -> Proportion:
    """A share with Wilson's interval, which holds for few images too, for as many as they are worth by patient.

    >>> found = proportion([True] * 8 + [False] * 2, [str(number) for number in range(10)])
    >>> found.hits, round(found.low, 3), round(found.high, 3)
    (8, 0.49, 0.943)
    """
    found = clustered_wilson(np.array(hits, bool), group_numbers(list(patients)))
    return Proportion(sum(hits), len(hits), found.low, found.high)


def agreement(
    first: Mapping[str, str],
    second: Mapping[str, str],
    readers: tuple[str, str],
    patients: Mapping[str, str] = NOBODY,
) -> Agreement:
    """Cohen's kappa (1960) over the images in both; its error is a jackknife over patients (Miller 1974).

    `patients` names the patient of an image; one that it does not know is a patient of its own. The interval is cut at
    -1 and 1.

    >>> agreement({"a": "real", "b": "synthetic"}, {"a": "real", "b": "synthetic", "c": "real"}, ("A", "B")).kappa
    1.0
    """
    both = sorted(first.keys() & second.keys())
    one, two = [first[image] for image in both], [second[image] for image in both]
    if len({*one}) < 2 and len({*two}) < 2:
        return Agreement(readers, len(both), None, None, None)
    pairs = np.array([[answer == min(*one, *two) for answer in answers] for answers in (one, two)])
    kappa = _kappa(pairs)
    error = _jackknife_error(pairs, group_numbers([patients.get(image, image) for image in both]))
    if not error > 0:
        return Agreement(readers, len(both), kappa, None, None)
    return Agreement(readers, len(both), kappa, max(-1.0, kappa - _Z * error), min(1.0, kappa + _Z * error))


def studies(readings: Iterable[BlindedAnswer], patients: Mapping[str, str] = NOBODY) -> list[Study]:
    """All studies in the order of their first answer; of a reader's answers on one image the latest counts.

    `patients` names the patient of an image: images of one resemble each other, and count for less.
    """
    latest: dict[str, dict[str, dict[str, BlindedAnswer]]] = {}
    for reading in readings:
        latest.setdefault(reading.study, {}).setdefault(reading.reader, {})[reading.image] = reading
    return [_study(name, by_reader, patients) for name, by_reader in latest.items()]


def _study(name: str, by_reader: Mapping[str, Mapping[str, BlindedAnswer]], patients: Mapping[str, str]) -> Study:
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
        tuple(_accuracy(reader, list(readings.values()), patients) for reader, readings in given.items()),
        tuple(agreement(answers[one], answers[two], (one, two), patients) for one, two in pairs),
    )


def _accuracy(reader: str, readings: Sequence[BlindedAnswer], patients: Mapping[str, str]) -> Accuracy:
    def right(some: Sequence[BlindedAnswer]) -> Proportion:
        hits = [reading.answer == reading.truth for reading in some]
        return proportion(hits, [patients.get(reading.image, reading.image) for reading in some])

    real, synthetic = ([each for each in readings if each.truth == truth] for truth in ("real", "synthetic"))
    return Accuracy(reader, right(readings), right(real), right(synthetic))


def _kappa(pairs: Flags) -> float:
    """Cohen's kappa of (2, N) answers of two kinds."""
    agreed, (one, other) = float((pairs[0] == pairs[1]).mean()), pairs.mean(axis=1)
    expected = float(one * other + (1 - one) * (1 - other))
    return (agreed - expected) / (1 - expected) if expected < 1 else math.nan


def _jackknife_error(pairs: Flags, groups: Groups) -> float:
    """The standard error of kappa from leaving each patient out in turn; 0 where it never changes."""
    left = np.array([_kappa(pairs[:, groups != patient]) for patient in np.unique(groups)])
    left = left[~np.isnan(left)]
    return math.sqrt((len(left) - 1) / len(left) * float(np.square(left - left.mean()).sum())) if len(left) else 0.0
