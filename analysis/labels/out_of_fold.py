"""What classifiers say of images whose patients they have not seen."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from analysis.data.array_cache import Arrays, cached_arrays, key_of, remove_oldest
from analysis.data.images import Greys
from analysis.data.targets import Targets, has_several, strata
from analysis.vision.classifier import ClassifierSettings, train_classifier
from balancer import __version__

Numbers = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]
_KEPT = 20  # folds of the last runs


def out_of_fold(
    greys: Greys,
    targets: Targets,
    groups: Numbers,
    classes: Sequence[str],
    settings: ClassifierSettings,
    folds: int,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Probabilities:
    """(N, C) probabilities of the classes for (N, side, side) images, each by a classifier without its patient.

    `targets` are (N,) numbers of classes, or (N, C) marks of findings. `groups` number the patients. Each fold has its
    share of the patients of every class or label set. What a fold says is kept in the folder `cache` as soon as it is
    known: stopped, the same call goes on with the next fold.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    found = np.zeros((len(targets), len(classes)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # its patients are spread as far as they go
        dealt = list(
            StratifiedGroupKFold(folds, shuffle=True, random_state=settings.seed).split(greys, strata(targets), groups)
        )
    arrays: tuple[npt.NDArray[Any], ...] = (greys, targets, groups)
    key = key_of(__version__, torch.__version__, asdict(settings), list(classes), *[_digest(each) for each in arrays])
    for fold, (learned, judged) in enumerate(dealt):

        def say(fold: int = fold, learned: Numbers = learned, judged: Numbers = judged) -> Arrays:
            classifier = train_classifier(
                *(greys, targets[learned], classes, settings),
                rows=learned.astype(np.int64),
                progress=lambda done, total: progress(fold * total + done, folds * total),
            )
            return {"probabilities": classifier.probabilities(greys[judged])}

        found[judged] = cached_arrays(cache / f"labels-{key}-{fold}-{folds}.npz", say)["probabilities"]
    remove_oldest(cache, "labels-*.npz", keep=max(folds, _KEPT))
    scaled: Probabilities = found if has_several(targets) else found / found.sum(axis=1, keepdims=True)
    return scaled


def _digest(array: npt.NDArray[Any]) -> str:
    """A hash of the numbers and of their shape."""
    return hashlib.sha256(repr((array.shape, array.dtype.str)).encode() + array.tobytes()).hexdigest()
