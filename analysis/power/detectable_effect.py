"""What a test set could show at all: the smallest difference between two arms, worked out before a GPU hour is spent.

The unit is the patient: images of one patient resemble each other, and count for less than as many patients do.
What cannot be known beforehand is assumed, and said: `Assumptions`.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from analysis.power.text import assumptions_in_words, notes, out_of_fold_sentence, recall_sentence, sentence
from balancer.errors import PlanError, SplitError

if TYPE_CHECKING:
    import pandas as pd

    from balancer.collection.scan import Collection
    from balancer.splits.split import Split

FEWEST = 6
"""Of five patients even all five better is not significant (sign test, two-sided: p = 2 / 2**5 = 0.06)."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is assumed of the two arms, and asked of the test.

    The reference tells the class from all others with an area under the ROC curve of `auroc`; scores of the two arms
    for one image correlate by `correlation`, those of one arm for two images of a patient by `resemblance`; the arms
    disagree on `discordant` of the class's images (a range, which fits the correlation where recall is about half).
    """

    auroc: float = 0.85
    correlation: float = 0.7
    resemblance: float = 0.5
    discordant: tuple[float, float] = (0.2, 0.3)
    power: float = 0.8
    level: float = 0.05

    @property
    def errors(self) -> float:
        """How many standard errors a difference must be.

        >>> round(Assumptions().errors, 2)
        2.8
        """
        normal = NormalDist()
        return normal.inv_cdf(1 - self.level / 2) + normal.inv_cdf(self.power)


USUAL = Assumptions()


@dataclass(frozen=True, slots=True)
class Sample:
    """What is tested: how many images each patient has of the class, and how many each has of others."""

    rare: tuple[int, ...]
    others: tuple[int, ...]

    @classmethod
    def of(cls, labels: pd.Series, patients: pd.Series, label: str) -> Sample:
        """From the label and the patient of each test image."""
        mine = labels == label
        sizes = (patients[which].value_counts().tolist() for which in (mine, ~mine))
        return cls(*map(tuple, sizes))

    @property
    def images(self) -> int:
        """Test images of the class."""
        return sum(self.rare)


@dataclass(frozen=True, slots=True)
class Way:
    """One way of testing, and what it can show of the class; `None` where it can show nothing.

    `images` and `patients` are those of the class, `base` is the AUPRC that the reference has by assumption. `auprc` is
    the smallest difference that shows, `recall` the same for the least and the most disagreement. `needed` patients
    of the class show the wanted difference of AUPRC, `needed_recall` that of recall, if all classes grow alike.
    """

    images: int
    patients: int
    prevalence: float
    base: float | None = None
    auprc: float | None = None
    recall: tuple[float, float] | None = None
    needed: int | None = None
    needed_recall: int | None = None


@dataclass(frozen=True, slots=True)
class Power:
    """The smallest differences that can be shown of one class, on the stored test part and by cross-fitting."""

    label: str
    difference: float
    one_split: Way
    cross_fitted: Way | None
    folds: int
    patients_known: bool = True
    assumed: Assumptions = USUAL

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        return sentence(self)

    @property
    def as_json(self) -> dict[str, Any]:
        """For a program."""
        words = {"notes": notes(self), "assumptions": assumptions_in_words(self)}
        return {"sentence": self.sentence, **asdict(self), **words}

    @property
    def out_of_fold_json(self) -> dict[str, Any]:
        """The same for a program that tests out of fold: words speak of cross-fitting alone."""
        if self.cross_fitted is None:
            return self.as_json
        told = notes(replace(self, one_split=self.cross_fitted))
        return {**self.as_json, "sentence": out_of_fold_sentence(self), "notes": told}


def power(sample: Sample, difference: float = 0.05, assumed: Assumptions = USUAL, seed: int = 0) -> Way:
    """What one test set can show of its rare class.

    >>> found = power(Sample((1,) * 60, (1,) * 540))
    >>> found.patients, [round(each, 2) for each in found.recall]
    (60, [0.16, 0.2])
    """
    images, patients = sample.images, len(sample.rare)
    way = Way(images, patients, images / max(1, images + sum(sample.others)))
    if patients < FEWEST:
        return way
    if sample.others:
        way = _with_auprc(way, sample, difference, assumed, seed)
    needed = _patients_for_recall(sample, difference, assumed)
    return replace(way, recall=recall_difference(sample, assumed), needed_recall=needed)


def _with_auprc(way: Way, sample: Sample, difference: float, assumed: Assumptions, seed: int) -> Way:
    """The same with the smallest difference of AUPRC, by simulation; errors fall with the root of the patients."""
    from analysis.power.simulation import simulate

    spread = simulate(sample.rare, sample.others, assumed.auroc, assumed.correlation, assumed.resemblance, seed)
    error, needed = spread.error_of(difference), None
    if error is not None:
        needed = max(FEWEST, math.ceil(way.patients * (assumed.errors * error / difference) ** 2))
    return replace(way, base=spread.base, auprc=spread.smallest(assumed.errors), needed=needed)


def recall_difference(sample: Sample, assumed: Assumptions = USUAL) -> tuple[float, float] | None:
    """The smallest difference of recall, at the least and the most disagreement; `None` where there is none.

    Paired proportions (McNemar 1947): errors * sqrt(discordant / n), of n images over their design effect.

    >>> [round(each, 2) for each in recall_difference(Sample((1,) * 12, ()))]
    [0.36, 0.44]
    """
    if len(sample.rare) < FEWEST:
        return None
    count = sample.images / design_effect(sample.rare, assumed.resemblance)
    low, high = (assumed.errors * math.sqrt(share / count) for share in assumed.discordant)
    return (low, high) if high < 1 else None


def _patients_for_recall(sample: Sample, difference: float, assumed: Assumptions) -> int:
    """The same the other way round, at the middle of the disagreement."""
    images = sum(assumed.discordant) / 2 * (assumed.errors / difference) ** 2
    effect = design_effect(sample.rare, assumed.resemblance)
    return max(FEWEST, math.ceil(images * effect * len(sample.rare) / sample.images))


def design_effect(sizes: Sequence[int], resemblance: float) -> float:
    """By how much images of the same patients count for less: 1 + (m - 1) * resemblance (Kish 1965).

    m is the number of images of a patient, averaged over images.

    >>> design_effect([1, 1, 1], 0.5), design_effect([3, 3], 0.5)
    (1.0, 2.0)
    """
    return 1 + (sum(size * size for size in sizes) / sum(sizes) - 1) * resemblance


def measure_power(
    collection: Collection,
    split: Split,
    label: str | None = None,
    difference: float = 0.05,
    *,
    command: str = "balance power",
) -> Power:
    """What the stored test part, and every fold tested once, can show of a class (default: the rarest in training).

    `command` is the one that asks: what is advised begins with it.

    Raises:
        PlanError: no such class, or a difference that is no share.
        SplitError: the class is not in training, or there is nothing of it to test on.
    """
    if not 0 < difference < 1:
        advice = "use, for example: balance power --difference 0.05"
        raise PlanError(needed="a difference between 0 and 1", found=f"--difference {difference:g}", next_step=advice)
    label = _require_class(collection, split, label, command)
    one, crossed = _samples(collection, split, label)
    if not one.rare and crossed is None:
        raise _no_test_images(collection, split, label, command)
    return Power(
        label,
        difference,
        power(one, difference),
        None if crossed is None else power(crossed, difference),
        split.fold_count,
        bool(collection.images["patient"].notna().all()),
    )


def recall_line(collection: Collection, split: Split) -> str:
    """One line on the recall of the rarest class, at once; empty where there is no test part."""
    label = rarest(collection, split)
    if label is None or not (split.parts == "test").any():
        return ""
    one, crossed = _samples(collection, split, label)
    known = bool(collection.images["patient"].notna().all())
    ways = [(each.images, len(each.rare), recall_difference(each)) for each in (one, crossed) if each is not None]
    return recall_sentence(label, ways, known)


def rarest(collection: Collection, split: Split) -> str | None:
    """The class with the fewest training images, one at least: that of the primary endpoint; `None` without any."""
    from balancer.splits.split import training_counts

    counts = {label: count for label, count in training_counts(collection, split).items() if count}
    return min(counts, key=lambda label: counts[label]) if counts else None


def _samples(collection: Collection, split: Split, label: str) -> tuple[Sample, Sample | None]:
    """The stored test part, and all images where there are folds."""
    from balancer.splits.groups import stay_together

    labels, patients = collection.images["label"], stay_together(collection)
    tested = split.paths("test")
    one = Sample.of(labels.loc[tested], patients.loc[tested], label)
    return one, Sample.of(labels, patients, label) if split.fold_count else None


def _require_class(collection: Collection, split: Split, label: str | None, command: str) -> str:
    from balancer.splits.split import training_counts

    counts = training_counts(collection, split)
    chosen = rarest(collection, split) if label is None else label
    trained = [name for name, count in counts.items() if count]
    if chosen is None or chosen not in counts:
        raise PlanError(
            needed=f"a class of the collection: {', '.join(counts)}",
            found=f"{label!r} in --label",
            next_step=f"use, for example: {command} --label {shlex.quote(rarest(collection, split) or '')}",
        )
    if chosen not in trained:
        raise SplitError(
            needed=f"training images of {chosen}",
            found="none: no arm can learn it, so its recall is 0 in all of them, and nothing can be compared",
            next_step="train on some of its patients: balance split --splits FILE; or try "
            + _of_another(trained, command),
        )
    return chosen


def _no_test_images(collection: Collection, split: Split, label: str, command: str) -> SplitError:
    tested = set(collection.images.loc[split.paths("test"), "label"])
    still = f"; differences of {', '.join(sorted(tested))} can still be shown" if tested else ""
    advice = "to test on each of its patients: balance split --folds 5"
    return SplitError(
        needed=f"test images of {label}",
        found=f"none: the test part can show nothing of it{still}",
        next_step=f"{advice}; or judge another class: {_of_another(sorted(tested), command)}" if tested else advice,
    )


def _of_another(labels: Sequence[str], command: str) -> str:
    return f"{command} --label {shlex.quote(labels[0])}" if labels else "balance scan FOLDER"
