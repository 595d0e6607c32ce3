import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from analysis.comparison.inference.bootstrap import (
    Estimate,
    Measured,
    class_patients,
    draw_patients,
    estimate,
    holm,
    measure_arms,
)
from analysis.comparison.inference.metrics import metric_names
from analysis.comparison.inputs.study import Outcomes


def outcomes(probabilities, targets, groups=None):
    groups = np.arange(len(targets)) if groups is None else groups
    return Outcomes(("A", "B"), "B", targets, groups, pd.DataFrame(index=range(len(targets))), probabilities)


def drawn(seeds=5, n=200, noise=0.5, seed=0):
    chance = np.random.default_rng(seed)
    targets = (np.arange(n) >= 0.8 * n).astype(np.int64)
    scores = targets + chance.normal(0, 1, n) + chance.normal(0, noise, (seeds, n))
    second = 1 / (1 + np.exp(-scores))
    return np.stack((1 - second, second), axis=-1).astype(np.float32), targets


def test_whole_patients_are_drawn_and_no_class_loses_any():
    targets, groups = np.array([0] * 8 + [1] * 4), np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 0])
    weights = draw_patients(targets, groups, 500, seed=0)
    for group in range(6):
        mine = weights[groups == group]
        assert (mine == mine[0]).all()
    per_patient = weights[[11, 8, 9]]  # those who have the rarer class: patient 0 has both
    assert per_patient.sum(axis=0) == pytest.approx(3)
    assert set(np.unique(per_patient)) == {0, 1.5, 3}
    assert weights[[2, 4, 6]].sum(axis=0) == pytest.approx(3)
    assert (draw_patients(targets, groups, 500, seed=0) == weights).all()


def test_a_patient_who_is_alone_in_a_class_always_stays():
    weights = draw_patients(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 3]), 100, seed=1)
    assert (weights[3] == 1).all()
    assert weights[0].min() == 0


def test_one_training_has_the_variance_of_a_mean_over_patients():
    """Recall with one image a patient is a share: its bootstrap variance is that of the textbook, n - 1 below."""
    probabilities, targets = drawn(seeds=1, n=500)
    measured = measure_arms(outcomes({"real": probabilities}, targets), times=4000)["real"]
    found = estimate(measured, {"A": 400, "B": 100})["recall:B"]
    error = np.sqrt(found.mean * (1 - found.mean) / 99)
    assert found.high - found.mean == pytest.approx(student.ppf(0.975, 99) * error, rel=0.05)


def test_seeds_alone_give_the_t_interval():
    found = np.array([[0.1, 0.2, 0.3, 0.4]])
    measured = Measured(("macro_f1",), found, np.repeat(found[..., None], 5000, axis=2))
    expected = student.interval(0.95, 3, 0.25, found.std(ddof=1) / 2)
    each = estimate(measured, {"A": 50, "B": 50}, difference=True)["macro_f1"]
    assert (each.low, each.high) == pytest.approx(expected, rel=0.05)
    assert (each.p_value < 0.05) == (each.low > 0)


def test_noise_of_single_trainings_makes_the_error_larger_and_not_smaller():
    """Seeds that differ in single images alone: counted in both parts and in the drawing, so up to thrice."""
    chance = np.random.default_rng(0)
    values = chance.normal(0, 1, (5, 400))  # a figure that is a mean over images, with nothing in common to seeds
    weights = draw_patients(np.zeros(400, np.int64), np.arange(400), 2000, seed=0)
    drawn = (values @ weights / weights.sum(axis=0))[None]
    each = estimate(Measured(("macro_f1",), values.mean(axis=1)[None], drawn), {"A": 400}, difference=True)["macro_f1"]
    half, true = each.high - each.mean, 1 / np.sqrt(5 * 400)
    assert 1.96 * true < half < 2.78 * np.sqrt(3) * 1.5 * true


def test_arms_that_say_the_same_do_not_differ():
    probabilities, targets = drawn()
    measured = measure_arms(outcomes({"real": probabilities, "same": probabilities.copy()}, targets))
    found = estimate(measured["same"].minus(measured["real"]), {"A": 160, "B": 40}, difference=True)
    for name in metric_names("AB"):
        assert (found[name].mean, found[name].p_value) == (0, 1)
        assert found[name].low <= 0 <= found[name].high


def test_paired_draws_see_what_unpaired_ones_would_not():
    probabilities, targets = drawn(noise=0.1)
    better = probabilities.copy()
    odds = np.log(better[..., 1] / better[..., 0]) + 0.5 * targets
    better[..., 1] = 1 / (1 + np.exp(-odds))
    better[..., 0] = 1 - better[..., 1]
    measured = measure_arms(outcomes({"real": probabilities, "better": better}, targets))
    patients = {"A": 160, "B": 40}
    gain = estimate(measured["better"].minus(measured["real"]), patients, difference=True)["auprc:B"]
    one, other = (estimate(measured[arm], patients)["auprc:B"] for arm in ("better", "real"))
    assert gain.low > 0
    assert one.low < other.high


def test_a_perfect_classifier_is_not_certain():
    targets = np.array([0] * 30 + [1] * 10)
    probabilities = np.tile(np.eye(2, dtype=np.float32)[targets], (5, 1, 1))
    found = estimate(measure_arms(outcomes({"real": probabilities}, targets))["real"], {"A": 30, "B": 10})
    assert found["recall:B"].shown[1] == 1
    assert found["recall:B"].low == pytest.approx(0.722, abs=0.001)  # Wilson's, 10 of 10
    assert found["auprc:B"].low == pytest.approx(0.722, abs=0.001)
    assert found["prevalence:B"].low == found["prevalence:B"].high == 0.25


def test_one_patient_says_nothing_of_others_however_much_seeds_agree():
    probabilities, targets = drawn()
    patients, groups = {"A": 160, "B": 1}, np.where(targets == 1, 1000, np.arange(len(targets)))
    measured = measure_arms(
        outcomes({"real": probabilities, "other": probabilities[::-1] ** 2}, targets, groups), times=100
    )
    found = estimate(measured["real"], patients)
    assert found["recall:B"].shown == (pytest.approx(0, abs=0.06), 1)
    assert found["prevalence:B"].low == found["prevalence:B"].high
    assert found["recall:A"].high - found["recall:A"].low < 0.3
    gain = estimate(measured["other"].minus(measured["real"]), patients, difference=True)["auprc:B"]
    assert gain.p_value == 1
    assert gain.high - gain.low > 1.5


def test_without_the_rare_class_nothing_is_known_of_it():
    probabilities, targets = drawn()
    found = estimate(measure_arms(outcomes({"real": probabilities}, targets * 0))["real"], {"A": 200, "B": 0})
    assert np.isnan([found["auprc:B"].mean, found["auprc:B"].low]).all()
    assert found["auprc:B"].p_value == 1
    assert 0 < found["recall:A"].low < 1


def test_holm_is_that_of_the_textbook():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({}) == {}
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_patients_with_several_classes_count_for_each():
    found = class_patients(outcomes({}, np.array([0, 1, 1, 1]), np.array([5, 5, 6, 6])))
    assert found == {"A": 1, "B": 2}


def test_estimates_read_as_people_write_them():
    assert (str(Estimate(0.5, 0.25, 0.75)), Estimate(0.5, -0.25, 0.75).signed) == (
        "0.500 [0.250, 0.750]",
        "+0.500 [-0.250, +0.750]",
    )


def test_where_every_patient_has_the_rare_class_all_are_one_stratum():
    """Each patient has images of both classes: whole patients are still drawn, and the interval still counts them."""
    probabilities, targets = drawn()
    groups = np.concatenate([np.arange(160) % 40, np.arange(40)])  # four of A and one of B each
    weights = draw_patients(targets, groups, 200, seed=0)
    assert weights[targets == 1].sum(axis=0) == pytest.approx(40)
    assert weights[targets == 0].sum(axis=0) == pytest.approx(160)
    found = estimate(measure_arms(outcomes({"real": probabilities}, targets, groups))["real"], {"A": 40, "B": 40})
    assert 0.05 < found["auprc:B"].high - found["auprc:B"].low < 0.6
