"""How often is the comparison wrong? `python -m tests.benchmarks.honesty [DIR] [WORD...] [--times N]`.

Real images are compared with themselves: random halves of the training patients are the baseline and the "synthetic"
arm, another half for each seed, so that no arm is better than the other and a winner is a false alarm. Then real images
of the rare class are held back and passed off as synthetic: "helps" must come as often as `power` says it does at the
difference that they make. Arms are trained, and judged, by the code of `balance compare`. Last, halves of one class are
probed like real and synthetic images.

DIR holds real X-rays by class, perhaps in parts; without it phantoms are drawn. Frozen features are those of networks,
one for each seed, that were trained on other patients than those compared. A line a figure; exits with 1 on a miss.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from analysis.comparison.inference.result import Comparison, Facts, NamedArms, conclude
from analysis.comparison.inputs.study import Outcomes
from analysis.comparison.training.arms import ARMS, Arm, Rows, Task
from analysis.comparison.training.frozen import Frozen
from analysis.comparison.training.networks import SmallNetwork
from analysis.comparison.training.training_spec import Backbone, Model, TrainingSpec, Watched
from analysis.data.endpoint import primary_endpoint
from analysis.power.sample import USUAL, Sample
from analysis.power.simulation import Simulation
from analysis.statistics.convergence import Course
from analysis.statistics.intervals import group_numbers
from analysis.vision.classifier import ClassifierSettings, train_classifier
from examples.phantoms import draw_radiograph
from tests.benchmarks.overview import PATIENT
from tests.benchmarks.rows import Row, print_rows
from tests.benchmarks.simulations_probe import alarms_of_halves

SEEDS, FEW_SEEDS = 5, 3  # of frozen features, and of networks
DRAWS = 400
KEPT = 0.25  # of the training patients of the rare class, where the others are held back
LONGEST = 1000  # steps of a network: fewer, and most comparisons of X-rays are withheld as not finished
SIDE = 32
CLASSES = ("A", "B", "RARE")
PATIENTS = (300, 270, 60)  # of each class, in each comparison
PHANTOMS = {"normal": 900, "cardiomegaly": 800, "nodule": 400}


@dataclass(frozen=True, slots=True)
class Pool:
    """What is seen of images with each seed, (S, N, ...) or (1, N, ...), their classes and patients; the last is rare.

    `backbone` trains on it.
    """

    seen: Any
    targets: Any
    groups: Any
    classes: tuple[str, ...] = CLASSES
    backbone: Backbone = Frozen(strengths=(20.0, 2.0))  # noqa: RUF009  # frozen

    def some(self, which: Any) -> Pool:
        return replace(self, seen=self.seen[:, which], targets=self.targets[which], groups=self.groups[which])

    def drawn(self, share: float, chance: np.random.Generator) -> Any:
        """A share of the patients of each class; images flagged."""
        return self._drawn([share] * len(self.classes), chance)

    def drawn_patients(self, counts: Sequence[int], chance: np.random.Generator) -> Pool:
        """So many patients of each class, at most."""
        there = [len(np.unique(self.groups[self.targets == each])) for each in range(len(self.classes))]
        shares = [min(1.0, count / size) for count, size in zip(counts, there, strict=True)]
        return self.some(self._drawn(shares, chance))

    def folds(self, count: int, chance: np.random.Generator) -> Any:
        """The fold of each image, (N,); each class is dealt evenly, by patient."""
        found = np.zeros(len(self.targets), np.int64)
        for number in range(len(self.classes)):
            patients = chance.permutation(np.unique(self.groups[self.targets == number]))
            for fold in range(count):
                found[np.isin(self.groups, patients[fold::count])] = fold
        return found

    def _drawn(self, shares: Sequence[float], chance: np.random.Generator) -> Any:
        chosen: list[int] = []
        for number, share in enumerate(shares):
            patients = np.unique(self.groups[self.targets == number])
            chosen += chance.permutation(patients)[: round(share * len(patients))].tolist()
        return np.isin(self.groups, chosen)


@dataclass(frozen=True, slots=True)
class Parts:
    """Rows of the images that train, validate and test."""

    train: Any
    validation: Any
    test: Any


Lesson = Callable[[Any, int, int], tuple[Arm, Rows, Mapping[str, Rows]]]
"""From the rows that train, a fold and a seed to how an arm is trained, on which real images, and what it adds."""


def drawn_pool(seed: int, patients: Sequence[int] = PATIENTS, width: int = 24, seeds: int = SEEDS) -> Pool:
    """Gaussian features by class, a patient's own deviation and one to three images each."""
    chance = np.random.default_rng(seed)
    centres = chance.normal(0, 1, (len(patients), width))
    centres *= 1.6 / np.linalg.norm(centres, axis=1, keepdims=True)
    of_patient = np.repeat(np.arange(len(patients)), patients)
    groups = np.repeat(np.arange(len(of_patient)), chance.integers(1, 4, len(of_patient)))
    own = chance.normal(0, 0.6, (len(of_patient), width))[groups]
    targets = of_patient[groups]
    image = centres[targets] + own + chance.normal(0, 0.8, (len(groups), width))
    return Pool(image + chance.normal(0, 0.2, (seeds, *image.shape)), targets, groups)


@cache
def image_pool(folder: Path | None) -> Pool:
    """Images of the class folders of a folder, or phantoms: one image each of drawn patients."""
    backbone = SmallNetwork(side=SIDE, batch_size=16, width=8)
    if folder is None:
        greys = [
            draw_radiograph(label, 1000 * place + number, 0, SIDE, 3)
            for place, (label, count) in enumerate(PHANTOMS.items())
            for number in range(count)
        ]
        targets = np.repeat(np.arange(len(PHANTOMS)), list(PHANTOMS.values()))
        return Pool(np.stack(greys)[None], targets, np.arange(len(targets)), tuple(PHANTOMS), backbone)
    from analysis.data.images import decode

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    labels = [path.parent.name for path in paths]
    classes = tuple(sorted(set(labels), key=lambda label: -labels.count(label)))
    patients = [found.group(1) if (found := re.search(PATIENT, path.name)) else path.name for path in paths]
    targets = np.array([classes.index(label) for label in labels])
    return Pool(decode(paths, SIDE)[None], targets, group_numbers(patients), classes, backbone)


@cache
def feature_pool(folder: Path | None, steps: int = 300) -> Pool:
    """Features of the patients of an image pool that quick networks, trained on others of its patients, never saw."""
    pool = image_pool(folder)
    seen, features = pool.drawn(0.4, np.random.default_rng(0)), []
    for seed in range(SEEDS):
        settings = ClassifierSettings(steps=steps, width=8, batch_size=32, sampling="balanced", seed=seed)
        network = train_classifier(pool.seen[0][seen], pool.targets[seen], pool.classes, settings)
        found = network.features(pool.seen[0][~seen])
        features.append((found - found.mean(axis=0)) / np.maximum(found.std(axis=0), 1e-6))
    return replace(pool.some(~seen), seen=np.stack(features), backbone=Frozen(strengths=(20.0, 2.0)))


def compared(
    pool: Pool,
    folds: Sequence[Parts],
    kinds: Mapping[str, Any],
    lessons: Mapping[str, Lesson],
    seeds: int,
    seed: int,
    longest: int = LONGEST,
) -> Comparison:
    """Arms trained by their lessons on each fold, and judged as `balance compare` judges; the first is the baseline.

    The next, if there is one, is the synthetic arm. A training that looks for its end takes `longest` steps at most.
    """
    validation, test, courses = [], [], {arm: list[Course]() for arm in kinds}
    for fold, parts in enumerate(folds):
        known = np.concatenate((parts.validation, parts.test))
        watched = Watched(parts.validation, pool.targets[parts.validation])
        steps = _steps(pool, lessons, parts, fold, watched, longest)
        said: dict[str, list[Any]] = {arm: [] for arm in kinds}
        for arm, each in ((arm, each) for arm in kinds for each in range(seeds)):
            model, course = _trained(pool, lessons[arm](parts.train, fold, each), watched, steps, each)
            said[arm].append(model.probabilities(pool.seen[each % len(pool.seen)][known]))
            courses[arm].append(course)
        half = len(parts.validation)
        for rows, part, found in ((parts.validation, slice(half), validation), (parts.test, slice(half, None), test)):
            found.append(_outcomes(pool, rows, {arm: np.stack(some)[:, part] for arm, some in said.items()}))
    baseline, *others = kinds
    asked = NamedArms(baseline, others[:1], courses=courses)
    one = len(folds) == 1
    return conclude(
        validation[0] if one else validation,
        test[0] if one else test,
        kinds,
        Facts(),
        asked,
        primary=primary_endpoint(pool.classes[-1]),
        times=DRAWS,
        seed=seed,
    )


def _outcomes(pool: Pool, rows: Any, probabilities: Mapping[str, Any]) -> Outcomes:
    unknown = pd.DataFrame(index=range(len(rows)))
    return Outcomes(pool.classes, pool.classes[-1], pool.targets[rows], pool.groups[rows], unknown, probabilities)


def _steps(pool: Pool, lessons: Mapping[str, Lesson], parts: Parts, fold: int, watched: Watched, longest: int) -> int:
    """Twice what the baseline takes to its plateau; a regression has no steps."""
    if not pool.backbone.rates:
        return 1
    lesson = next(iter(lessons.values()))(parts.train, fold, 0)
    return _trained(pool, lesson, replace(watched, to_plateau=True), longest, 0)[1].steps[-1]


def _trained(
    pool: Pool, lesson: tuple[Arm, Rows, Mapping[str, Rows]], watched: Watched, steps: int, seed: int
) -> tuple[Model, Course]:
    arm, real, added = lesson
    course = Course()

    def teach(spec: TrainingSpec) -> Model:
        nonlocal course
        model = pool.backbone.learn(pool.seen[seed % len(pool.seen)], replace(spec, watched=watched), lambda *_: None)
        course = course.then(model.course)
        return model

    assert arm.learn is not None
    return arm.learn(Task(pool.classes, real, added, steps, seed, "strong", teach)), course


def with_itself(pool: Pool, seed: int, folds: int = 1) -> Comparison:
    """Both arms learn from random halves of the same training patients, others with each seed."""
    arm = ARMS["strong-augmentation" if pool.backbone.rates else "class-weights"]

    def lesson(side: bool, train: Any, fold: int, each: int) -> tuple[Arm, Rows, Mapping[str, Rows]]:
        half = pool.some(train).drawn(0.5, np.random.default_rng([seed, fold, each])) ^ side
        return arm, Rows(train[half], pool.targets[train[half]]), {}

    kinds = {"one half": "free", "other half": "synthetic"}
    lessons = {"one half": partial(lesson, False), "other half": partial(lesson, True)}
    seeds = FEW_SEEDS if pool.backbone.rates else SEEDS
    return compared(pool, _parts(pool, seed, folds), kinds, lessons, seeds, seed)


def with_held_back(pool: Pool, seed: int, shuffled: bool = False) -> Comparison:
    """Most real images of the rare class are held back, then passed off as synthetic.

    Shuffled they come with as many of each other class, and none keeps its label: there is nothing right to learn.
    """
    (parts,) = _parts(pool, seed)
    rare, chance = len(pool.classes) - 1, np.random.default_rng([seed, 9])
    held = ~pool.some(parts.train).drawn(KEPT, chance) & (pool.targets[parts.train] == rare)
    real, added = _rows(pool, parts.train[~held]), _rows(pool, parts.train[held])
    if shuffled:
        train = parts.train
        others = [
            chance.choice(train[pool.targets[train] == each], int(held.sum()), replace=True) for each in range(rare)
        ]
        added = _rows(pool, np.concatenate([*others, train[held]]))
        moved = (added.targets + chance.integers(1, rare + 1, len(added))) % (rare + 1)
        added = Rows(added.rows, moved)
    kinds = {"class-weights": "free", "synthetic-all": "synthetic"}

    def lesson(arm: str, train: Any, fold: int, each: int) -> tuple[Arm, Rows, Mapping[str, Rows]]:
        return ARMS[arm], real, {"synthetic": added}

    return compared(pool, [parts], kinds, {arm: partial(lesson, arm) for arm in kinds}, SEEDS, seed)


def _rows(pool: Pool, rows: Any) -> Rows:
    return Rows(rows, pool.targets[rows])


def _parts(pool: Pool, seed: int, folds: int = 1) -> list[Parts]:
    """Training, validation and test rows by patient: of one split, or of folds of which the next one validates."""
    chance = np.random.default_rng([seed, 7])
    if folds > 1:
        fold = pool.folds(folds, chance)
        tests = [(np.flatnonzero(fold == each), np.flatnonzero(fold == (each + 1) % folds)) for each in range(folds)]
        return [Parts(np.setdiff1d(np.arange(len(fold)), [*test, *val]), val, test) for test, val in tests]
    train = pool.drawn(0.5, chance)
    rest = np.flatnonzero(~train)
    validation = pool.some(rest).drawn(0.25, chance)
    return [Parts(np.flatnonzero(train), rest[validation], rest[~validation])]


def count(runs: Iterable[Comparison]) -> Counter[str]:
    """How often each judgement fell."""
    return Counter(each.judgement for each in runs)


def fresh(pool: Pool, seed: int) -> Pool:
    """Patients drawn from the pool, others with each seed."""
    return pool.drawn_patients(PATIENTS, np.random.default_rng([seed, 5]))


# ---- the figures


def frozen_with_itself(folder: Path | None, times: int) -> Iterator[Row]:
    pool, found = feature_pool(folder), Counter[str]()
    for folds in (1, 5):
        some = count(with_itself(fresh(pool, seed), seed, folds) for seed in range(times // 2))
        print(f"  {folds} fold(s): {dict(some)}", flush=True)
        found += some
    yield from _false_alarms(f"{times} comparisons of real images with themselves, frozen, half in folds", found, times)


def networks_with_itself(folder: Path | None, times: int) -> Iterator[Row]:
    times = max(2, times // 10)
    pool, found = image_pool(folder), Counter[str]()
    for seed in range(times):
        found[_reason(with_itself(fresh(pool, seed), seed))] += 1
        print(f"  network {seed + 1} of {times}: {dict(found)}", flush=True)
    yield from _false_alarms(f"{times} comparisons of real images with themselves, networks", found, times, 3 / 20)


def _reason(found: Comparison) -> str:
    return f"{found.judgement}: not finished" if found.grounds.unfinished else str(found.judgement)


def _false_alarms(what: str, found: Counter[str], times: int, share: float = 0.05) -> Iterator[Row]:
    most = round(share * times)
    for wrong in ("helps", "harms"):
        told = f"{found[wrong]} {wrong!r} of {dict(found)}"
        yield Row(f"{what}: {wrong}", "no arm is better", told, f"at most {most}", found[wrong] <= most)


def held_back(folder: Path | None, times: int) -> Iterator[Row]:
    """The share of "helps" beside what `power` says at the mean difference; and at the assumptions met here."""
    pool, times = feature_pool(folder), max(10, times // 2)
    runs = [with_held_back(fresh(pool, seed), seed) for seed in range(times)]
    contrasts = [each.grounds.contrast for each in runs if each.grounds.contrast is not None]
    difference, share = float(np.mean([each.mean for each in contrasts])), count(runs)["helps"] / times
    base = float(np.mean([each.arms["class-weights"][f"auroc:{pool.classes[-1]}"].mean for each in runs]))
    one = fresh(pool, 0)
    (parts,) = _parts(one, 0)
    labels, patients = pd.Series(one.targets[parts.test]), pd.Series(one.groups[parts.test])
    sample = Sample.of(labels, patients, len(pool.classes) - 1)  # type: ignore[arg-type]
    simulation = Simulation(sample, USUAL)
    gain = simulation.gain_of(difference)
    said = 1.0 if gain is None else simulation.at(gain).helps(USUAL.level)
    told = f"helps in {share:.0%} of {times} (difference {difference:+.3f}, AUROC of the baseline {base:.2f})"
    what = f"held-back real images passed off as synthetic, {sample.patients} rare test patients"
    yield Row(what, f"power says {said:.0%}", told, "within 15 points", abs(share - said) <= 0.15)


def mislabelled(folder: Path | None, times: int) -> Iterator[Row]:
    pool, times = feature_pool(folder), max(10, times // 5)
    found = count(with_held_back(fresh(pool, seed), seed, shuffled=True) for seed in range(times))
    what = f"{times} comparisons with images of wrong labels"
    yield Row(what, "no use", f"{dict(found)}", "no 'helps'", not found["helps"])


def two_halves(folder: Path | None, times: int) -> Iterator[Row]:
    """Halves of one class; of X-rays other patients with each probe, one image each."""
    pool, most = image_pool(folder), round(0.025 * times)
    one = pool.some(pool.targets == 0)
    firsts = np.unique(one.groups, return_index=True)[1]

    def halves(number: int) -> Any:
        return one.seen[0][np.random.default_rng(number).permutation(firsts)[:60]]

    found = alarms_of_halves(times, halves)
    yield Row(f"{times} probes of two halves", "no difference", f"{found} alarms", f"at most {most}", found <= most)


EXPERIMENTS = (frozen_with_itself, held_back, mislabelled, networks_with_itself, two_halves)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line a figure; 1 if one missed its goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--only", nargs="*", default=(), metavar="WORD", help="experiments whose name contains it")
    parser.add_argument("--times", type=int, default=200)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    where = "X-rays" if asked.folder else "phantoms"
    print(f"{where}:", flush=True)
    return print_rows(EXPERIMENTS, asked.only, asked.folder, asked.times)


if __name__ == "__main__":
    sys.exit(main())
