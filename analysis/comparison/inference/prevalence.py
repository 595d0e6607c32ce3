"""AUPRC at another prevalence than that of the test split: it means what the class is common there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.comparison.inference.bootstrap import Estimate, Measured, draw_patients, estimate
from analysis.comparison.inputs.study import Outcomes
from analysis.data.endpoint import primary_endpoint
from analysis.statistics.average_precision import RankedFolds

OTHER = 1.5
"""The prevalence is another one from this ratio on."""


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The AUPRC of the rare class in each arm, as it would be at the prevalence of the training split."""

    prevalence: float
    arms: Mapping[str, Estimate]


def adjust(
    test: Outcomes, train: Mapping[str, int], arms: Iterable[str], patients: Mapping[str, int], times: int, seed: int
) -> Adjusted | None:
    """None where both splits have about the same prevalence, or one of them is unknown, and for findings.

    Precision is weighed as if there were as many images of other classes as in training (Bayes).
    """
    if test.has_several:  # each finding has a prevalence of its own, of the images that tell of it
        return None
    positive, total = test.judged, sum(train.values())
    wanted, here = train.get(test.rare, 0) / max(1, total), float(positive.mean()) if len(positive) else 0.0
    if not (0 < wanted < 1 and 0 < here < 1) or max(wanted / here, here / wanted) < OTHER:
        return None
    others = (1 - wanted) / wanted * here / (1 - here)
    draws = draw_patients(test.targets, test.groups, times, seed, test.folds)
    weights = np.concatenate((np.ones((len(draws), 1), np.float32), draws), axis=1)
    weights *= np.where(positive, 1.0, others).astype(np.float32)[:, None]
    name, rare = primary_endpoint(test.rare), test.classes.index(test.rare)
    found = {}
    for arm in arms:
        scores = test.probabilities[arm][..., rare]
        areas = np.stack([RankedFolds.of(each, positive, test.folds).areas(weights)[0] for each in scores])[None]
        measured = Measured((name,), areas[..., 0], areas[..., 1:])
        found[arm] = estimate(measured, patients, folds=test.fold_count)[name]
    return Adjusted(wanted, found)
