"""Findings of images that have several: false alarms, planted differences, unknown marks. By compare's own code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.comparison.inference.bootstrap import measure_arms
from analysis.comparison.inference.by_finding import judge_findings
from analysis.comparison.inference.metrics import measure, metric_names
from analysis.comparison.inference.verdict_rule import ArmRoles, Grounds
from analysis.comparison.inputs.study import Outcomes
from tests.benchmarks.rows import Row

NAMED = ArmRoles("strong-augmentation", "pretraining")
SHARES = {"A": 0.3, "B": 0.2, "C": 0.12, "D": 0.08, "E": 0.0}
"""Images with each finding, drawn independently; two more have E, which is too few to judge."""
BASE, SEEDS, DRAWS = 1.5, 3, 200
SOUND = Grounds(None, 0, SEEDS)


def drawn_findings(
    seed: int, gain: Mapping[str, float] | None = None, unknown: float = 0.15, images: int = 400
) -> Outcomes:
    """One image a patient. The synthetic arm has a finding's images so much farther from the others as `gain` says.

    Both arms see the same images: their scores have a part in common, and each training has its own luck. A share of
    the marks is `unknown`.
    """
    rng = np.random.default_rng(seed)
    marks = (rng.random((images, len(SHARES))) < [*SHARES.values()]).astype(np.int8)
    marks[:2, -1] = 1
    image, said = rng.standard_normal(marks.shape), {}
    more = np.array([(gain or {}).get(name, 0.0) for name in SHARES])
    for arm in (NAMED.baseline, "pretraining"):
        own, luck = rng.standard_normal(marks.shape), rng.normal(0, 0.03, (SEEDS, 1, len(SHARES)))
        apart = BASE + luck + (more if arm == "pretraining" else 0.0)
        scores = math.sqrt(0.7) * image + math.sqrt(0.3) * own + apart * marks
        said[arm] = (1 / (1 + np.exp(BASE - scores))).astype(np.float32)
    hidden = rng.random(marks.shape) < unknown
    hidden[:2, -1] = False
    marks[hidden] = rng.choice([-1, -2], marks.shape)[hidden]
    return Outcomes(tuple(SHARES), "D", marks, np.arange(images), pd.DataFrame(index=range(images)), said)


def told(outcomes: Outcomes) -> dict[str, str]:
    """What is told of each finding."""
    found = judge_findings(outcomes, measure_arms(outcomes, DRAWS), NAMED, SOUND)
    return {name: each.told for name, each in found.items()}


def no_winner(full: bool) -> Row:
    sets = 1000 if full else 200
    alarms = [{*told(drawn_findings(seed)).values()} & {"helped", "hurt"} for seed in range(sets)]
    share = float(np.mean([bool(each) for each in alarms]))
    most = 0.05 + 2 * math.sqrt(0.05 * 0.95 / sets)  # what chance adds to a true 5%
    return Row(
        f"S14 two equal arms, four findings, {sets} test sets",
        "no finding helped or hurt",
        f"any in {share:.1%}",
        f"at most 5%, with chance {most:.1%}",
        share <= most,
    )


def one_finding(full: bool) -> Row:
    sets = 200 if full else 60
    both = [told(drawn_findings(seed, {"B": 1.0 if seed % 2 else -1.0})) for seed in range(sets)]
    right = np.mean([each["B"] == ("helped" if seed % 2 else "hurt") for seed, each in enumerate(both)])
    other = np.mean([any(each[name] in ("helped", "hurt") for name in "ACD") for each in both])
    return Row(
        f"S14 one of four findings made better or worse, {sets} test sets",
        "that one, and no other",
        f"that one in {right:.0%}, another in {other:.1%}",
        "at least 90%, at most 10%",
        bool(right >= 0.9 and other <= 0.1),
    )


def unknown_marks(full: bool) -> Row:
    """The difference of two arms on half of the marks, against that on all: masked, and taken for denied."""
    sets, place = 400 if full else 100, metric_names(tuple(SHARES), several=True).index("auprc:B")
    masked, denied = [], []
    for seed in range(sets):
        outcomes = [drawn_findings(seed, {"B": 0.7}, unknown) for unknown in (0.0, 0.5)]
        whole, half = (difference(each, place) for each in outcomes)
        masked.append(half - whole)
        taken = replace(outcomes[1], targets=np.maximum(outcomes[1].targets, 0))
        denied.append(difference(taken, place) - whole)
    error = float(np.std(masked, ddof=1)) / math.sqrt(sets)
    bias, other = float(np.mean(masked)), float(np.mean(denied))
    return Row(
        f"S14 half of the marks unknown, {sets} test sets",
        "no bias in the difference of AUPRC",
        f"{bias:+.3f} (taken for denied {other:+.3f})",
        f"within {2.5 * error:.3f} and 0.02",
        abs(bias) <= min(2.5 * error, 0.02) and abs(bias) < abs(other),
    )


def difference(outcomes: Outcomes, place: int) -> float:
    """Of the synthetic arm and the baseline, in the figure at that place, the mean over seeds."""
    figures = [
        np.mean([measure(one, outcomes.targets)[place, 0] for one in outcomes.probabilities[arm]])
        for arm in ("pretraining", NAMED.baseline)
    ]
    return float(figures[0] - figures[1])


ROWS = [no_winner, one_finding, unknown_marks]
