"""Is the comparison honest? `python -m tests.benchmarks.honesty [DIR] [--times 200]`.

Real data is compared with itself: random halves of the training patients are the "free" and the "synthetic" arm, on
frozen features with logistic regression, and a winner (helps or harms) is a false alarm. Then a positive control: held
back real images of the rare class, passed off as synthetic, and a negative one: the same with labels shuffled.
DIR holds real X-rays by class, perhaps in parts; features are those of a classifier that was trained on other patients
than those compared. Without DIR features are drawn: Gaussian by class, alike within a patient.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from analysis.comparison.inference.result import Comparison, Facts, NamedArms, conclude
from analysis.comparison.inputs.study import Outcomes
from tests.benchmarks.overview import PATIENT

SEEDS = 5
DRAWS = 400
KEPT = 0.1  # of the patients of the rare class, where the others are held back
CLASSES = ("A", "B", "RARE")


@dataclass(frozen=True, slots=True)
class Pool:
    """Features (N, D) of images, their classes and their patients; the last class is the rare one."""

    features: Any
    targets: Any
    groups: Any
    classes: tuple[str, ...] = CLASSES

    def some(self, which: Any) -> Pool:
        return replace(self, features=self.features[which], targets=self.targets[which], groups=self.groups[which])

    def drawn(self, share: float, chance: np.random.Generator) -> Any:
        """A share of the patients of each class; images flagged."""
        chosen = []
        for number in range(len(self.classes)):
            patients = np.unique(self.groups[self.targets == number])
            chosen += chance.permutation(patients)[: round(share * len(patients))].tolist()
        return np.isin(self.groups, chosen)


def drawn_pool(seed: int, patients: Sequence[int] = (300, 270, 120), width: int = 24) -> Pool:
    """Gaussian features by class, a patient's own deviation and one to three images each."""
    chance = np.random.default_rng(seed)
    centres = chance.normal(0, 1, (len(patients), width))
    centres *= 1.6 / np.linalg.norm(centres, axis=1, keepdims=True)
    of_patient = np.repeat(np.arange(len(patients)), patients)
    groups = np.repeat(np.arange(len(of_patient)), chance.integers(1, 4, len(of_patient)))
    own = chance.normal(0, 0.6, (len(of_patient), width))[groups]
    targets = of_patient[groups]
    return Pool(centres[targets] + own + chance.normal(0, 0.8, (len(groups), width)), targets, groups)


def xray_pool(folder: Path, side: int = 64, steps: int = 300, seed: int = 0) -> Pool:
    """Features of the patients of a folder that a quick classifier, trained on the other half of them, never saw."""
    from analysis.data.images import decode
    from analysis.statistics.intervals import group_numbers
    from analysis.vision.classifier import ClassifierSettings, train_classifier

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    labels = [path.parent.name for path in paths]
    classes = tuple(sorted(set(labels), key=lambda label: -labels.count(label)))
    patients = [found.group(1) if (found := re.search(PATIENT, path.name)) else path.name for path in paths]
    targets, groups = np.array([classes.index(label) for label in labels]), group_numbers(patients)
    greys = decode(paths, side)
    pool = Pool(greys, targets, groups, classes)
    seen = pool.drawn(0.4, np.random.default_rng(seed))
    settings = ClassifierSettings(steps=steps, sampling="balanced", seed=seed)
    network = train_classifier(greys[seen], targets[seen], classes, settings)
    features = PCA(32, whiten=True, random_state=0).fit_transform(network.features(greys[~seen]))
    return replace(pool.some(~seen), features=features)


def probabilities(train: Pool, unseen: Pool, weights: Any = None, balanced: bool = False) -> Any:
    """What logistic regression says of unseen images."""
    model = LogisticRegression(C=0.1, max_iter=300, class_weight="balanced" if balanced else None)
    return model.fit(train.features, train.targets, weights).predict_proba(unseen.features).astype(np.float32)


def compared(parts: Sequence[Pool], kinds: Any, train: Callable[[str, int, Pool], Any], seed: int) -> Comparison:
    """Arms trained by `train(arm, seed, unseen)`, judged on validation and test part."""
    first = len(parts[0].targets)
    unseen = replace(parts[0], features=np.concatenate([part.features for part in parts]))
    said = {arm: np.stack([train(arm, each, unseen) for each in range(SEEDS)]) for arm in kinds}
    outcomes = []
    for part, place in zip(parts, (slice(first), slice(first, None)), strict=True):
        probabilities = {arm: some[:, place] for arm, some in said.items()}
        unknown = pd.DataFrame(index=range(len(part.targets)))
        outcomes.append(Outcomes(part.classes, part.classes[-1], part.targets, part.groups, unknown, probabilities))
    baseline = next(arm for arm, kind in reversed(kinds.items()) if kind == "free")
    asked = NamedArms(baseline, [next(arm for arm, kind in kinds.items() if kind == "synthetic")])
    return conclude(*outcomes, kinds, Facts(), asked, times=DRAWS, seed=seed)


def with_itself(pool: Pool, seed: int, free: int = 1, synthetic: int = 1, same_halves: bool = False) -> Comparison:
    """Arms that are random halves of the same training patients: no arm is better than another.

    Each seed draws its halves anew, so that to have been given the luckier half is the luck of a seed. With
    `same_halves` every seed keeps them (and weights patients at random): then one half is truly better than the other.
    """
    train, *parts = _parts(pool, seed)
    kinds = {f"free-{number}": "free" for number in range(free)}
    kinds |= {f"synthetic-{number}": "synthetic" for number in range(synthetic)}
    places = {arm: place for place, arm in enumerate(kinds)}

    def learn(arm: str, each: int, unseen: Pool) -> Any:
        pair, side = divmod(places[arm], 2)
        drawn = np.random.default_rng([seed, pair, 0 if same_halves else each])
        half = train.drawn(0.5, drawn) ^ bool(side)
        weights = _patient_weights(train, [seed, places[arm], each])[half] if same_halves else None
        return probabilities(train.some(half), unseen, weights)

    return compared(parts, kinds, learn, seed)


def with_held_back(pool: Pool, seed: int, shuffled: bool = False) -> Comparison:
    """Most real images of the rare class are held back, then passed off as synthetic.

    Shuffled they come with as many of each other class, and none keeps its label: there is nothing right to learn.
    """
    train, *parts = _parts(pool, seed)
    rare, chance = len(pool.classes) - 1, np.random.default_rng([seed, 9])
    held = ~train.drawn(KEPT, chance) & (train.targets == rare)
    real, added = train.some(~held), train.some(held)
    if shuffled:
        others = [chance.choice(np.flatnonzero(train.targets == each), int(held.sum())) for each in range(rare)]
        added = train.some(np.concatenate([*others, np.flatnonzero(held)]))
        moved = added.targets + chance.integers(1, rare + 1, len(added.targets))
        added = replace(added, targets=moved % (rare + 1))
    mixed = replace(
        real,
        features=np.concatenate((real.features, added.features)),
        targets=np.concatenate((real.targets, added.targets)),
        groups=np.concatenate((real.groups, added.groups)),
    )

    def learn(arm: str, each: int, unseen: Pool) -> Any:
        mine = mixed if arm == "synthetic-all" else real
        weights = _patient_weights(train, [seed, each], pool)[np.searchsorted(np.unique(pool.groups), mine.groups)]
        return probabilities(mine, unseen, weights, balanced=arm == "class-weights")

    return compared(parts, {"real": "real", "class-weights": "free", "synthetic-all": "synthetic"}, learn, seed)


def count(runs: Iterator[Comparison]) -> Counter[str]:
    """How often each judgement fell."""
    return Counter(each.judgement for each in runs)


def _parts(pool: Pool, seed: int) -> tuple[Pool, Pool, Pool]:
    """Training, validation and test part, by patient."""
    chance = np.random.default_rng([seed, 7])
    train = pool.drawn(0.5, chance)
    rest = pool.some(~train)
    validation = rest.drawn(0.25, chance)
    return pool.some(train), rest.some(validation), rest.some(~validation)


def _patient_weights(train: Pool, seed: list[int], pool: Pool | None = None) -> Any:
    """A weight for each image of `train`, or for each patient of `pool` in order: the Bayesian bootstrap."""
    chance = np.random.default_rng(seed)
    numbers = np.unique(train.groups, return_inverse=True)[1]
    return (
        chance.exponential(1, len(np.unique(pool.groups)))
        if pool
        else chance.exponential(1, numbers.max() + 1)[numbers]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--times", type=int, default=200)
    asked = parser.parse_args()
    real = xray_pool(asked.folder) if asked.folder else None
    if real is not None:
        print(f"unseen by the network: {Counter(real.classes[each] for each in real.targets)}", flush=True)
    pool: Callable[[int], Pool] = lambda seed: real or drawn_pool(seed)  # noqa: E731
    experiments: dict[str, Callable[[int], Comparison]] = {
        "with itself (a winner at most 15 times in 200)": lambda seed: with_itself(pool(seed), seed),
        "with itself, best of 4 against best of 4": lambda seed: with_itself(pool(seed), seed, 4, 4),
        "positive control (helps)": lambda seed: with_held_back(pool(seed), seed),
        "negative control (harms or no use)": lambda seed: with_held_back(pool(seed), seed, shuffled=True),
        "with itself, the same halves for every seed (no promise)": lambda seed: with_itself(
            pool(seed), seed, same_halves=True
        ),
    }
    for number, (what, run) in enumerate(experiments.items()):
        began, times = time.monotonic(), asked.times if number == 0 else max(10, asked.times // 4)
        found = count(run(seed) for seed in range(times))
        winners = found["helps"] + found["harms"]
        print(f"{what}: winners {winners} of {times}; {dict(found)}; {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
