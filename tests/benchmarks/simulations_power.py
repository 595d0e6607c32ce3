"""Does `power` say what `compare` then does? Scores of two arms are simulated anew and judged by compare's own code."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.stats import binomtest

from analysis.comparison.inference.verdict_rule import ArmRoles, grounds_of, judge, judge_scores, why_not
from analysis.power.detectable_effect import power, recall_difference
from analysis.power.sample import USUAL, Sample
from analysis.statistics.average_precision import average_precisions
from balancer.splits.fold_limit import folds_that_fit
from tests.benchmarks.rows import Row

BASE = math.sqrt(2) * NormalDist().inv_cdf(USUAL.auroc)
GOAL, SEEDS = "75% to 85%", 5


def distance_of(rare: int, others: int, difference: float) -> float:
    """The distance between the classes at which AUPRC is better by so much, by brute force."""
    rng = np.random.default_rng(1)

    def area(distance: float) -> float:
        draws = [
            average_precisions(rng.standard_normal(rare) + distance, rng.standard_normal(others)) for _ in range(3000)
        ]
        return float(np.mean(draws))

    grid = np.linspace(BASE, BASE + 2.5, 14)
    areas = np.maximum.accumulate([area(each) for each in grid])
    return float(np.interp(areas[0] + difference, areas, grid))


def simulated(
    rare: int,
    others: int,
    better: float,
    rng: np.random.Generator,
    rivals: int = 0,
    folds: int = 1,
    counter: float | None = None,
) -> tuple[dict[str, Any], Any]:
    """Scores (S, N) of each arm for one test set, one image a patient, and the fold of each.

    The classes of the synthetic arm are `better` apart, those of transplanted lesions `counter`, the rivals are as good
    as the baseline. Each fold has a model of its own, whose scores have their own zero.
    """
    positive = np.repeat([1, 0], [rare, others])
    fold = np.concatenate([np.arange(rare) % folds, np.arange(others) % folds])
    image, scores = rng.standard_normal(len(positive)), {}
    distances = {"synthetic": better} | ({} if counter is None else {"transplanted": counter})
    for arm in ("baseline", *distances, *(f"rival-{number}" for number in range(rivals))):
        own, luck, zero = rng.standard_normal(len(positive)), rng.normal(0, 0.03, (SEEDS, 1)), rng.normal(0, 1, folds)
        apart = distances.get(arm, BASE) + luck
        scores[arm] = math.sqrt(0.7) * image + math.sqrt(0.3) * own + apart * positive + zero[fold]
    return scores, fold


def judged(rare: int, others: int, better: float, rng: np.random.Generator, **how: int) -> str:
    """What compare says of one such test set."""
    scores, fold = simulated(rare, others, better, rng, **how)
    named = ArmRoles("baseline", "synthetic", tuple(arm for arm in scores if arm.startswith("rival")))
    positive = np.arange(rare + others) < rare
    folds = fold if how.get("folds", 1) > 1 else None
    return judge_scores(scores, positive, np.arange(rare + others), named, folds=folds, times=200)


def share_of_helps(rare: int, others: int, difference: float, sets: int, seed: int = 0, **how: int) -> float:
    """How often compare says "helps", in test sets where the synthetic arm is so much better."""
    folds = how.get("folds", 1)
    better, rng = distance_of(rare // folds, others // folds, difference), np.random.default_rng(seed)
    return float(np.mean([judged(rare, others, better, rng, **how) == "helps" for _ in range(sets)]))


def _auprc(rare: int, others: int, full: bool, **how: int) -> Row:
    smallest = power(Sample((1,) * rare, (1,) * others), folds=how.get("folds", 1)).auprc
    assert smallest is not None
    share = share_of_helps(rare, others, smallest, 1000 if full else 300, **how)
    beside = ", ".join(f"{count} {what}" for what, count in how.items())
    what = f"S3 smallest detectable AUPRC difference, {rare} rare of {rare + others} test patients"
    return Row(
        f"{what}, {beside}" if beside else what,
        f"{USUAL.power:.0%} at {smallest:.3f}",
        f"helps in {share:.0%}",
        GOAL,
        0.75 <= share <= 0.85,
    )


def auprc_of_12(full: bool) -> Row:
    return _auprc(12, 64, full)


def auprc_of_40(full: bool) -> Row:
    return _auprc(40, 360, full)


def auprc_beside_rivals(full: bool) -> Row:
    return _auprc(24, 216, full, rivals=4)


def auprc_in_folds(full: bool) -> Row:
    return _auprc(40, 360, full, folds=4)


def auprc_of_equal_arms(full: bool) -> Row:
    share = share_of_helps(12, 64, 0.0, 1000 if full else 300)
    return Row("S3 equal arms, 12 rare test patients", "none", f"helps in {share:.1%}", "at most 4%", share <= 0.04)


def beside_transplants(ours: float, theirs: float, sets: int, seed: int = 0) -> tuple[float, float]:
    """How often compare says "helps", and "use transplanted", of 40 rare patients: by how much each is better."""
    apart = [distance_of(40, 360, each) if each else BASE for each in (ours, theirs)]
    rng, positive, roles = np.random.default_rng(seed), np.arange(400) < 40, ArmRoles("baseline", "synthetic")
    helps = matched = 0
    for _ in range(sets):
        scores, _ = simulated(40, 360, apart[0], rng, counter=apart[1])
        found = grounds_of(scores, positive, np.arange(400), replace(roles, counters=("transplanted",)), times=200)
        helps += judge(found) == "helps"
        matched += why_not(found) == "matched"
    return helps / sets, matched / sets


def _transplants(what: str, ours: float, theirs: float, full: bool, goal: str, holds: Callable[..., bool]) -> Row:
    helps, matched = beside_transplants(ours, theirs, 1000 if full else 300)
    truth = f"images {ours:+.2f}, transplants {theirs:+.2f}"
    return Row(
        f"40 rare test patients: {what}",
        truth,
        f"helps in {helps:.0%}, use transplanted in {matched:.0%}",
        goal,
        holds(helps, matched),
    )


def transplants_that_do_nothing(full: bool) -> Row:
    smallest = power(Sample((1,) * 40, (1,) * 360)).auprc
    assert smallest is not None
    goal, holds = "75% to 85%, at most 5%", lambda helps, matched: 0.75 <= helps <= 0.85 and matched <= 0.05
    return _transplants("transplants that do nothing", smallest, 0.0, full, goal, holds)


def transplants_as_good(full: bool) -> Row:
    goal, holds = "at most 5%, at least 90%", lambda helps, matched: helps <= 0.05 and matched >= 0.9
    return _transplants("transplants as good as the images", 0.25, 0.25, full, goal, holds)


def transplants_and_nothing(full: bool) -> Row:
    goal, holds = "at most 4% each", lambda helps, matched: max(helps, matched) <= 0.04
    return _transplants("neither does anything", 0.0, 0.0, full, goal, holds)


def coverage(rare: int, sets: int, difference: float, seed: int = 0) -> float:
    """How often the interval of a difference holds the true one, with as many folds as the patients support."""
    others, folds = 4 * rare, folds_that_fit(rare) or 1
    better = distance_of(rare // folds, others // folds, difference) if difference else BASE
    rng = np.random.default_rng(seed)
    positive, groups = np.arange(rare + others) < rare, np.arange(rare + others)
    found = []
    for _ in range(sets):
        scores, fold = simulated(rare, others, better, rng, folds=folds)
        contrast = grounds_of(scores, positive, groups, ArmRoles("baseline", "synthetic"), fold, 200).contrast
        assert contrast is not None
        found.append((contrast.low, contrast.high))
    low, high = np.array(found).T
    return float(((low <= difference) & (difference <= high)).mean())


def _coverage(rare: int, full: bool) -> Row:
    sets = 2000 if full else 200
    shares = [coverage(rare, sets, difference) for difference in (0.0, 0.15)]
    told = "covers in " + " and ".join(f"{each:.1%}" for each in shares)
    what = f"S1 interval of a difference of 0 and of 0.15, {rare} rare patients, in folds of 5 or more"
    least = 0.95 - 3 * (0.95 * 0.05 / sets) ** 0.5
    return Row(what, "95%", told, f"at least {least:.1%} (3 standard errors below)", min(shares) >= least)


def coverage_of_6(full: bool) -> Row:
    return _coverage(6, full)


def coverage_of_10(full: bool) -> Row:
    return _coverage(10, full)


def coverage_of_20(full: bool) -> Row:
    return _coverage(20, full)


def coverage_of_50(full: bool) -> Row:
    return _coverage(50, full)


def share_of_significant(n: int, discordant: float, difference: float, sets: int, seed: int = 0) -> float:
    """How often the exact sign test of discordant pairs is significant, by drawing the pairs."""
    rng, discordant = np.random.default_rng(seed), max(discordant, difference)
    shares = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    draws = rng.multinomial(n, shares, sets)
    pairs = [(better, worse) for better, worse, _ in draws.tolist()]
    significant = {pair: _sign_test(*pair) <= USUAL.level for pair in set(pairs)}
    return float(np.mean([significant[pair] for pair in pairs]))


def _sign_test(better: int, worse: int) -> float:
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def _recall(n: int, full: bool) -> Row:
    span = recall_difference(Sample((1,) * n, ()))
    assert span is not None
    shares = [
        share_of_significant(n, assumed, smallest, 20000 if full else 4000)
        for assumed, smallest in zip(USUAL.discordant, span, strict=True)
    ]
    told = f"{span[0]:.2f} to {span[1]:.2f}: significant in " + " and ".join(f"{each:.0%}" for each in shares)
    right = all(0.77 <= each <= 0.83 for each in shares)
    return Row(f"S5 recall, {n} patients, exact sign test", "80%", told, "77% to 83%", right)


def recall_of_6(full: bool) -> Row:
    return _recall(6, full)


def recall_of_12(full: bool) -> Row:
    return _recall(12, full)


def recall_of_60(full: bool) -> Row:
    return _recall(60, full)


ROWS = [
    auprc_of_12,
    auprc_of_40,
    auprc_beside_rivals,
    auprc_in_folds,
    auprc_of_equal_arms,
    transplants_that_do_nothing,
    transplants_as_good,
    transplants_and_nothing,
    coverage_of_6,
    coverage_of_10,
    coverage_of_20,
    coverage_of_50,
    recall_of_6,
    recall_of_12,
    recall_of_60,
]
