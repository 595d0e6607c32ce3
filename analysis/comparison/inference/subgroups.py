"""What an arm gains in each subgroup of patients: by sex, age group, view and site, from stored predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.comparison.inference.bootstrap import Estimate, Measured, draw_patients, estimate, holm
from analysis.data.minimums import SUBGROUP_PATIENTS
from analysis.statistics.average_precision import RankedFolds
from analysis.statistics.intervals import group_numbers

ATTRIBUTES = ("sex", "age_group", "view", "site")
_METRIC = "auprc:"


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One subgroup: its test images, the patients with and without the class, and the difference of the arms in AUPRC.

    `difference` is `None` where nothing can be said, and `left_out` says why; its `p_holm` counts all subgroups.
    """

    attribute: str
    value: str
    images: int
    patients: int
    others: int
    difference: Estimate | None = None
    left_out: str = ""


def subgroup_differences(
    predictions: pd.DataFrame,
    attributes: pd.DataFrame,
    label: str,
    score: str,
    arms: tuple[str, str],
    *,
    times: int = 1000,
    seed: int = 0,
) -> tuple[Subgroup, ...]:
    """The first of `arms` less the second, in every subgroup, with intervals and p-values by Holm (1979).

    `predictions` has a row for each image, arm and seed: `image`, `label` (the true class), `patient`, `arm`, `seed`,
    `fold`, and the probability of the class `label` in the column `score`. `attributes` is indexed by image and has
    some of `ATTRIBUTES`, missing where unknown; unknown ones are a subgroup of nobody. As in the comparison, patients
    are drawn again within strata, and areas are means within folds. A subgroup with few patients is named, not judged.

    Raises:
        ValueError: an arm has no predictions, or the arms were not asked about the same images by the same seeds.
    """
    wide = [_wide(predictions, arm, score) for arm in arms]
    if not wide[0].index.equals(wide[1].index) or not wide[0].columns.equals(wide[1].columns):
        raise ValueError(f"the same images and seeds for {arms[0]} and {arms[1]}")
    facts = predictions.drop_duplicates("image").set_index("image").loc[wide[0].index]
    found = [
        _measured(each, wide, facts, names, label, times, seed) if not each.left_out else each
        for each, names in _subgroups(facts, attributes, label)
    ]
    tested = {place: each.difference for place, each in enumerate(found) if each.difference is not None}
    corrected = holm({str(place): each.p_value for place, each in tested.items()})
    for place, difference in tested.items():
        found[place] = replace(found[place], difference=replace(difference, p_holm=corrected[str(place)]))
    return tuple(found)


def _wide(predictions: pd.DataFrame, arm: str, score: str) -> pd.DataFrame:
    """(images, seeds) scores of an arm."""
    mine = predictions[predictions["arm"] == arm]
    if mine.empty:
        raise ValueError(f"predictions of {arm!r}; there are those of {sorted(predictions['arm'].unique())}")
    return mine.pivot(index="image", columns="seed", values=score).sort_index()


def _subgroups(facts: pd.DataFrame, attributes: pd.DataFrame, label: str) -> Iterator[tuple[Subgroup, pd.Index]]:
    """Every subgroup with its images, those that are too small with the reason."""
    for attribute in (each for each in ATTRIBUTES if each in attributes):
        values = attributes[attribute].reindex(facts.index).dropna().astype(str)
        for value in sorted(values.unique()):
            names = values.index[values == value]
            mine = facts.loc[names]
            rare = mine["label"] == label
            patients, others = (int(mine.loc[which, "patient"].nunique()) for which in (rare, ~rare))
            group = Subgroup(attribute, value, len(names), patients, others)
            yield replace(group, left_out=_why_not(group, label, values.nunique())), names


def _why_not(group: Subgroup, label: str, values: int) -> str:
    if values < 2:
        return f"all images are {group.value}: that is the comparison itself"
    if min(group.patients, group.others) < SUBGROUP_PATIENTS:
        return (
            f"too few patients: {group.patients} with {label} and {group.others} without, "
            f"{SUBGROUP_PATIENTS} of each are needed"
        )
    return ""


def _measured(
    group: Subgroup,
    wide: list[pd.DataFrame],
    facts: pd.DataFrame,
    names: pd.Index,
    label: str,
    times: int,
    seed: int,
) -> Subgroup:
    mine = facts.loc[names]
    positive, patients = (mine["label"] == label).to_numpy(), group_numbers(mine["patient"].astype(str).tolist())
    folds = group_numbers(mine["fold"].astype(str).tolist())
    draws = draw_patients(positive.astype(np.int64), patients, times, seed, folds)
    weights = np.concatenate((np.ones((len(draws), 1), np.float32), draws), axis=1)
    areas = [
        np.stack([RankedFolds.of(each, positive, folds).areas(weights)[0] for each in scores.loc[names].to_numpy().T])
        for scores in wide
    ]
    difference = (areas[0] - areas[1])[None]
    measured = Measured((_METRIC,), difference[..., 0], difference[..., 1:])
    with_class = len(np.unique(patients[positive]))
    found = estimate(measured, {"": with_class}, difference=True, folds=len(np.unique(folds)))[_METRIC]
    return replace(group, difference=found)
