"""The rule of the verdict: from the scores of two arms that were named beforehand to what may be said of them.

One planned contrast decides, the synthetic arm less the baseline, at its 95% interval: it needs no correction for other
arms. Those without synthetic images are there to show whether the baseline is sound, and never to be beaten: a rule
that asks to beat each of them has less power than its planned contrast, and nobody knows how much less. Only
transplanted lesions, which do the same without a model, must be beaten where they beat the baseline too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from analysis.comparison.inference.bootstrap import Estimate, Measured, draw_patients, estimate, holm
from analysis.comparison.inputs.study import Numbers
from analysis.data.minimums import RARE_TEST_PATIENTS, SEEDS
from analysis.statistics.average_precision import RankedFolds
from analysis.statistics.intervals import Flags, Groups

Judgement = Literal["helps", "harms", "no use", "cannot tell", "nothing synthetic", "invalid"]
Reason = Literal["nobody", "one seed", "too few", "not finished", "failed", "beaten", "matched", "others", "too small"]
"""Why nothing can be told."""
Scores = npt.NDArray[np.floating]
"""(S, N): what an arm says of each test image, a row for each seed."""

WORTH = 0.02
"""A gain of the primary endpoint below which synthetic images are not worth their trouble."""
ALPHA = 0.05
"""The level at which a corrected p-value is said to show something."""
_SCORE = "auprc:"


@dataclass(frozen=True, slots=True)
class ArmRoles:
    """The arms of the contrast, named before the test split is opened.

    `synthetic` is None where there are no synthetic images. `rivals` are the other arms without them, by which the
    baseline is checked; `uses` are other arms with them; `counters` have transplanted lesions instead.
    """

    baseline: str
    synthetic: str | None
    rivals: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()

    @classmethod
    def among(cls, kinds: Mapping[str, str], baseline: str, synthetic: str | None) -> ArmRoles:
        """The two arms of the verdict, and what the others are beside them, by their kinds.

        >>> kinds = {"real": "real", "crt": "free", "strong-augmentation": "free", "synthetic-1": "synthetic"}
        >>> ArmRoles.among(kinds, "strong-augmentation", "synthetic-1").rivals
        ('real', 'crt')
        """
        others = [arm for arm in kinds if arm not in (baseline, synthetic)]
        return cls(
            baseline,
            synthetic,
            tuple(arm for arm in others if kinds[arm] in ("real", "free")),
            tuple(arm for arm in others if kinds[arm] == "synthetic"),
            tuple(arm for arm in others if kinds[arm] == "counter"),
        )


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a judgement rests on: differences in the primary endpoint on the test split, and what is known beside.

    `contrast` is the synthetic arm less the baseline; None where there is none. `rivals`, `uses` and `counters` are
    other arms less the baseline, without and with synthetic images and with transplanted lesions, each with its p-value
    after Holm; `margins` are the synthetic arm less each rival and counter. `patients` have the rare class.
    `unfinished` names the arms of the contrast that were still improving when their training ended, `failed` says that
    the baseline learned nothing.
    """

    contrast: Estimate | None
    patients: int
    seeds: int
    rivals: Mapping[str, Estimate] = field(default_factory=dict)
    margins: Mapping[str, Estimate] = field(default_factory=dict)
    uses: Mapping[str, Estimate] = field(default_factory=dict)
    counters: Mapping[str, Estimate] = field(default_factory=dict)
    unfinished: tuple[str, ...] = ()
    failed: bool = False
    invalid: bool = False
    worth: float = WORTH

    @property
    def better_baseline(self) -> str | None:
        """The best arm without synthetic images that is shown to beat the baseline, if there is one."""
        return _best_shown(self.rivals)

    @property
    def better_use(self) -> str | None:
        """The best other arm with synthetic images that is shown to beat the baseline, if there is one."""
        return _best_shown(self.uses)

    @property
    def as_good(self) -> str | None:
        """The best arm with transplanted lesions that is shown to beat the baseline, and is not shown to be beaten."""
        return _best_shown({arm: each for arm, each in self.counters.items() if not self.margins[arm].low > 0})


def judge(grounds: Grounds) -> Judgement:
    """What may be said: never "helps" beside a baseline that is not sound, nothing of trainings that had not ended.

    >>> judge(Grounds(Estimate(0.1, 0.02, 0.18), patients=20, seeds=5))
    'helps'
    >>> judge(Grounds(Estimate(0.1, 0.02, 0.18), patients=20, seeds=5, unfinished=("pretraining",)))
    'cannot tell'
    """
    if grounds.invalid:
        return "invalid"
    if grounds.contrast is None:
        return "nothing synthetic"
    return "cannot tell" if why_not(grounds) else _by_interval(grounds.contrast, grounds.worth)


def why_not(grounds: Grounds) -> Reason | None:
    """Why nothing can be told, the most important reason alone; None where something can."""
    assert grounds.contrast is not None
    told = _by_interval(grounds.contrast, grounds.worth)
    reasons: dict[Reason, bool] = {
        "nobody": grounds.patients == 0,
        "one seed": grounds.seeds < SEEDS,
        "too few": grounds.patients < RARE_TEST_PATIENTS,
        "failed": grounds.failed,
        "not finished": bool(grounds.unfinished),
        "beaten": told in ("helps", "cannot tell") and grounds.better_baseline is not None,
        "matched": told in ("helps", "cannot tell") and grounds.as_good is not None,
        "others": told in ("harms", "no use") and grounds.better_use is not None,
        "too small": told == "cannot tell",
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def best_arm(grounds: Grounds, named: ArmRoles) -> str | None:
    """The arm to use; None where this cannot be told.

    Where the baseline is beaten, that is the arm that beats it, unless the synthetic arm beats that one too.
    """
    judgement = judge(grounds)
    better = grounds.better_baseline
    if judgement == "helps":
        return named.synthetic
    if judgement in ("harms", "no use", "nothing synthetic"):
        return better or grounds.as_good or named.baseline
    if judgement == "cannot tell" and why_not(grounds) == "matched":
        return grounds.as_good
    if judgement == "cannot tell" and why_not(grounds) == "beaten" and better is not None:
        return None if better in grounds.margins and grounds.margins[better].low > 0 else better
    return None


def weigh(
    measured: Mapping[str, Measured],
    named: ArmRoles,
    metric: str,
    patients: Mapping[str, int],
    *,
    folds: int = 1,
    worth: float = WORTH,
) -> Grounds:
    """The differences that a judgement rests on, from the figures of every arm; `patients` are those of each class."""

    def less(one: str, other: str) -> Estimate:
        difference = measured[one].only(metric).minus(measured[other].only(metric))
        return estimate(difference, patients, difference=True, folds=folds)[metric]

    ours, seeds = named.synthetic, measured[named.baseline].found.shape[1]
    label = metric.partition(":")[2]
    return Grounds(
        None if ours is None else less(ours, named.baseline),
        patients.get(label, min((count for count in patients.values() if count), default=0)),
        seeds,
        with_holm({arm: less(arm, named.baseline) for arm in named.rivals}),
        {} if ours is None else {arm: less(ours, arm) for arm in (*named.rivals, *named.counters)},
        with_holm({arm: less(arm, named.baseline) for arm in named.uses}),
        {} if ours is None else with_holm({arm: less(arm, named.baseline) for arm in named.counters}),
        worth=worth,
    )


def judge_scores(
    scores: Mapping[str, Scores],
    positive: Flags,
    groups: Groups,
    named: ArmRoles,
    *,
    folds: Numbers | None = None,
    times: int = 400,
    seed: int = 0,
) -> Judgement:
    """The verdict that follows from `grounds_of` the same scores: the rule of a comparison, without its words.

    >>> rng = np.random.default_rng(0)
    >>> positive = np.arange(120) < 30
    >>> base = rng.normal(size=(3, 120)) + positive
    >>> judge_scores({"a": base, "b": base + 2 * positive}, positive, np.arange(120), ArmRoles("a", "b"))
    'helps'
    """
    return judge(grounds_of(scores, positive, groups, named, folds, times, seed))


def grounds_of(
    scores: Mapping[str, Scores],
    positive: Flags,
    groups: Groups,
    named: ArmRoles,
    folds: Numbers | None = None,
    times: int = 400,
    seed: int = 0,
) -> Grounds:
    """The differences of AUPRC that a judgement rests on, from what arms say of (N,) test images.

    `scores` are (S, N) for each arm, `positive` flags the images of the rare class, `groups` number the patients and
    `folds` the fold that tested each image. A comparison with the same figures, whose trainings ended, comes to the
    same judgement.
    """
    draws = draw_patients(positive.astype(np.int64), groups, times, seed, folds)
    weights = np.concatenate((np.ones((len(draws), 1), np.float32), draws), axis=1)
    arms = [named.baseline, *filter(None, [named.synthetic]), *named.rivals, *named.uses, *named.counters]
    measured = {arm: _measured(scores[arm], positive, folds, weights) for arm in arms}
    patients = {"": len(np.unique(groups[positive]))}
    count = 1 if folds is None else len(np.unique(folds))
    return weigh(measured, named, _SCORE, patients, folds=count)


def with_holm(found: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """The same with p-values that count how many there are."""
    corrected = holm({arm: each.p_value for arm, each in found.items()})
    return {arm: replace(each, p_holm=corrected[arm]) for arm, each in found.items()}


def _measured(scores: Scores, positive: Flags, folds: Numbers | None, weights: npt.NDArray[np.float32]) -> Measured:
    areas = np.stack([RankedFolds.of(each, positive, folds).areas(weights)[0] for each in scores])[None]
    return Measured((_SCORE,), areas[..., 0], areas[..., 1:])


def _by_interval(contrast: Estimate, worth: float) -> Judgement:
    """The judgement from the 95% interval of the difference alone."""
    if contrast.high < 0:
        return "harms"
    if contrast.low > 0:
        return "helps"
    return "no use" if contrast.high < worth else "cannot tell"  # neither holds of what is not a number


def _best_shown(found: Mapping[str, Estimate]) -> str | None:
    shown = {arm: each for arm, each in found.items() if each.low > 0 and (each.p_holm or 0.0) <= ALPHA}
    return max(shown, key=lambda arm: shown[arm].mean, default=None)
