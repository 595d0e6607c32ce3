"""The verdict's contrast by sex, age group, view and site: differences with intervals that count how many there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analysis.comparison.inference.bootstrap import Estimate, Estimates, class_patients, estimate, measure_arms
from analysis.comparison.inference.selection import side_below
from analysis.comparison.inference.verdict_rule import ArmRoles, with_holm
from analysis.comparison.inputs.study import ATTRIBUTES, Outcomes
from analysis.data.minimums import SUBGROUP_PATIENTS
from analysis.statistics.intervals import Flags
from balancer.text import many

_PHASE = "Measuring by sex, age, view and site"
Strata = Mapping[str, Mapping[str, "Stratum"]]
"""For each attribute and value."""
_ALONE = "no other value is known, so there is nothing to compare it with"


@dataclass(frozen=True, slots=True)
class Stratum:
    """Test images of one sex, age group, view or site: how many, and both arms' figures on them, none if too few.

    `difference` is the synthetic arm less the baseline in the primary endpoint, its p-value corrected over all strata.
    """

    images: int
    arms: Mapping[str, Estimates] = field(default_factory=dict)
    difference: Estimate | None = None
    left_out: str = ""


def measure_strata(
    test: Outcomes,
    named: ArmRoles,
    primary: str,
    times: int,
    seed: int,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> dict[str, dict[str, Stratum]]:
    """Every value of each attribute that is known of some image; of one value alone that is all that is said."""
    found: dict[tuple[str, str], Stratum] = {}
    for number, column in enumerate(ATTRIBUTES):
        progress(_PHASE, number, len(ATTRIBUTES))
        values = test.attributes.get(column)
        known = [] if values is None else sorted(values.dropna().astype(str).unique())
        for value in known:
            part = _some(test, values.astype(str).to_numpy() == value)  # type: ignore[union-attr]
            alone = len(known) == 1
            found[column, value] = (
                Stratum(len(part.targets), left_out=_ALONE) if alone else _stratum(part, named, primary, times, seed)
            )
    progress(_PHASE, len(ATTRIBUTES), len(ATTRIBUTES))
    told = {key: each.difference for key, each in found.items() if each.difference is not None}
    corrected = with_holm({"\0".join(key): each for key, each in told.items()})
    strata: dict[str, dict[str, Stratum]] = {}
    for key, each in found.items():
        strata.setdefault(key[0], {})[key[1]] = replace(each, difference=corrected.get("\0".join(key)))
    return strata


def stratum_rows(strata: Strata, named: ArmRoles, primary: str) -> list[list[str]]:
    """Rows for a terminal: subgroup, images, baseline, synthetic arm, difference, corrected p; or why there is none."""
    rows = []
    for column, values in strata.items():
        for value, each in values.items():
            both = (named.baseline, named.synthetic or "")
            levels = [each.arms[arm][primary] if arm in each.arms else None for arm in both]
            told = each.difference
            rows.append(
                [
                    f"{column.replace('_', ' ')} {value}",
                    f"{each.images}",
                    *("-" if level is None else f"{level.mean:.3f}" for level in levels),
                    each.left_out or ("-" if told is None else told.signed),
                    "-" if told is None else f"{told.p_holm if told.p_holm is not None else told.p_value:.3f}",
                ]
            )
    return rows


def subgroup_note(strata: Strata) -> str:
    """How many differences the correction counts, and what the intervals are."""
    count = sum(each.difference is not None for values in strata.values() for each in values.values())
    if not count:
        return "No subgroup has enough patients."
    return (
        f"Differences in {many(count, 'subgroup')}; p is corrected for all of them (Holm). Each interval alone has 95%."
    )


def _stratum(part: Outcomes, named: ArmRoles, primary: str, times: int, seed: int) -> Stratum:
    patients, images = class_patients(part), len(part.targets)
    if few := side_below(part, SUBGROUP_PATIENTS):
        return Stratum(images, left_out=f"too few patients with {few[1]}: {few[0]} of {SUBGROUP_PATIENTS}")
    arms: Sequence[str] = [named.baseline, *filter(None, [named.synthetic])]
    measured = measure_arms(replace(part, probabilities={arm: part.probabilities[arm] for arm in arms}), times, seed)
    levels = {arm: estimate(measured[arm], patients, folds=part.fold_count) for arm in arms}
    if named.synthetic is None:
        return Stratum(images, levels)
    contrast = measured[named.synthetic].only(primary).minus(measured[named.baseline].only(primary))
    difference = estimate(contrast, patients, difference=True, folds=part.fold_count)[primary]
    return Stratum(images, levels, difference)


def _some(part: Outcomes, which: Flags) -> Outcomes:
    return replace(
        part,
        targets=part.targets[which],
        groups=part.groups[which],
        attributes=part.attributes[which],
        probabilities={arm: probabilities[:, which] for arm, probabilities in part.probabilities.items()},
        folds=None if part.folds is None else part.folds[which],
        paths=(),
    )
