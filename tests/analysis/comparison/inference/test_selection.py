"""Which two arms are judged, and that folds are measured by themselves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.inference.bootstrap import class_patients, estimate, measure_arms
from analysis.comparison.inference.metrics import measure, metric_names
from analysis.comparison.inference.selection import choose, pooled
from analysis.comparison.inputs.study import Outcomes
from tests.analysis.comparison.inference.test_result import KINDS, drawn

PRIMARY = "auprc:R"
BASELINE = "class-weights"


def chosen(part, *asked):
    return choose(part, BASELINE, asked, tuple(KINDS), PRIMARY)


def test_arms_that_were_named_are_taken_whatever_validation_says():
    found = chosen(drawn(1), "synthetic-3")
    assert (found.baseline, found.synthetic, found.sentence) == (
        BASELINE,
        "synthetic-3",
        "Both arms were named beforehand.",
    )
    assert found.validation["synthetic-1"] > found.validation["synthetic-3"]
    assert chosen(drawn(1)).synthetic is None


def test_of_several_the_best_is_taken_where_validation_can_tell():
    found = chosen(drawn(1), "synthetic-3", "synthetic-1")
    assert found.synthetic == "synthetic-1"
    assert found.sentence == "synthetic-1 was chosen from synthetic-3, synthetic-1, on 25 validation patients."


@pytest.mark.parametrize("part", [drawn(1, counts=(60, 50, 19)), [drawn(1), drawn(2)]])
def test_few_validation_patients_and_folds_choose_nothing(part):
    found = chosen(part, "synthetic-3", "synthetic-1")
    assert found.synthetic == "synthetic-3"
    assert found.sentence.startswith("The first of synthetic-3, synthetic-1 is judged: choosing needs 20 validation")


@pytest.mark.filterwarnings("error")
def test_without_validation_images_nothing_is_known_and_nothing_breaks():
    part = drawn(1)
    none = {arm: said[:, :0] for arm, said in part.probabilities.items()}
    nobody = replace(part, targets=part.targets[:0], groups=part.groups[:0], probabilities=none)
    assert np.isnan(chosen(nobody, "synthetic-1").validation["real"])
    assert chosen([part, nobody], "synthetic-1").validation["real"] == chosen(part, "synthetic-1").validation["real"]


def in_folds(seed, patients, spread=(0.3, 1.0), folds=5, seeds=3, gain=0.0):
    """Arms that are equal in every fold, the scores of the second on a scale of its own in each fold."""
    rng = np.random.default_rng(seed)
    parts = []
    for fold in range(folds):
        rare, others = patients // folds, 4 * patients // folds
        targets = np.repeat([1, 0], [rare, others])
        size, probabilities = rare + others, {}
        base = 0.84 * rng.standard_normal(size)
        for place, (arm, width) in enumerate(zip(("one", "other"), spread, strict=True)):
            own = 0.55 * rng.standard_normal(size) + rng.normal(0, width)
            scores = base + own + (1.47 + place * gain) * targets + rng.normal(0, 0.1, (seeds, size))
            second = 1 / (1 + np.exp(-scores))
            probabilities[arm] = np.stack((1 - second, second), axis=-1).astype(np.float32)
        groups = np.arange(size) + 10_000 * fold
        parts.append(Outcomes(("A", "R"), "R", targets, groups, pd.DataFrame(index=range(size)), probabilities))
    return parts


def difference(parts):
    together = pooled(parts)
    measured = measure_arms(together, times=200)
    contrast = measured["other"].minus(measured["one"])
    return estimate(contrast, class_patients(together), difference=True, folds=together.fold_count)[PRIMARY]


def test_equal_arms_whose_folds_are_on_scales_of_their_own_do_not_differ():
    """S1: ranked together, the same scores differ by 0.09, and by a tight interval."""
    found = [difference(in_folds(seed, 100)) for seed in range(30)]
    means = np.array([each.mean for each in found])
    assert abs(means.mean()) < 2.5 * means.std(ddof=1) / np.sqrt(30)
    assert sum(each.low > 0 or each.high < 0 for each in found) <= 4  # more of 30 come once in 60 times
    raw = []
    for seed in range(30):
        together = replace(pooled(in_folds(seed, 100)), folds=None)
        place = metric_names("AR").index("auprc:R")
        areas = [measure(together.probabilities[arm][0], together.targets)[place, 0] for arm in ("other", "one")]
        raw.append(areas[0] - areas[1])
    assert np.mean(raw) < -0.05


def test_a_better_arm_is_shown_in_folds_too():
    assert difference(in_folds(0, 100, gain=1.5)).low > 0


def test_a_fold_weighs_by_its_images_of_the_class():
    parts = [*in_folds(1, 5, folds=1), *in_folds(2, 15, folds=1)]
    areas = [measure(part.probabilities["one"][0], part.targets)[4, 0] for part in parts]
    whole = pooled(parts)
    found = measure(whole.probabilities["one"][0], whole.targets, folds=whole.folds)[4, 0]
    assert found == pytest.approx((5 * areas[0] + 15 * areas[1]) / 20)
