"""The verdict of a comparison, in words: which arm to use, what it helps and hurts, or that this cannot be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from analysis.comparison.inference.bootstrap import Estimate, Estimates
from analysis.comparison.inference.decomposition import Alike
from analysis.power.detectable_effect import FEWEST
from analysis.statistics.metric_labels import metric_in_words

Judgement = Literal["helps", "harms", "no use", "cannot tell", "nothing synthetic", "invalid"]

WORTH = 0.02
"""A gain of the primary endpoint below which synthetic images are not worth their trouble."""

LEAST_SEEDS = 2
"""With one seed nothing is known of the luck of a training."""

ENOUGH_SEEDS = 5
"""With fewer the interval may be wide for want of seeds, and not of patients."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the verdict rests on, all of it from the test part; the two arms were chosen on validation.

    `reference` needs no synthetic images, `synthetic` does, and is None where there are none. `differences` are those
    of the synthetic arm to the reference, by metric; where there is no synthetic arm, of the reference to `real`.
    `rivals` are those of its primary endpoint to each other arm that needs no synthetic images: validation may have
    chosen the wrong one. `needed` says what a test part would take that could tell more. `alike` tells the images from
    the recipe of their arm, where that is known. Where folds chose different arms, which are judged under one name,
    `usable` is the arm to name for it, and `how_chosen` says what it stands for. `others` are differences of other
    synthetic arms to the reference that forbid to call the images harmful or of no use: validation may have chosen the
    wrong one of these too.
    """

    rare: str
    primary: str
    secondary: str
    reference: str
    synthetic: str | None
    levels: Mapping[str, Estimates]
    differences: Estimates
    patients: Mapping[str, int]
    seeds: int
    stamps: Sequence[str] = ()
    needed: str = ""
    rivals: Mapping[str, Estimate] = field(default_factory=dict)
    worth: float = WORTH
    alike: Alike | None = None
    usable: Mapping[str, str] = field(default_factory=dict)
    how_chosen: str = ""
    others: Mapping[str, Estimate] = field(default_factory=dict)

    def use(self, arm: str | None) -> str:
        """An arm as the user can ask for it."""
        return self.usable.get(arm or "", arm or "")

    @property
    def whom(self) -> str:
        """Of whom the primary endpoint speaks."""
        return self.rare if ":" in self.primary else "the classes on the whole"


def judge(evidence: Evidence) -> Judgement:
    """One planned contrast, the chosen synthetic arm less the chosen free one, at its 95% interval.

    It needs no correction for many arms: both were chosen on other images. But a small validation part chooses badly,
    so that images help only if they beat every other free arm too (all must: that needs no correction either), and do
    harm or are of no use only if no `others` speak for them.
    """
    if any(map(_is_invalid, evidence.stamps)):
        return "invalid"
    if evidence.synthetic is None:
        return "nothing synthetic"
    found = evidence.differences[evidence.primary]
    if evidence.seeds < LEAST_SEEDS or evidence.patients[evidence.rare] < FEWEST:
        return "cannot tell"
    if _spoken_for(evidence):
        return "cannot tell"
    if found.high < 0:
        return "harms"
    if found.low > 0:
        return "cannot tell" if _unbeaten(evidence) else "helps"
    return "no use" if found.high < evidence.worth else "cannot tell"  # neither holds of what is not a number


def _unbeaten(evidence: Evidence) -> str | None:
    """The arm without synthetic images that comes nearest, if the synthetic one is not shown to beat it."""
    left = {arm: each for arm, each in evidence.rivals.items() if not each.low > 0}
    return min(left, key=lambda arm: left[arm].mean) if left else None


def _spoken_for(evidence: Evidence) -> str | None:
    """The best other use of the images, if the chosen one would be called harmful or of no use."""
    found = evidence.differences[evidence.primary]
    if found.low > 0 or not found.high < evidence.worth:
        return None
    return max(evidence.others, key=lambda arm: evidence.others[arm].mean, default=None)


def best_arm(evidence: Evidence, judgement: Judgement) -> str | None:
    """The arm to use; None where this cannot be told."""
    if judgement in ("invalid", "cannot tell"):
        return None
    return evidence.use(evidence.synthetic if judgement == "helps" else evidence.reference)


def in_words(evidence: Evidence, judgement: Judgement) -> str:
    """One paragraph, the verdict first and the stamps last."""
    others = [stamp for stamp in evidence.stamps if not _is_invalid(stamp)]
    rest = [f"Mind: {'; '.join(others)}."] if others else []
    return " ".join([*points(evidence, judgement), *rest])


def points(evidence: Evidence, judgement: Judgement) -> list[str]:
    """The same point by point, without the stamps."""
    say = {
        "helps": _helps,
        "harms": _harms,
        "no use": _no_use,
        "cannot tell": _cannot_tell,
        "nothing synthetic": _nothing_synthetic,
        "invalid": _invalid,
    }[judgement]
    chosen = [evidence.how_chosen] if evidence.how_chosen and judgement != "invalid" else []
    return [*say(evidence), *chosen]


def hurt(evidence: Evidence) -> list[str]:
    """Recall and AUPRC that the synthetic arm lowers, by metric; each judged alone, as a warning should be."""
    return [name for name in _of_classes(evidence) if evidence.differences[name].high < 0]


def helped(evidence: Evidence) -> list[str]:
    """Recall and AUPRC that the synthetic arm raises, by metric; each judged alone."""
    return [name for name in _of_classes(evidence) if evidence.differences[name].low > 0]


def _of_classes(evidence: Evidence) -> list[str]:
    """What is told beside the endpoints: of one seed, and of classes of too few patients, nothing is."""
    if evidence.seeds < LEAST_SEEDS:
        return []
    enough = [label for label, count in evidence.patients.items() if count >= FEWEST]
    names = [f"{what}:{label}" for label in enough for what in ("recall", "auprc")]
    return [name for name in names if name != evidence.primary]


def _helps(evidence: Evidence) -> list[str]:
    opening = f"Use {evidence.use(evidence.synthetic)}: synthetic images help {evidence.whom}."
    return [opening, *_contrast(evidence), _second(evidence), *_beside(evidence)]


def _harms(evidence: Evidence) -> list[str]:
    opening = f"{_what_harms(evidence)} Use {evidence.use(evidence.reference)}."
    return [opening, *_contrast(evidence), *_whose_harm(evidence), _second(evidence), *_beside(evidence)]


def _what_harms(evidence: Evidence) -> str:
    """The images, or only how their arm was trained."""
    alike, primary = evidence.alike, evidence.primary
    if alike is None or alike.images_harm(primary):
        return f"Do not use these: synthetic images hurt {evidence.whom}."
    by = "its recipe and not by its images" if alike.recipe_harms(primary) else "its images or by its recipe"
    return f"Do not use {evidence.use(evidence.synthetic)}: it hurts {evidence.whom}, by {by}."


def _whose_harm(evidence: Evidence) -> list[str]:
    if evidence.alike is None:
        return []
    shown = "do harm" if evidence.alike.images_harm(evidence.primary) else "are not shown to harm"
    also = " The recipe does." if evidence.alike.recipe_harms(evidence.primary) and "not" in shown else ""
    return [f"The images themselves {shown}.{also}"]


def _no_use(evidence: Evidence) -> list[str]:
    use = evidence.use(evidence.reference)
    opening = f"Do not use these: synthetic images are of no use for {evidence.whom}. Use {use}."
    excluded = f"A gain of {evidence.worth:g} or more is excluded."
    return [opening, *_contrast(evidence), excluded, _second(evidence), *_beside(evidence)]


def _cannot_tell(evidence: Evidence) -> list[str]:
    known = [*_contrast(evidence), _second(evidence), *_beside(evidence)] if evidence.patients[evidence.rare] else []
    return [
        f"Cannot tell whether synthetic images help {evidence.whom}: {_why_not(evidence)}.",
        *known,
        *([_sentence(evidence.needed)] if evidence.needed else []),
        f"Until it is known use {_safest(evidence)}, which needs no synthetic images.",
    ]


def _safest(evidence: Evidence) -> str:
    """The free arm to use meanwhile: the one that is not beaten where the chosen one is."""
    rival = _unbeaten(evidence) if _beats_the_chosen(evidence) else None
    return evidence.use(rival or evidence.reference)


def _beats_the_chosen(evidence: Evidence) -> bool:
    return evidence.seeds >= LEAST_SEEDS and evidence.differences[evidence.primary].low > 0


def _why_not(evidence: Evidence) -> str:
    patients = evidence.patients[evidence.rare]
    if patients == 0:
        return f"the test part has no patient with {evidence.rare}"
    if evidence.seeds < LEAST_SEEDS:
        return f"one seed says nothing of the luck of a training; use {ENOUGH_SEEDS} (--seeds {ENOUGH_SEEDS})"
    rival = _unbeaten(evidence)
    if rival and _beats_the_chosen(evidence):
        return (
            f"{evidence.synthetic} beats {evidence.reference}, which validation chose, but is not shown to beat "
            f"{rival}, which needs no synthetic images either ({evidence.rivals[rival].signed})"
        )
    if other := _spoken_for(evidence):
        return (
            f"{evidence.synthetic}, which validation chose, is not worth it, but {other} may be: "
            f"{evidence.others[other].signed} against {evidence.reference}"
        )
    small = f"this test set is too small ({patients} {'patient' if patients == 1 else 'patients'} with {evidence.rare})"
    few = evidence.seeds < ENOUGH_SEEDS and patients >= FEWEST
    return f"{small}, or {evidence.seeds} seeds are too few (--seeds {ENOUGH_SEEDS})" if few else small


def _nothing_synthetic(evidence: Evidence) -> list[str]:
    none = "No arm with synthetic images was compared."
    if not evidence.patients[evidence.rare]:
        return [none, f"Nothing can be said of {evidence.rare} either: {_why_not(evidence)}."]
    level = evidence.levels[evidence.reference][evidence.primary]
    composite = f", by {evidence.reference}" if evidence.reference in evidence.usable else ""
    said = [
        none,
        f"Of the arms that need none use {evidence.use(evidence.reference)}, chosen on validation: "
        f"{metric_in_words(evidence.primary)} {level} on the test part{composite}.",
    ]
    if evidence.reference != "real" and "real" in evidence.levels:
        gain = evidence.differences[evidence.primary]
        known = evidence.seeds >= LEAST_SEEDS and evidence.patients[evidence.rare] >= FEWEST
        shown = "" if known and gain.low > 0 else ", which does not show that it is better"
        said.append(f"Against the real images alone that is {gain.signed}{shown}.")
    return said


def _invalid(evidence: Evidence) -> list[str]:
    reasons = [stamp.removeprefix("INVALID").lstrip(": ") for stamp in evidence.stamps if _is_invalid(stamp)]
    return [
        f"INVALID: {'; '.join(reason or 'not honest' for reason in reasons)}.",
        "Nothing can be concluded from this comparison: its figures are shown, and mean nothing for unseen patients.",
    ]


def _is_invalid(stamp: str) -> bool:
    return stamp.startswith("INVALID")


def _contrast(evidence: Evidence) -> list[str]:
    """The planned difference, and what of it is the images'."""
    assert evidence.synthetic is not None
    ours, theirs = (evidence.levels[arm][evidence.primary] for arm in (evidence.synthetic, evidence.reference))
    whole = (
        f"{_sentence(metric_in_words(evidence.primary), '')} is {ours} with {evidence.synthetic} and {theirs} with "
        f"{evidence.reference}, chosen among the arms that need no synthetic images: a difference of "
        f"{evidence.differences[evidence.primary].signed}."
    )
    return [whole] if evidence.alike is None else [whole, evidence.alike.in_words(evidence.primary)]


def _second(evidence: Evidence) -> str:
    found = evidence.differences[evidence.secondary]
    shown = evidence.seeds >= LEAST_SEEDS and (found.low > 0 or found.high < 0)
    verb = "changes" if shown else "is not shown to change"
    return f"{_sentence(metric_in_words(evidence.secondary), '')} {verb}: {found.signed}."


def _beside(evidence: Evidence) -> list[str]:
    """What else of the classes moved, the harm first."""
    told = ((hurt(evidence), "It hurts"), (helped(evidence), "Judged alone, it helps"))
    return [
        f"{verb} " + ", ".join(f"{metric_in_words(each)} ({evidence.differences[each].signed})" for each in names) + "."
        for names, verb in told
        if names
    ]


def _sentence(words: str, end: str = ".") -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else end)
