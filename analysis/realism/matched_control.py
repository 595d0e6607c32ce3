"""Classifiers that have seen synthetic images, each with a control that differs in nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.data.balanced_folder import Images, TrainingImagesByClass
from analysis.data.images import decode
from analysis.data.minimums import ADVISED_SEEDS
from analysis.realism.shortcut_reliance import minority_classes
from analysis.statistics.intervals import group_numbers
from analysis.vision.classifier import Classifier, ClassifierSettings, train_classifier

Progress = Callable[[str, int, int], None]
Numbers = npt.NDArray[np.int64]

_KEPT_OUT = 4  # every fourth patient of the synthetic images is not trained on
_WIDTH = 16


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """`side` is the training size in pixels; `most` images of a kind are looked at closely, drawn by patient.

    `seeds` classifiers and as many controls are trained for `steps` each.
    """

    side: int = 64
    steps: int = 300
    seeds: int = ADVISED_SEEDS
    permutations: int = 399
    most: int = 400
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Pairs:
    """For each seed a classifier of real and synthetic images and its control; synthetic images that neither saw."""

    classifiers: tuple[tuple[Classifier, Classifier], ...]
    kept_out: Mapping[str, Images]


def train_pairs(merged: TrainingImagesByClass, settings: ProbeSettings, progress: Progress) -> Pairs:
    """Train both for every seed, at the same class counts: the control has real images again and again instead.

    Synthetic images are kept out of both where majority and minority have some, so that they can be looked at.

    Raises:
        ImageError: a file cannot be decoded.
    """
    kept_out = _kept_out(merged, settings.seed)
    trained_on = {label: _without(merged.synthetic[label], kept_out.get(label, Images())) for label in merged.labels}
    kinds = [
        [(path, number) for number, label in enumerate(merged.labels) for path in kind[label].paths]
        for kind in (merged.real, trained_on)
    ]
    pairs = [*kinds[0], *kinds[1]]
    greys = decode([path for path, _ in pairs], settings.side, lambda done, total: progress("Reading", done, total))
    targets = np.array([number for _, number in pairs], np.int64)
    n_real, found = len(kinds[0]), []
    for place in range(settings.seeds):
        training = ClassifierSettings(
            steps=settings.steps, width=_WIDTH, seed=settings.seed + place, device=settings.device
        )
        rows = (np.arange(len(targets)), duplicated(targets, n_real, settings.seed + place))
        both = []
        for what, some in zip(("Training", "Training the control"), rows, strict=True):
            name = f"{what}, seed {place + 1} of {settings.seeds}"
            show = lambda done, total, name=name: progress(name, done, total)  # noqa: E731
            both.append(train_classifier(greys, targets[some], merged.labels, training, rows=some, progress=show))
        found.append((both[0], both[1]))
    return Pairs(tuple(found), kept_out)


def duplicated(targets: Numbers, n_real: int, seed: int) -> Numbers:
    """Places of the first `n_real` images, each repeated until its class has as many as in all of `targets`.

    What does not divide is drawn without replacement. A class without a real image has none.

    >>> duplicated(np.array([0, 0, 1, 1, 1, 1]), 3, 0).tolist()
    [0, 1, 2, 2, 2, 2]
    """
    rng, found = np.random.default_rng(seed), []
    for number in np.unique(targets[:n_real]):
        mine, wanted = np.flatnonzero(targets[:n_real] == number), int((targets == number).sum())
        whole, rest = divmod(wanted, len(mine))
        found += [np.repeat(mine, whole), rng.permutation(mine)[:rest]]
    return np.concatenate(found)


def _kept_out(merged: TrainingImagesByClass, seed: int) -> dict[str, Images]:
    sides = [merged.largest, *minority_classes(merged)]
    if not len(merged.synthetic[merged.largest]) or not any(len(merged.synthetic[label]) for label in sides[1:]):
        return {}
    return {label: _quarter(merged.synthetic[label], seed) for label in sides}


def _quarter(images: Images, seed: int) -> Images:
    if not len(images):
        return images
    numbers = group_numbers(list(images.groups))
    order = np.random.default_rng(seed).permutation(int(numbers.max()) + 1)
    return images.some(np.flatnonzero(order[numbers] % _KEPT_OUT == 0).tolist())


def _without(images: Images, others: Images) -> Images:
    gone = set(others.paths)
    return images.some([place for place, path in enumerate(images.paths) if path not in gone])


def joined(some: Sequence[Images]) -> Images:
    """Images of several classes, one after the other."""
    return Images(
        tuple(path for each in some for path in each.paths), tuple(group for each in some for group in each.groups)
    )
