"""What classifiers say of images whose patients they have not seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from analysis.data.images import Greys
from analysis.vision.classifier import ClassifierSettings, train_classifier

Numbers = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]


def out_of_fold(
    greys: Greys,
    targets: Numbers,
    groups: Numbers,
    classes: Sequence[str],
    settings: ClassifierSettings,
    folds: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Probabilities:
    """(N, C) probabilities of the classes for (N, side, side) images, each by a classifier without its patient.

    `groups` number the patients. Each fold has its share of the patients of every class.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    found = np.zeros((len(targets), len(classes)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # its patients are spread as far as they go
        dealt = list(
            StratifiedGroupKFold(folds, shuffle=True, random_state=settings.seed).split(greys, targets, groups)
        )
    for fold, (learned, judged) in enumerate(dealt):
        classifier = train_classifier(
            *(greys, targets[learned], classes, settings),
            rows=learned.astype(np.int64),
            progress=lambda done, total, fold=fold: progress(fold * total + done, folds * total),  # type: ignore[misc]
        )
        found[judged] = classifier.probabilities(greys[judged])
    scaled: Probabilities = found / found.sum(axis=1, keepdims=True)
    return scaled
