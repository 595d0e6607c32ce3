"""What a test set could show at all: the smallest difference between two arms, worked out before a GPU hour is spent.

The unit is the patient: images of one patient resemble each other, and count for less than as many patients do.
What cannot be known beforehand is assumed, and said: `Assumptions`.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from analysis.data.endpoint import fitting_folds, known_labels, rarest_class
from analysis.data.minimums import RARE_TEST_PATIENTS
from analysis.power.sample import USUAL, Assumptions, Sample
from analysis.statistics.paired_proportions import detectable_difference, units_needed
from balancer.errors import PlanError, SplitError
from balancer.splits.fold_limit import folds_that_fit

if TYPE_CHECKING:
    from analysis.power.simulation import Simulation
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split

FEWEST = RARE_TEST_PATIENTS


@dataclass(frozen=True, slots=True)
class Way:
    """One way of testing, and the smallest differences of the class that it detects; `None` where it detects none.

    `images` and `patients` are those of the class, `base` is the AUPRC that the reference has by assumption. `auprc` is
    the smallest detectable difference, `recall` the same for the least and the most disagreement. `needed` patients
    of the class detect the wanted difference of AUPRC, `needed_recall` that of recall, if all classes grow alike.
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
    """The smallest detectable differences of one class, on the stored test split and by cross-fitting.

    `folds` are those of the stored split, `folds_that_fit` the number that the class is large enough for; 0 for none.
    """

    label: str
    difference: float
    one_split: Way
    cross_fitted: Way | None
    folds: int
    patients_known: bool = True
    assumed: Assumptions = USUAL
    folds_that_fit: int = 0


def power(sample: Sample, difference: float = 0.05, assumed: Assumptions = USUAL, seed: int = 0, folds: int = 1) -> Way:
    """What one test set, or all folds together, can detect of the class.

    >>> found = power(Sample((1,) * 60, (1,) * 540))
    >>> found.patients, [round(each, 2) for each in found.recall]
    (60, [0.16, 0.2])
    """
    way = Way(sample.images, sample.patients, sample.images / max(1, sample.images + sample.other_images))
    if way.patients < FEWEST:
        return way
    if sample.other_images:
        way = _with_auprc(way, sample, difference, assumed, seed, folds)
    needed = _patients_for_recall(sample, difference, assumed)
    return replace(way, recall=recall_difference(sample, assumed), needed_recall=needed)


def _with_auprc(way: Way, sample: Sample, difference: float, assumed: Assumptions, seed: int, folds: int) -> Way:
    """Add the smallest difference of AUPRC at which `compare` says "helps" as often as wanted."""
    from analysis.power.simulation import Simulation

    folds = folds_that_fit(way.patients, folds) or 1
    simulation = Simulation(sample, assumed, folds, seed)
    needed = _patients_for_auprc(simulation, difference, way.patients)
    return replace(way, base=simulation.base, auprc=simulation.smallest(), needed=needed)


def _patients_for_auprc(simulation: Simulation, difference: float, patients: int) -> int | None:
    """Patients who detect the difference; `None` where no arm can be so much better, or its seeds alone hide it.

    The variance of patients falls with their number, that of the seeds stays.
    """
    gain = simulation.gain_of(difference)
    if gain is None:
        return None
    assumed, seeds = simulation.assumed, simulation.seed_variance(gain)
    of_one = patients * (float((simulation.at(gain).errors ** 2).mean()) - seeds)
    left = (difference / assumed.errors(1e6)) ** 2 - seeds
    if left <= 0:
        return None
    needed = of_one / left
    for _ in range(3):  # the degrees of freedom hang on the number that is looked for
        needed = of_one / max(1e-12, (difference / assumed.errors(max(1, needed - 1))) ** 2 - seeds)
    return max(FEWEST, math.ceil(needed))


def recall_difference(sample: Sample, assumed: Assumptions = USUAL) -> tuple[float, float] | None:
    """The smallest detectable difference of recall, at the least and the most disagreement; `None` without any.

    By the exact paired test (`mcnemar_power`), of the images over their design effect. The arms disagree on no fewer
    images than they differ by.

    >>> [round(each, 2) for each in recall_difference(Sample((1,) * 12, ()))]
    [0.58, 0.58]
    """
    count = _independent(sample, assumed)
    if sample.patients < FEWEST or count < FEWEST:
        return None
    found = [detectable_difference(count, share, assumed.power, assumed.level) for share in assumed.discordant]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _patients_for_recall(sample: Sample, difference: float, assumed: Assumptions) -> int:
    """Patients needed to detect a difference of recall, at the middle of the assumed disagreement."""
    images = units_needed(difference, sum(assumed.discordant) / 2, assumed.power, assumed.level)
    return max(FEWEST, math.ceil(images * sample.patients / _independent(sample, assumed)))


def _independent(sample: Sample, assumed: Assumptions) -> int:
    """So many independent images as the images of the class are worth."""
    return math.floor(sample.images / design_effect(sample.rare_sizes, assumed.resemblance)) if sample.images else 0


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
    pooled: bool = False,
) -> Power:
    """What the stored test part, and every fold tested once, can show of a class (default: the rarest in training).

    Of findings the default is the rarest of enough test patients; `pooled`: in all folds together. `command` is the one
    that asks: what is advised begins with it.

    Raises:
        PlanError: no such class, or a difference that is no share.
        SplitError: the class is not in training, or there is nothing of it to test on.
    """
    if not 0 < difference < 1:
        advice = "use, for example: balance power --difference 0.05"
        raise PlanError(needed="a difference between 0 and 1", found=f"--difference {difference:g}", next_step=advice)
    label = _require_class(collection, split, label, command, pooled)
    one, crossed = samples_of(collection, split, label)
    if not one.patients and crossed is None:
        raise _no_test_images(collection, split, label, command)
    ways = _ways(collection, split, label, difference)
    assert ways["one_split"] is not None
    known = bool(collection.images["patient"].notna().all())
    fit = fitting_folds(collection, split, label)
    return Power(
        label, difference, ways["one_split"], ways["cross_fitted"], split.fold_count, known, folds_that_fit=fit
    )


def by_metric_and_class(
    collection: Collection, split: Split, difference: float = 0.05
) -> dict[str, dict[str, dict[str, Any]]]:
    """For each metric and each class the smallest detectable difference and the patients that `difference` takes.

    `{"auprc": {label: {"one_split": {"smallest": ..., "needed": ...}, "cross_fitted": ...}}, "recall": ...}`; `None`
    where nothing is detectable, and no entry for a class that is not trained on.
    """
    from balancer.splits.split import training_counts

    found: dict[str, dict[str, dict[str, Any]]] = {"auprc": {}, "recall": {}}
    for label, count in training_counts(collection, split).items():
        if count:
            ways = _ways(collection, split, label, difference)
            for metric, of_class in found.items():
                of_class[label] = {name: way and _figure(way, metric) for name, way in ways.items()}
    return found


def _figure(way: Way, metric: str) -> dict[str, Any]:
    smallest, needed = (way.auprc, way.needed) if metric == "auprc" else (way.recall, way.needed_recall)
    return {"images": way.images, "patients": way.patients, "smallest": smallest, "needed": needed}


def _ways(collection: Collection, split: Split, label: str, difference: float) -> dict[str, Way | None]:
    one, crossed = samples_of(collection, split, label)
    whole = None if crossed is None else power(crossed, difference, folds=split.fold_count)
    return {"one_split": power(one, difference), "cross_fitted": whole}


def samples_of(collection: Collection, split: Split, label: str) -> tuple[Sample, Sample | None]:
    """The stored test split, and all images where there are folds."""
    from balancer.splits.groups import stay_together

    labels, patients = known_labels(collection, label), stay_together(collection)
    tested, patients = split.paths("test").intersection(labels.index, sort=False), patients.loc[labels.index]
    one = Sample.of(labels.loc[tested], patients.loc[tested], label)
    return one, Sample.of(labels, patients, label) if split.fold_count else None


def _require_class(collection: Collection, split: Split, label: str | None, command: str, pooled: bool) -> str:
    from balancer.splits.split import training_counts

    counts = training_counts(collection, split)
    chosen = rarest_class(collection, split, pooled=pooled) if label is None else label
    what = "finding" if collection.is_multi_label else "class"
    trained = [name for name, count in counts.items() if count]
    if chosen is None or chosen not in counts:
        raise PlanError(
            needed=f"a {what} of the collection: {', '.join(counts)}",
            found=f"{label!r} in --label",
            next_step=f"use, for example: {command} --label {shlex.quote(rarest_class(collection, split) or '')}",
        )
    if chosen not in trained:
        raise SplitError(
            needed=f"training images of {chosen}",
            found=f"none: no arm can learn this {what}, so its recall is always 0, and nothing can be compared",
            next_step="use some of its patients for training: balance split --splits FILE; or try "
            + _of_another(trained, command),
        )
    return chosen


def _no_test_images(collection: Collection, split: Split, label: str, command: str) -> SplitError:
    sets, paths = collection.label_sets, split.paths("test")
    tested = set(collection.images.loc[paths, "label"])
    if sets is not None:
        tested = {name for name, count in sets.only(paths).counts().items() if count}
    still = f"; differences of {', '.join(sorted(tested))} can still be detected" if tested else ""
    folds = fitting_folds(collection, split, label)
    advice = [f"to test on all of its patients: balance split --folds {folds}"] if folds else []
    other = [f"choose another class: {_of_another(sorted(tested), command)}"] if tested else []
    return SplitError(
        needed=f"test images of {label}",
        found=f"none: the test split says nothing about this class{still}",
        next_step="; or ".join([*advice, *other]) or f"add images of {label}, then: balance scan FOLDER",
    )


def _of_another(labels: Sequence[str], command: str) -> str:
    return f"{command} --label {shlex.quote(labels[0])}" if labels else "balance scan FOLDER"
