"""From what the arms said to the whole result of a comparison, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from analysis.comparison.inference.bootstrap import (
    Estimate,
    Estimates,
    Measured,
    class_patients,
    estimate,
    holm,
    measure_arms,
)
from analysis.comparison.inference.decomposition import Alike, measure_alike
from analysis.comparison.inference.metrics import LOWER_IS_BETTER, Bin, metric_names, reliability
from analysis.comparison.inference.selection import Choice, choose, compose, with_composites
from analysis.comparison.inference.verdict import WORTH, Evidence, Judgement, best_arm, in_words, judge, points
from analysis.comparison.inputs.study import ATTRIBUTES, FREE, SYNTHETIC, Outcomes
from analysis.comparison.training.arms import Kind, meaning
from analysis.statistics.intervals import Flags

Progress = Callable[[str, int, int], None]

SECONDARY = "macro_f1"
_ALPHA = 0.05
LEAST_STRATUM = 10
"""Images below which a stratum is not looked at."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """Test images of one sex, age group or view: how many, and every arm's figures on them, none if too few."""

    images: int
    arms: Mapping[str, Estimates]
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the statistics do not know of a comparison, and its result must say."""

    stamps: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    train: Mapping[str, int] = field(default_factory=dict)
    power: Mapping[str, Any] | None = None
    exchange: Mapping[str, Any] | None = None
    openings: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that a comparison came to."""

    verdict: str
    judgement: Judgement
    best_arm: str | None
    primary: str
    secondary: str
    arms: Mapping[str, Estimates]
    kinds: Mapping[str, Kind]
    chosen: Choice
    differences: Mapping[str, Estimates]
    strata: Mapping[str, Mapping[str, Stratum]]
    reliability: Mapping[str, tuple[Bin, ...]]
    test: Mapping[str, Mapping[str, int]]
    seeds: int
    facts: Facts
    alike: Alike | None = None
    points: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The arm that all others are measured against."""
        return self.chosen.free


def conclude(
    validation: Outcomes | Sequence[Outcomes],
    test: Outcomes | Sequence[Outcomes],
    kinds: Mapping[str, Kind],
    facts: Facts,
    *,
    primary: str | None = None,
    alike: str | None = None,
    worth: float = WORTH,
    times: int = 1000,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> Comparison:
    """Choose on validation, measure on the test part, and say what it comes to.

    `kinds` has every arm of both, the simplest first: of two that are equal on validation the first is chosen. Arms
    are compared with the reference in the primary endpoint (AUPRC of the rare class by default) and macro F1, Holm
    over the arms; the verdict is the one planned contrast of the two chosen arms, which needs no such correction.
    `alike` is the arm that trains as those with synthetic images do, and has none.

    Of folds both parts are given fold by fold: each fold chooses by itself, and what it chose is judged on its own test
    patients. Single arms are measured over all folds beside that.

    Raises:
        ValueError: an arm is missing in a part, none is of kind real or free, or the endpoint is no metric.
    """
    primary = _check(validation, test, kinds, primary)
    choice = choose(validation, kinds, primary)
    test, single, kinds = compose(test, choice), kinds, with_composites(kinds, choice)
    measured = measure_arms(test, times, seed, lambda done, total: progress("Measuring", done, total))
    patients = class_patients(test)
    levels = {arm: estimate(measured[arm], patients) for arm in kinds}
    differences = _differences(measured, choice.free, kinds, patients, (primary, SECONDARY))
    evidence = Evidence(
        primary.partition(":")[2] or test.rare,
        primary,
        SECONDARY,
        choice.free,
        choice.synthetic,
        levels,
        estimate(_contrast(choice, measured), patients, difference=True),
        patients,
        len(next(iter(test.chances.values()))),
        facts.stamps,
        str((facts.power or {}).get("sentence", "")),
        _rivals(choice, measured, single, patients, primary),
        worth,
        alike=measure_alike(choice.synthetic, choice.free, alike, measured, patients),
        usable={arm: choice.usable(arm) for arm in (FREE, SYNTHETIC) if arm in kinds},
        how_chosen=choice.sentence,
        others=_others(choice, differences, single, primary, worth),
    )
    judgement = judge(evidence)
    return Comparison(
        in_words(evidence, judgement),
        judgement,
        best_arm(evidence, judgement),
        primary,
        SECONDARY,
        levels,
        dict(kinds),
        choice,
        differences,
        _strata(test, kinds, times, seed, progress),
        _reliability(test, kinds),
        _counts(test, patients),
        evidence.seeds,
        facts,
        evidence.alike,
        tuple(points(evidence, judgement)),
    )


def as_json(found: Comparison) -> dict[str, Any]:
    """The content of `metrics.json`; what is not a number is null."""
    facts = found.facts
    content = {
        "verdict": found.verdict,
        "points": list(found.points),
        "judgement": found.judgement,
        "best_arm": found.best_arm,
        "stamps": list(facts.stamps),
        "endpoint": {"primary": found.primary, "secondary": found.secondary},
        "arms": {arm: _plain(figures) for arm, figures in found.arms.items()},
        "kinds": dict(found.kinds),
        "meanings": {arm: said for arm in found.kinds if (said := meaning(arm))},
        "left_out": dict(facts.left_out),
        "chosen": {
            "free": found.chosen.free,
            "synthetic": found.chosen.synthetic,
            "validation": dict(found.chosen.validation),
            "folds": [{"free": each.free, "synthetic": each.synthetic} for each in found.chosen.folds],
            "sentence": found.chosen.sentence,
        },
        "reference": found.reference,
        "differences": {
            arm: _plain(figures, tested=(found.primary, found.secondary)) for arm, figures in found.differences.items()
        },
        "like_for_like": _plain_alike(found),
        "strata": {
            column: {value: _plain_stratum(stratum) for value, stratum in strata.items()}
            for column, strata in found.strata.items()
        },
        "reliability": {arm: [asdict(each) for each in bins] for arm, bins in found.reliability.items()},
        "test": {label: dict(counts) for label, counts in found.test.items()},
        "train": dict(facts.train),
        "seeds": found.seeds,
        "power": None if facts.power is None else dict(facts.power),
        "exchange": None if facts.exchange is None else dict(facts.exchange),
        "openings": facts.openings,
        "settings": dict(facts.settings),
        "version": facts.version,
    }
    cleaned: dict[str, Any] = _without_nan(content)
    return cleaned


def table(found: Comparison) -> list[tuple[str, str, str, str, str]]:
    """Rows for a terminal, the best first: arm, primary endpoint, difference to the reference, macro F1, recall.

    The arms that were chosen on validation are marked with an asterisk.
    """
    rare = found.primary.partition(":")[2]
    recall = f"recall:{rare}" if rare else "balanced_accuracy"
    rows = []
    for arm in sorted(found.arms, key=lambda each: -_or_least(found.arms[each][found.primary].mean)):
        figures, difference = found.arms[arm], found.differences.get(arm)
        rows.append(
            (
                arm + ("*" if arm in (found.chosen.free, found.chosen.synthetic) else ""),
                str(figures[found.primary]),
                difference[found.primary].signed if difference else "reference",
                f"{figures[SECONDARY].mean:.3f}",
                f"{figures[recall].mean:.3f}",
            )
        )
    return rows


def _check(
    validation: Outcomes | Sequence[Outcomes],
    test: Outcomes | Sequence[Outcomes],
    kinds: Mapping[str, Kind],
    primary: str | None,
) -> str:
    """The primary endpoint, if there is all that it takes to judge by it."""
    parts = [each for part in (validation, test) for each in ([part] if isinstance(part, Outcomes) else part)]
    for part in parts:
        if missing := set(kinds) - set(part.chances):
            raise ValueError(f"every arm needs its chances; got none of {sorted(missing)}")
    if not {"real", "free"} & set(kinds.values()):
        raise ValueError(f"an arm of kind real or free is needed as a reference; got {dict(kinds)}")
    primary = primary or f"auprc:{parts[0].rare}"
    usable = [name for name in metric_names(parts[0].classes) if not name.startswith(("prevalence", *LOWER_IS_BETTER))]
    if primary not in usable:
        raise ValueError(f"the primary endpoint is one of {', '.join(usable)}; got {primary!r}")
    return primary


def _contrast(choice: Choice, measured: Mapping[str, Measured]) -> Measured:
    """The synthetic arm less the free one; where there is no synthetic arm, the free one less the real images alone."""
    if choice.synthetic is not None:
        return measured[choice.synthetic].minus(measured[choice.free])
    return measured[choice.free].minus(measured["real" if "real" in measured else choice.free])


def _rivals(
    choice: Choice,
    measured: Mapping[str, Measured],
    kinds: Mapping[str, Kind],
    patients: Mapping[str, int],
    primary: str,
) -> dict[str, Estimate]:
    """By how much the synthetic arm beats each arm without synthetic images that was not chosen."""
    if choice.synthetic is None:
        return {}
    ours = measured[choice.synthetic]
    others = [arm for arm, kind in kinds.items() if kind in ("real", "free") and arm != choice.free]
    return {arm: estimate(ours.minus(measured[arm]), patients, difference=True)[primary] for arm in others}


def _others(
    choice: Choice, differences: Mapping[str, Estimates], kinds: Mapping[str, Kind], primary: str, worth: float
) -> dict[str, Estimate]:
    """What speaks for the images beside the synthetic arm that is judged: arms that are shown to be better, corrected.

    Of folds that chose different arms also the one that most of them chose, if it may be worth it: ranked together,
    scores of several arms look worse than those of one.
    """
    mine = {arm: differences[arm][primary] for arm, kind in kinds.items() if kind == "synthetic"}
    found = {
        arm: each
        for arm, each in mine.items()
        if arm != choice.synthetic and each.low > 0 and each.p_holm is not None and each.p_holm <= _ALPHA
    }
    named = choice.usable(choice.synthetic)
    if choice.synthetic == SYNTHETIC and not mine[named].high < worth:
        found[named] = mine[named]
    return found


def _differences(
    measured: Mapping[str, Measured],
    reference: str,
    kinds: Mapping[str, Kind],
    patients: Mapping[str, int],
    tested: Sequence[str],
) -> dict[str, Estimates]:
    found = {
        arm: estimate(measured[arm].minus(measured[reference]), patients, difference=True)
        for arm in kinds
        if arm != reference
    }
    for metric in tested:
        corrected = holm({arm: figures[metric].p_value for arm, figures in found.items()})
        for arm, p_value in corrected.items():
            found[arm][metric] = replace(found[arm][metric], p_holm=p_value)
    return dict(found)


def _strata(
    test: Outcomes, kinds: Mapping[str, Kind], times: int, seed: int, progress: Progress
) -> dict[str, dict[str, Stratum]]:
    found: dict[str, dict[str, Stratum]] = {}
    for number, column in enumerate(ATTRIBUTES):
        progress("Measuring by sex, age and view", number, len(ATTRIBUTES))
        if column in test.attributes and test.attributes[column].notna().any():
            known = test.attributes[column].dropna().astype(str)
            mine = test.attributes[column].astype(str).to_numpy()
            found[column] = {
                value: _stratum(_some(test, mine == value), kinds, times, seed) for value in sorted(known.unique())
            }
    progress("Measuring by sex, age and view", len(ATTRIBUTES), len(ATTRIBUTES))
    return found


def _stratum(part: Outcomes, kinds: Mapping[str, Kind], times: int, seed: int) -> Stratum:
    images, rare = len(part.targets), int((part.targets == part.classes.index(part.rare)).sum())
    if images < LEAST_STRATUM or not rare:
        why = f"fewer than {LEAST_STRATUM} images" if images < LEAST_STRATUM else f"no image of {part.rare}"
        return Stratum(images, {}, why)
    patients, measured = class_patients(part), measure_arms(part, times, seed)
    return Stratum(images, {arm: estimate(measured[arm], patients) for arm in kinds})


def _some(part: Outcomes, which: Flags) -> Outcomes:
    return replace(
        part,
        targets=part.targets[which],
        groups=part.groups[which],
        attributes=part.attributes[which],
        chances={arm: chances[:, which] for arm, chances in part.chances.items()},
    )


def _reliability(test: Outcomes, kinds: Mapping[str, Kind]) -> dict[str, tuple[Bin, ...]]:
    rare = test.classes.index(test.rare)
    return {arm: reliability(test.chances[arm][..., rare], test.targets == rare) for arm in kinds}


def _counts(test: Outcomes, patients: Mapping[str, int]) -> dict[str, dict[str, int]]:
    return {
        label: {"images": int((test.targets == number).sum()), "patients": patients[label]}
        for number, label in enumerate(test.classes)
    }


def _plain(figures: Estimates, tested: Sequence[str] = ()) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for metric, each in figures.items():
        found[metric] = {"mean": each.mean, "low": each.low, "high": each.high}
        if metric in tested:
            found[metric] |= {"p": each.p_value, "p_holm": each.p_holm}
    return found


def _plain_alike(found: Comparison) -> dict[str, Any] | None:
    """What the images do, and what the recipe of their arm does without them."""
    if found.alike is None:
        return None
    recipe = None if found.alike.recipe is None else _plain(found.alike.recipe)
    facts = {"synthetic": found.chosen.synthetic, "arm": found.alike.arm}
    return {**facts, "images": _plain(found.alike.images), "recipe": recipe}


def _plain_stratum(stratum: Stratum) -> dict[str, Any]:
    found = {"images": stratum.images, "arms": {arm: _plain(figures) for arm, figures in stratum.arms.items()}}
    return found | ({"left_out": stratum.left_out} if stratum.left_out else {})


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value
