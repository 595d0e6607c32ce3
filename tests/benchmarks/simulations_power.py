"""Does `power` say what `compare` then does? Scores of two arms are simulated anew and judged by compare's own code."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from analysis.comparison.inference import class_patients, estimate, measure_arms
from analysis.comparison.study import Outcomes
from analysis.power import USUAL, Sample, power, recall_difference
from analysis.ranking import average_precisions
from tests.benchmarks.rows import Row

BASE = math.sqrt(2) * NormalDist().inv_cdf(USUAL.auroc)
GOAL = "75% to 85%"


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


def simulated(rare: int, others: int, better: float, rng: np.random.Generator, seeds: int = 5) -> Outcomes:
    """One test set, one image a patient, scored by a baseline and by an arm whose classes are `better` apart."""
    targets = np.repeat([1, 0], [rare, others])
    image = rng.standard_normal(len(targets))
    chances: dict[str, Any] = {}
    for arm, distance in (("baseline", BASE), ("synthetic", better)):
        own, luck = rng.standard_normal(len(targets)), rng.normal(0, 0.03, (seeds, 1))
        scores = math.sqrt(0.7) * image + math.sqrt(0.3) * own + (distance + luck) * targets
        positive = 1 / (1 + np.exp(-scores))
        chances[arm] = np.stack([1 - positive, positive], axis=-1).astype(np.float64)
    return Outcomes(("n", "r"), "r", targets, np.arange(len(targets)), pd.DataFrame(index=range(len(targets))), chances)


def shown(outcomes: Outcomes, times: int = 200) -> bool:
    """Whether compare's interval of the planned contrast lies above 0."""
    measured = measure_arms(outcomes, times)
    contrast = measured["synthetic"].minus(measured["baseline"])
    return estimate(contrast, class_patients(outcomes), difference=True)["auprc:r"].low > 0


def share_of_helps(rare: int, others: int, difference: float, sets: int, seed: int = 0) -> float:
    """How often compare finds a difference, in test sets where it is true."""
    better, rng = distance_of(rare, others, difference), np.random.default_rng(seed)
    return float(np.mean([shown(simulated(rare, others, better, rng)) for _ in range(sets)]))


def _auprc(rare: int, others: int, full: bool) -> Row:
    smallest = power(Sample((1,) * rare, (1,) * others)).auprc
    assert smallest is not None
    share = share_of_helps(rare, others, smallest, 1000 if full else 300)
    what = f"S3 power: {rare} rare of {rare + others} test patients, at the smallest detectable AUPRC difference"
    return Row(what, f"{USUAL.power:.0%} by {smallest:.3f}", f"helps in {share:.0%}", GOAL, 0.75 <= share <= 0.85)


def auprc_of_12(full: bool) -> Row:
    return _auprc(12, 64, full)


def auprc_of_40(full: bool) -> Row:
    return _auprc(40, 360, full)


def auprc_of_equal_arms(full: bool) -> Row:
    sets = 1000 if full else 300
    share = share_of_helps(12, 64, 0.0, sets)
    return Row(
        "S3 equal arms, 12 rare test patients", "no difference", f"helps in {share:.1%}", "at most 4%", share <= 0.04
    )


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


ROWS = [auprc_of_12, auprc_of_40, auprc_of_equal_arms, recall_of_6, recall_of_12, recall_of_60]
