"""Which two arms a comparison judges: named beforehand, or the synthetic one chosen where validation can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.comparison.inference.metrics import measure, metric_names
from analysis.comparison.inputs.study import Outcomes
from analysis.data.minimums import RARE_VALIDATION_PATIENTS
from analysis.data.targets import lacking


@dataclass(frozen=True, slots=True)
class Selection:
    """The baseline and the synthetic arm of the verdict, and how these two came to be it.

    `validation` is the primary endpoint of every arm there, the mean over seeds; of folds, the mean over these too.
    """

    baseline: str
    synthetic: str | None
    validation: Mapping[str, float]
    sentence: str = ""
    folds: int = 0


def choose(
    validation: Outcomes | Sequence[Outcomes],
    baseline: str,
    synthetic: Sequence[str],
    arms: Sequence[str],
    primary: str,
) -> Selection:
    """The arms of the verdict; nothing is said of the test split.

    `synthetic` are the arms that were asked for. Where there are several, the best on validation is taken if enough
    patients of the rare class are there, else the first. Folds never choose: who validates in one is tested in another.
    """
    means, folds = _means(validation, arms, primary), 0 if isinstance(validation, Outcomes) else len(validation)
    if len(synthetic) < 2:
        return Selection(baseline, next(iter(synthetic), None), means, "Both arms were named beforehand.", folds)
    patients = rare_patients(validation) if isinstance(validation, Outcomes) else 0
    asked = ", ".join(synthetic)
    if patients < RARE_VALIDATION_PATIENTS:
        few = f"choosing needs {RARE_VALIDATION_PATIENTS} validation patients of the class and a single split"
        return Selection(baseline, synthetic[0], means, f"The first of {asked} is judged: {few}.", folds)
    best = best_of(means, synthetic) or synthetic[0]
    return Selection(baseline, best, means, f"{best} was chosen from {asked}, on {patients} validation patients.")


def rare_patients(part: Outcomes) -> int:
    """The number of patients with an image of the rare class."""
    return len(np.unique(part.groups[part.judged]))


def side_below(part: Outcomes, least: int) -> tuple[int, str] | None:
    """How many patients have the rare class, or another, where that is fewer than `least`, and which; else None."""
    others = len(np.unique(part.groups[lacking(part.targets, part.classes.index(part.rare))]))
    sides = ((rare_patients(part), part.rare), (others, f"no {part.rare}" if part.has_several else "another class"))
    return next(((count, name) for count, name in sides if count < least), None)


def best_of(means: Mapping[str, float], order: Sequence[str]) -> str | None:
    """The arm with the largest mean; of equals the first in order.

    >>> best_of({"real": 0.5, "crt": 0.5, "oversampling": 0.4}, ["real", "crt"])
    'real'
    """
    usable = [arm for arm in order if not np.isnan(means[arm])]
    return max(usable, key=lambda arm: means[arm], default=None)


def pooled(folds: Sequence[Outcomes]) -> Outcomes:
    """What was said of the parts of all folds, one after the other, the same seeds in each; each keeps its fold."""
    return Outcomes(
        folds[0].classes,
        folds[0].rare,
        np.concatenate([each.targets for each in folds]),
        np.concatenate([each.groups for each in folds]),
        pd.concat([each.attributes for each in folds], ignore_index=True),
        {arm: np.concatenate([each.probabilities[arm] for each in folds], axis=1) for arm in folds[0].probabilities},
        np.repeat(np.arange(len(folds)), [len(each.targets) for each in folds]),
        tuple(path for each in folds for path in each.paths),
    )


def _means(validation: Outcomes | Sequence[Outcomes], arms: Sequence[str], primary: str) -> dict[str, float]:
    parts = [validation] if isinstance(validation, Outcomes) else validation
    found = [_mean_of(each, arms, primary) for each in parts if len(each.targets)]
    return {arm: _mean([each[arm] for each in found]) for arm in arms}


def _mean_of(part: Outcomes, arms: Sequence[str], primary: str) -> dict[str, float]:
    place = metric_names(part.classes, part.has_several).index(primary)
    return {
        arm: _mean([float(measure(each, part.targets)[place, 0]) for each in part.probabilities[arm]]) for arm in arms
    }


def _mean(values: Sequence[float]) -> float:
    known = [each for each in values if not np.isnan(each)]
    return float(np.mean(known)) if known else float("nan")
