import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from analysis.power.simulation import simulate

USUAL = {"auroc": 0.85, "correlation": 0.7, "resemblance": 0.5}


def test_the_error_is_that_of_a_simulation_written_out():
    """One image a patient: two arms of equal worth, scored by sklearn."""
    chance, truth = np.random.default_rng(1), np.repeat([1, 0], [40, 200])
    shift, found = math.sqrt(2) * 1.0364334, []
    for _ in range(400):
        first = chance.normal(0, 1, 240)
        second = 0.7 * first + math.sqrt(1 - 0.7**2) * chance.normal(0, 1, 240)
        found.append([average_precision_score(truth, scores + shift * truth) for scores in (first, second)])
    spread = simulate((1,) * 40, (1,) * 200, **USUAL)
    assert spread.base == pytest.approx(np.mean(found), abs=0.01)
    assert spread.errors[0] == pytest.approx(np.diff(found, axis=1).std(ddof=1), rel=0.12)


def test_the_same_seed_gives_the_same():
    first, second = (simulate((2,) * 10, (1,) * 50, **USUAL, seed=3) for _ in range(2))
    assert first.errors.tolist() == second.errors.tolist()
    assert simulate((2,) * 10, (1,) * 50, **USUAL, seed=4).errors.tolist() != first.errors.tolist()


def test_four_times_the_patients_halve_the_error():
    few, many = (simulate((1,) * 50 * times, (1,) * 450 * times, **USUAL) for times in (1, 4))
    assert many.errors[0] / few.errors[0] == pytest.approx(0.5, rel=0.12)


def test_images_of_a_patient_that_resemble_each_other_are_worth_less_than_patients():
    apart, together = (simulate(sizes, (1,) * 400, **USUAL).errors[0] for sizes in ((1,) * 60, (3,) * 20))
    assert together > 1.15 * apart
    assert simulate((3,) * 20, (1,) * 400, **USUAL | {"resemblance": 0.0}).errors[0] == pytest.approx(apart, rel=0.12)


def test_a_very_large_test_set_is_drawn_smaller_and_its_error_scaled(monkeypatch):
    whole = simulate((1, 2) * 200, (1,) * 5400, **USUAL)
    monkeypatch.setattr("analysis.power.detectable_effect.simulation._LARGEST", 1500)
    thinned = simulate((1, 2) * 200, (1,) * 5400, **USUAL)
    assert thinned.base == pytest.approx(whole.base, abs=0.02)
    assert thinned.errors[0] == pytest.approx(whole.errors[0], rel=0.15)


def test_what_no_arm_can_reach_is_none():
    spread = simulate((1,) * 40, (1,) * 40, **USUAL)
    assert spread.error_of(0.9) is None
    assert spread.smallest(1000) is None
