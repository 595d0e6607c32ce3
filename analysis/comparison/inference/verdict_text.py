"""The verdict of a comparison in words: one sentence, then a few short points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analysis.comparison.inference.bootstrap import Estimate, Estimates
from analysis.comparison.inference.by_finding import ByFinding, Told, names_told
from analysis.comparison.inference.decomposition import EffectDecomposition
from analysis.comparison.inference.verdict_rule import ArmRoles, Grounds, Judgement, best_arm, judge, why_not
from analysis.data.endpoint import primary_endpoint
from analysis.data.minimums import ADVISED_SEEDS, RARE_TEST_PATIENTS, SEEDS
from analysis.statistics.metric_labels import metric_in_words


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is said beside the judgement, all of it from the test split.

    `levels` are those of every arm, `differences` of the synthetic arm to the baseline, by metric; where there is no
    synthetic arm, of the baseline to `real`. `effect` separates the images from the recipe of their arm. `setting`
    names backbone and size, `smallest` is the smallest detectable difference of the primary endpoint. `adjusted` are
    levels of the two arms at the prevalence of the training split, where the test split has another. `folds_that_fit`
    is the number of folds to advise; 0 for none. `findings` are told one by one, where images have several.
    """

    rare: str
    primary: str
    named: ArmRoles
    grounds: Grounds
    levels: Mapping[str, Estimates]
    differences: Estimates
    patients: Mapping[str, int]
    setting: str
    effect: EffectDecomposition | None = None
    smallest: float | None = None
    steps: int | None = None
    openings: int = 1
    how_named: str = ""
    adjusted: Mapping[str, Estimate] = field(default_factory=dict)
    prevalence: float | None = None
    folds_that_fit: int = 0
    findings: ByFinding = field(default_factory=dict)

    @property
    def judgement(self) -> Judgement:
        """What the verdict rule concludes from the grounds."""
        return judge(self.grounds)

    @property
    def best_arm(self) -> str | None:
        """The arm to use; None where this cannot be told."""
        return best_arm(self.grounds, self.named)

    @property
    def whom(self) -> str:
        """The class of the primary endpoint, or all classes on average."""
        return self.rare if ":" in self.primary else "all classes on average"


def sentence(found: Evidence) -> str:
    """The verdict in at most 30 words, with backbone and image size."""
    ours, use, judgement = found.named.synthetic, found.best_arm, found.judgement
    if judgement == "cannot tell":
        return f"{_cannot_tell(found)} ({found.setting})."
    said = {
        "helps": f"Use {ours}: synthetic images help {found.whom}",
        "harms": _harm(found),
        "no use": f"Do not use these images: with {ours} they gain less than {found.grounds.worth:g} for {found.whom}",
        "nothing synthetic": f"No synthetic images were compared: use {use} for {found.whom}",
        "invalid": "INVALID: nothing can be concluded from this comparison; its stamps say why",
    }[judgement]
    instead = f"; use {use}" if judgement in ("harms", "no use") else ""
    return f"{said} ({found.setting}){instead}."


def points(found: Evidence) -> list[str]:
    """At most six short points: estimate, baseline, what it rests on, what was detectable, calibration, what next."""
    if found.judgement == "invalid":
        return ["The figures are shown, but say nothing about unseen patients."]
    said = [
        _estimate(found),
        _baseline(found),
        _rests_on(found),
        "" if found.smallest is None else f"Smallest detectable difference: {found.smallest:.2f} (80% power).",
        _calibration(found),
        f"Next: {_next(found)}.",
    ]
    return [each for each in said if each]


def hurt(found: Evidence) -> list[str]:
    """Recall and AUPRC that the synthetic arm lowers, by metric; each judged alone, as a warning should be.

    Of findings, of which there may be hundreds, those that are hurt after correction for their number.
    """
    if found.findings:
        return _besides(found, "hurt")
    return [name for name in _of_classes(found) if found.differences[name].high < 0]


def helped(found: Evidence) -> list[str]:
    """Recall and AUPRC that the synthetic arm raises, by metric; each judged alone, findings after correction."""
    if found.findings:
        return _besides(found, "helped")
    return [name for name in _of_classes(found) if found.differences[name].low > 0]


def _besides(found: Evidence, told: Told) -> list[str]:
    names = map(primary_endpoint, names_told(found.findings, told))
    return [name for name in names if name != found.primary]


def _of_classes(found: Evidence) -> list[str]:
    """What is told beside the endpoint: of one seed, and of classes of too few patients, nothing is."""
    if found.grounds.seeds < SEEDS or found.named.synthetic is None:
        return []
    enough = [label for label, count in found.patients.items() if count >= RARE_TEST_PATIENTS]
    names = [f"{what}:{label}" for label in enough for what in ("recall", "auprc")]
    return [name for name in names if name != found.primary]


def _harm(found: Evidence) -> str:
    """The images, or only how their arm was trained."""
    effect, ours = found.effect, found.named.synthetic
    if effect is None or effect.images_harm(found.primary):
        return f"Do not use these images: with {ours} they harm {found.whom}"
    by = "not by its images" if effect.recipe_harms(found.primary) else "by its images or by its recipe"
    return f"Do not use {ours}: it harms {found.whom}, {by}"


def _cannot_tell(found: Evidence) -> str:
    ours, base = found.named.synthetic, found.named.baseline
    whether = f"whether synthetic images help {found.whom}"
    better, longer = found.grounds.better_baseline, _longer(found)
    reason = why_not(found.grounds)
    if reason == "beaten" and found.best_arm is not None:
        return f"Use {better}, which needs no synthetic images: for {found.whom} it beats the baseline {base}"
    reasons = {
        "nobody": f"Cannot tell {whether}: the test split has no patient with it",
        "one seed": f"Cannot tell {whether}: one seed says nothing; use --seeds {ADVISED_SEEDS}",
        "too few": f"Cannot tell {whether}: {_people(found)} are too few",
        "failed": f"Cannot tell: the baseline fails here, {base} is no better than a guess for {found.whom}",
        "not finished": f"Cannot tell {whether}: train longer ({longer})",
        "beaten": f"Cannot tell: the baseline fails here, {better} beats it, though {ours} beats both",
        "others": f"Cannot tell {whether}: {ours} does not, {found.grounds.better_use} may",
        "matched": f"Use {found.best_arm}, which needs no model: for {found.whom} it beats the baseline {base}, and "
        f"{ours} is not shown to beat it",
        "too small": f"Cannot tell {whether}: {_people(found)} cannot show a difference this small",
        None: "",
    }
    return reasons[reason]


def _people(found: Evidence) -> str:
    count = found.grounds.patients
    return f"{count} test patient{'' if count == 1 else 's'}"


def _longer(found: Evidence) -> str:
    return f"--steps {2 * found.steps}" if found.steps else "--steps auto"


def _estimate(found: Evidence) -> str:
    """The planned difference; where there are no synthetic images, the baseline's level and what it gains."""
    what, base, ours = metric_in_words(found.primary), found.named.baseline, found.named.synthetic
    what = what[:1].upper() + what[1:]
    if not found.grounds.patients:
        return f"{what} is unknown: no test patient has it."
    level = found.levels[base][found.primary]
    if ours is None:
        gain = f"; {found.differences[found.primary].signed} against real" if base != "real" else ""
        return f"{what}: {level} with {base}{gain}."
    told = f"{what}: {found.levels[ours][found.primary]} with {ours}, {level} with {base}; difference "
    told += f"{found.differences[found.primary].signed}."
    if found.adjusted and found.prevalence is not None:
        pair = " and ".join(f"{found.adjusted[arm].mean:.3f}" for arm in (ours, base))
        told += f" At the training prevalence of {found.prevalence:.1%}: {pair}."
    return told + _beside(found)


def _beside(found: Evidence) -> str:
    """What else of the classes moved, the harm first."""
    told = ((hurt(found), " It lowers"), (helped(found), " It raises"))
    return "".join(
        f"{verb} " + ", ".join(f"{metric_in_words(each)} ({found.differences[each].signed})" for each in names) + "."
        for names, verb in told
        if names
    )


def _baseline(found: Evidence) -> str:
    """Which one, whether it is sound, and what the images do by themselves."""
    grounds, base = found.grounds, found.named.baseline
    how = f" {found.how_named}" if found.how_named and found.named.synthetic else ""
    if (better := grounds.better_baseline) is not None:
        sound = f"{better} beats it by {grounds.rivals[better].signed}"
    elif grounds.rivals:
        others = len(grounds.rivals)
        sound = f"none of {others} other arm{'s' if others > 1 else ''} without synthetic images is shown to beat it"
    else:
        sound = "no other arm without synthetic images was compared with it"
    sound += "".join(
        f"; {arm}, real lesions put into other images, differs from it by {each.signed}, {found.named.synthetic} from "
        f"{arm} by {grounds.margins[arm].signed}"
        for arm, each in grounds.counters.items()
    )
    effect = "" if found.effect is None else f" {found.effect.in_words(found.primary)}"
    return f"Baseline: {base}; {sound}.{how}{effect}"


def _rests_on(found: Evidence) -> str:
    grounds = found.grounds
    steps = f", {found.steps} steps" if found.steps else ""
    ended = f"; still improving: {', '.join(grounds.unfinished)}" if grounds.unfinished else ""
    once = "once" if found.openings == 1 else f"{found.openings} times"
    seeds = f"{grounds.seeds} seed{'s' if grounds.seeds > 1 else ''}"
    return f"Rests on {_people(found)} with {found.rare}, {seeds}{steps}{ended}. The test split was opened {once}."


def _calibration(found: Evidence) -> str:
    """Of both arms, since balancing ruins it."""
    arms = [arm for arm in (found.named.synthetic, found.named.baseline) if arm]
    told = [
        f"{arm} Brier score {found.levels[arm]['brier'].mean:.3f}, calibration error "
        f"{found.levels[arm]['calibration_error'].mean:.3f}"
        for arm in arms
        if "brier" in found.levels[arm]
    ]
    return f"Calibration: {'; '.join(told)}." if told else ""


def _next(found: Evidence) -> str:
    """The next step: one clause, without a full stop."""
    reason = why_not(found.grounds) if found.judgement == "cannot tell" else None
    seeds = f", and --seeds {ADVISED_SEEDS}" if found.grounds.seeds < ADVISED_SEEDS else ""
    more = f"more patients with {found.rare}{seeds}"
    if found.folds_that_fit:
        more = f"test every patient once, balance compare --cross-fit {found.folds_that_fit}{seeds}"
    advice = {
        "not finished": f"balance compare {_longer(found)}",
        "failed": f"balance compare {_longer(found)}; if that is no better, more real images of {found.rare}, or a "
        "pretrained --backbone with --weights",
        "beaten": "compare with that arm on new patients",
        "matched": "compare with that arm on new patients",
        "others": f"balance compare --arm {found.grounds.better_use} on new patients",
        "one seed": f"balance compare --seeds {ADVISED_SEEDS}",
    }
    if found.judgement == "cannot tell":
        return advice.get(str(reason), more)
    return {
        "helps": "confirm it on patients of another hospital before you rely on it",
        "harms": "better images (balance adapt, balance review), or more real ones",
        "no use": "better images (balance adapt, balance review), or more real ones",
        "nothing synthetic": "balance fill, then compare again",
    }[found.judgement]


def joined(sentences: Sequence[str]) -> str:
    """The sentences that are not empty, joined to one paragraph."""
    return " ".join(each for each in sentences if each)
