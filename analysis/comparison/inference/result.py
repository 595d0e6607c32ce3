"""From what the arms said to the whole result of a comparison, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from analysis.comparison.inference.bootstrap import (
    Estimate,
    Estimates,
    Measured,
    class_patients,
    class_sizes,
    estimate,
    measure_arms,
)
from analysis.comparison.inference.by_finding import ByFinding, judge_findings, plain_findings
from analysis.comparison.inference.decomposition import EffectDecomposition, decompose_effect
from analysis.comparison.inference.external_result import ExternalResult
from analysis.comparison.inference.metrics import LOWER_IS_BETTER, Bin, metric_names, reliability
from analysis.comparison.inference.prevalence import Adjusted, adjust
from analysis.comparison.inference.selection import Selection, choose, pooled
from analysis.comparison.inference.subgroups import Strata, Stratum, measure_strata
from analysis.comparison.inference.verdict_rule import WORTH, ArmRoles, Grounds, Judgement, weigh, with_holm
from analysis.comparison.inference.verdict_text import Evidence, joined, points, sentence
from analysis.comparison.inputs.study import Outcomes
from analysis.comparison.training.arm_selection import meaning
from analysis.comparison.training.arms import Kind
from analysis.data.endpoint import primary_endpoint
from analysis.data.targets import lacking
from analysis.statistics.convergence import Course, is_unfinished, learned_nothing

Progress = Callable[[str, int, int], None]

SECONDARY, SECONDARY_OF_FINDINGS = "macro_f1", "macro_auprc"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the statistics do not know of a comparison, and its result must say.

    `trainings` are those of the comparison as JSON has them; `setting` names backbone and image size.
    """

    stamps: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    train: Mapping[str, int] = field(default_factory=dict)
    power: Mapping[str, Any] | None = None
    exchange: Mapping[str, Any] | None = None
    openings: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    setting: str = "small network, 64 px"
    trainings: Sequence[Mapping[str, Any]] = ()

    @property
    def smallest(self) -> float | None:
        """The smallest detectable difference of AUPRC, if it was worked out."""
        way = "cross_fitted" if self.settings.get("folds") else "one_split"
        found = ((self.power or {}).get(way) or {}).get("auprc")
        return None if found is None else float(found)


@dataclass(frozen=True, slots=True)
class NamedArms:
    """What is judged: the baseline, the synthetic arms that were asked for, and the matched control of each.

    `courses` are those of the trainings of each arm, by which it is known whether they had ended.
    """

    baseline: str
    synthetic: Sequence[str] = ()
    controls: Mapping[str, str] = field(default_factory=dict)
    courses: Mapping[str, Sequence[Course]] = field(default_factory=dict)

    def unfinished(self, arms: Sequence[str]) -> tuple[str, ...]:
        """Those that were still improving when their trainings ended."""
        return tuple(arm for arm in arms if is_unfinished(self.courses.get(arm, ())))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison: verdict, estimates of every arm, and what they rest on."""

    sentence: str
    points: tuple[str, ...]
    judgement: Judgement
    best_arm: str | None
    primary: str
    secondary: str
    arms: Mapping[str, Estimates]
    kinds: Mapping[str, Kind]
    chosen: Selection
    differences: Mapping[str, Estimates]
    strata: Mapping[str, Mapping[str, Stratum]]
    reliability: Mapping[str, tuple[Bin, ...]]
    test: Mapping[str, Mapping[str, int]]
    seeds: int
    facts: Facts
    grounds: Grounds
    effect: EffectDecomposition | None = None
    unfinished: tuple[str, ...] = ()
    adjusted: Adjusted | None = None
    external: ExternalResult | None = None
    findings: ByFinding = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Sentence and points in one paragraph."""
        return joined([self.sentence, *self.points])

    @property
    def reference(self) -> str:
        """The arm that all others are measured against."""
        return self.chosen.baseline


def conclude(
    validation: Outcomes | Sequence[Outcomes],
    test: Outcomes | Sequence[Outcomes],
    kinds: Mapping[str, Kind],
    facts: Facts,
    asked: NamedArms,
    *,
    primary: str,
    worth: float = WORTH,
    times: int = 1000,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> Comparison:
    """Measure all arms on the test split, and judge the two that were named.

    `kinds` has every arm of both splits. Arms are compared with the baseline in the primary endpoint and macro F1
    (of findings: macro AUPRC),
    Holm over the arms; the verdict is the one planned contrast, which needs no such correction: see `judgement`. Of
    folds both splits are given fold by fold.

    Raises:
        ValueError: an arm is missing in a split, the baseline is none of them, or the endpoint is no metric.
    """
    _require_endpoint(validation, test, kinds, primary, asked)
    choice = choose(validation, asked.baseline, asked.synthetic, tuple(kinds), primary)
    test = test if isinstance(test, Outcomes) else pooled(test)
    measured = measure_arms(test, times, seed, lambda done, total: progress("Measuring", done, total))
    patients, named = class_patients(test), ArmRoles.among(kinds, choice.baseline, choice.synthetic)
    levels = {arm: estimate(measured[arm], patients, folds=test.fold_count) for arm in kinds}
    grounds = replace(
        weigh(measured, named, primary, patients, folds=test.fold_count, worth=worth),
        unfinished=asked.unfinished([choice.baseline, *filter(None, [choice.synthetic])]),
        failed=learned_nothing(
            asked.courses.get(choice.baseline, ()), 2 if test.has_several else len(np.unique(test.targets))
        ),
        invalid=any(stamp.startswith("INVALID") for stamp in facts.stamps),
    )
    control = asked.controls.get(choice.synthetic or "")
    effect = decompose_effect(choice.synthetic, choice.baseline, control, measured, patients, test.fold_count)
    adjusted = (
        adjust(test, facts.train, kinds, patients, times, seed) if primary == primary_endpoint(test.rare) else None
    )
    secondary = SECONDARY_OF_FINDINGS if test.has_several else SECONDARY
    findings = judge_findings(test, measured, named, grounds)
    evidence = Evidence(
        primary.partition(":")[2] or test.rare,
        primary,
        named,
        grounds,
        levels,
        _contrast(named, measured, patients, test.fold_count),
        patients,
        facts.setting,
        effect,
        facts.smallest,
        facts.settings.get("steps"),
        facts.openings,
        choice.sentence,
        {} if adjusted is None else adjusted.arms,
        None if adjusted is None else adjusted.prevalence,
        (facts.power or {}).get("folds_that_fit", 0),
        findings,
    )
    return Comparison(
        sentence(evidence),
        tuple(points(evidence)),
        evidence.judgement,
        evidence.best_arm,
        primary,
        secondary,
        levels,
        dict(kinds),
        choice,
        _differences(measured, choice.baseline, kinds, patients, (primary, secondary), test.fold_count),
        measure_strata(test, named, primary, times, seed, progress),
        _reliability(test, kinds),
        class_sizes(test),
        grounds.seeds,
        facts,
        grounds,
        effect,
        asked.unfinished(tuple(kinds)),
        adjusted,
        findings=findings,
    )


def as_json(found: Comparison) -> dict[str, Any]:
    """The content of `metrics.json`; what is not a number is null."""
    facts = found.facts
    content = {
        "sentence": found.sentence,
        "points": list(found.points),
        "verdict": found.verdict,
        "judgement": found.judgement,
        "best_arm": found.best_arm,
        "stamps": list(facts.stamps),
        "endpoint": {"primary": found.primary, "secondary": found.secondary},
        "arms": {arm: plain(figures) for arm, figures in found.arms.items()},
        "kinds": dict(found.kinds),
        "meanings": {arm: said for arm in found.kinds if (said := meaning(arm))},
        "left_out": dict(facts.left_out),
        "chosen": {
            "free": found.chosen.baseline,
            "synthetic": found.chosen.synthetic,
            "validation": dict(found.chosen.validation),
            "folds": [{"free": found.chosen.baseline, "synthetic": found.chosen.synthetic}] * found.chosen.folds,
            "sentence": found.chosen.sentence,
        },
        "trainings": [dict(each) for each in facts.trainings],
        "unfinished": list(found.unfinished),
        "baseline_failed": found.grounds.failed,
        "adjusted": None
        if found.adjusted is None
        else {"prevalence": found.adjusted.prevalence, "arms": plain(found.adjusted.arms)},
        "reference": found.reference,
        "differences": {
            arm: plain(figures, tested=(found.primary, found.secondary)) for arm, figures in found.differences.items()
        },
        "like_for_like": _plain_alike(found),
        "strata": plain_strata(found.strata),
        "reliability": {arm: [asdict(each) for each in bins] for arm, bins in found.reliability.items()},
        "test": {label: dict(counts) for label, counts in found.test.items()},
        "train": dict(facts.train),
        "external": _plain_external(found.external),
        "findings": plain_findings(found.findings, plain),
        "seeds": found.seeds,
        "power": None if facts.power is None else dict(facts.power),
        "exchange": None if facts.exchange is None else dict(facts.exchange),
        "openings": facts.openings,
        "settings": dict(facts.settings),
        "version": facts.version,
    }
    cleaned: dict[str, Any] = without_nan(content)
    return cleaned


def table(found: Comparison) -> list[tuple[str, str, str, str, str]]:
    """Rows for a terminal, the best first: arm, primary endpoint, difference to the baseline, secondary, recall.

    The two arms of the verdict are marked with an asterisk, those that were still improving with a plus.
    """
    rare = found.primary.partition(":")[2]
    recall = f"recall:{rare}" if rare else "balanced_accuracy"
    rows = []
    for arm in sorted(found.arms, key=lambda each: -_or_least(found.arms[each][found.primary].mean)):
        figures, difference = found.arms[arm], found.differences.get(arm)
        marks = ("*" if arm in (found.chosen.baseline, found.chosen.synthetic) else "") + (
            "+" if arm in found.unfinished else ""
        )
        rows.append(
            (
                arm + marks,
                str(figures[found.primary]),
                difference[found.primary].signed if difference else "baseline",
                f"{figures[found.secondary].mean:.3f}",
                f"{figures[recall].mean:.3f}",
            )
        )
    return rows


def _require_endpoint(
    validation: Outcomes | Sequence[Outcomes],
    test: Outcomes | Sequence[Outcomes],
    kinds: Mapping[str, Kind],
    primary: str,
    asked: NamedArms,
) -> None:
    """See that there is all that it takes to judge by the primary endpoint."""
    parts = [each for part in (validation, test) for each in ([part] if isinstance(part, Outcomes) else part)]
    for part in parts:
        if missing := set(kinds) - set(part.probabilities):
            raise ValueError(f"every arm needs its probabilities; got none of {sorted(missing)}")
    if missing := {asked.baseline, *asked.synthetic} - set(kinds):
        raise ValueError(f"the arms of the verdict are among those that were trained; got {sorted(missing)}")
    names = metric_names(parts[0].classes, parts[0].has_several)
    usable = [name for name in names if not name.startswith(("prevalence", *LOWER_IS_BETTER))]
    if primary not in usable:
        raise ValueError(f"the primary endpoint is one of {', '.join(usable)}; got {primary!r}")


def _contrast(
    named: ArmRoles, measured: Mapping[str, Measured], patients: Mapping[str, int], folds: int
) -> dict[str, Estimate]:
    """The synthetic arm less the baseline; where there is none, the baseline less the real images alone."""
    base = measured[named.baseline]
    if named.synthetic is not None:
        difference = measured[named.synthetic].minus(base)
    else:
        difference = base.minus(measured.get("real", base))
    return estimate(difference, patients, difference=True, folds=folds)


def _differences(
    measured: Mapping[str, Measured],
    reference: str,
    kinds: Mapping[str, Kind],
    patients: Mapping[str, int],
    tested: Sequence[str],
    folds: int,
) -> dict[str, Estimates]:
    found = {
        arm: estimate(measured[arm].minus(measured[reference]), patients, difference=True, folds=folds)
        for arm in kinds
        if arm != reference
    }
    for metric in tested:
        for arm, corrected in with_holm({arm: figures[metric] for arm, figures in found.items()}).items():
            found[arm][metric] = corrected
    return dict(found)


def _reliability(test: Outcomes, kinds: Mapping[str, Kind]) -> dict[str, tuple[Bin, ...]]:
    rare = test.classes.index(test.rare)
    known = test.judged | lacking(test.targets, rare)
    return {arm: reliability(test.probabilities[arm][:, known, rare], test.judged[known]) for arm in kinds}


def plain(figures: Estimates, tested: Sequence[str] = ()) -> dict[str, dict[str, float | None]]:
    """Figures with their 95% intervals, for a program; those that were `tested` with their p-values."""
    found: dict[str, dict[str, float | None]] = {}
    for metric, each in figures.items():
        low, high = each.shown
        found[metric] = {"mean": each.mean, "low": low, "high": high}
        if metric in tested:
            found[metric] |= {"p": each.p_value, "p_holm": each.p_holm}
    return found


def _plain_alike(found: Comparison) -> dict[str, Any] | None:
    """What the images do, and what the recipe of their arm does without them."""
    if found.effect is None:
        return None
    recipe = None if found.effect.recipe is None else plain(found.effect.recipe)
    facts = {"synthetic": found.chosen.synthetic, "arm": found.effect.arm}
    return {**facts, "images": plain(found.effect.images), "recipe": recipe}


def plain_strata(strata: Strata) -> dict[str, dict[str, Any]]:
    """Subgroups by attribute and value, for a program."""
    return {column: {value: _plain_stratum(each) for value, each in of.items()} for column, of in strata.items()}


def _plain_external(found: ExternalResult | None) -> dict[str, Any] | None:
    if found is None:
        return None
    difference = None if found.difference is None else plain({"": found.difference})[""]
    arms = {arm: plain(figures) for arm, figures in found.arms.items()}
    facts = {"name": found.name, "sentence": found.sentence, "left_out": dict(found.left_out)}
    return {**facts, "test": {label: dict(each) for label, each in found.test.items()}, "arms": arms} | {
        "difference": difference
    }


def _plain_stratum(stratum: Stratum) -> dict[str, Any]:
    found: dict[str, Any] = {
        "images": stratum.images,
        "arms": {arm: plain(figures) for arm, figures in stratum.arms.items()},
        "difference": None,
    }
    if stratum.difference is not None:
        found["difference"] = plain({"": stratum.difference}, tested=("",))[""]
    return found | ({"left_out": stratum.left_out} if stratum.left_out else {})


def without_nan(content: Any) -> Any:
    """The same with null for what is not a number: JSON has none."""
    if isinstance(content, Mapping):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value
