"""What synthetic images do to each finding, beside the verdict: each by the verdict's own rule, corrected for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from analysis.comparison.inference.bootstrap import Estimate, Measured, class_patients, class_sizes, estimate
from analysis.comparison.inference.verdict_rule import ALPHA, ArmRoles, Grounds, judge, with_holm
from analysis.comparison.inputs.sample_size import named_of
from analysis.comparison.inputs.study import Outcomes
from analysis.data.endpoint import primary_endpoint
from analysis.data.minimums import RARE_TEST_PATIENTS
from balancer.text import many

Told = Literal["helped", "hurt", "cannot tell", "too few patients"]


@dataclass(frozen=True, slots=True)
class FindingResult:
    """What is told of a finding, from so many test images and patients that have it.

    `difference` is the synthetic arm less the baseline in its AUPRC, with the p-value corrected over all findings of
    enough patients; None where they are too few, or there is no synthetic arm.
    """

    told: Told
    images: int
    patients: int
    baseline: Estimate | None = None
    synthetic: Estimate | None = None
    difference: Estimate | None = None


ByFinding = Mapping[str, FindingResult]


def judge_findings(
    test: Outcomes, measured: Mapping[str, Measured], named: ArmRoles, grounds: Grounds
) -> dict[str, FindingResult]:
    """Every finding by name; none where images have one class.

    `grounds` are those of the verdict: where it is invalid, has one seed, or its trainings had not ended, nothing can
    be told of any finding.
    """
    if not test.has_several:
        return {}
    patients, found = class_patients(test), {}
    for name, sizes in class_sizes(test).items():
        found[name] = FindingResult("too few patients", sizes["images"], sizes["patients"])
        if patients[name] >= RARE_TEST_PATIENTS:
            found[name] = _measured(found[name], primary_endpoint(name), measured, named, patients, test.fold_count)
    tested = {name: each.difference for name, each in found.items() if each.difference is not None}
    for name, difference in with_holm(tested).items():
        own = replace(
            grounds, contrast=difference, patients=patients[name], rivals={}, margins={}, uses={}, counters={}
        )
        found[name] = replace(found[name], difference=difference, told=_told(own, difference))
    return found


def _measured(
    result: FindingResult,
    metric: str,
    measured: Mapping[str, Measured],
    named: ArmRoles,
    patients: Mapping[str, int],
    folds: int,
) -> FindingResult:
    base = measured[named.baseline].only(metric)
    level = estimate(base, patients, folds=folds)[metric]
    if named.synthetic is None:
        return replace(result, told="cannot tell", baseline=level)
    ours = measured[named.synthetic].only(metric)
    difference = estimate(ours.minus(base), patients, difference=True, folds=folds)[metric]
    return replace(
        result,
        told="cannot tell",
        baseline=level,
        synthetic=estimate(ours, patients, folds=folds)[metric],
        difference=difference,
    )


def _told(grounds: Grounds, difference: Estimate) -> Told:
    if (difference.p_holm if difference.p_holm is not None else difference.p_value) > ALPHA:
        return "cannot tell"
    words: Mapping[str, Told] = {"helps": "helped", "harms": "hurt"}
    return words.get(judge(grounds), "cannot tell")


def names_told(found: ByFinding, told: Told) -> list[str]:
    """The findings of which this is told."""
    return [name for name, each in found.items() if each.told == told]


def finding_rows(found: ByFinding) -> list[list[str]]:
    """Rows for a terminal, of what has enough patients, the rarest first.

    Finding, its test patients, AUPRC of the baseline and of the synthetic arm, their difference, corrected p, and what
    is told.
    """
    rows = []
    for name, each in sorted(found.items(), key=lambda item: (item[1].patients, item[0])):
        if each.told != "too few patients":
            told = each.difference
            levels = ("-" if level is None else f"{level.mean:.3f}" for level in (each.baseline, each.synthetic))
            p_value = "-" if told is None or told.p_holm is None else f"{told.p_holm:.3f}"
            rows.append([name, f"{each.patients}", *levels, "-" if told is None else told.signed, p_value, each.told])
    return rows


def findings_note(found: ByFinding) -> str:
    """How many differences the correction counts, and which findings are not judged."""
    few = names_told(found, "too few patients")
    count = sum(each.difference is not None for each in found.values())
    said = (
        f"Differences in {many(count, 'finding')}; p is corrected for all of them (Holm). Each interval alone has 95%."
        if count
        else f"No finding has enough test patients ({RARE_TEST_PATIENTS})."
        if len(few) == len(found)
        else "There is no arm with synthetic images to judge."
    )
    return said + (f" Too few test patients: {named_of(few)}." if few else "")


def plain_findings(found: ByFinding, plain: Any) -> dict[str, dict[str, Any]]:
    """By finding, for a program; `plain` makes figures plain."""
    return {name: _plain(each, plain) for name, each in found.items()}


def _plain(each: FindingResult, plain: Any) -> dict[str, Any]:
    known = {"told": each.told, "images": each.images, "patients": each.patients}
    levels = {"baseline": each.baseline, "synthetic": each.synthetic}
    return {
        **known,
        **{what: None if level is None else plain({"": level})[""] for what, level in levels.items()},
        "difference": None if each.difference is None else plain({"": each.difference}, tested=("",))[""],
    }
