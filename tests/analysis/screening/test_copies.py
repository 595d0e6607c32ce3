"""Thresholds for copies reject no more images that are no copies than they say: simulations with known truth."""

import numpy as np
import pytest

from analysis.screening.copies import Calibration, choose_calibrators
from tests.benchmarks.simulations_screening import (
    blamed,
    caught_copies,
    kept,
    rejected_alike,
    rejected_neighbours,
)


@pytest.mark.parametrize(
    "patients", [19, pytest.param(100, marks=pytest.mark.slow), pytest.param(199, marks=pytest.mark.slow)]
)
def test_further_patients_are_rejected_no_more_often_than_told(patients):
    told = Calibration.of([{"pixels": 0.1 + place / 1000} for place in range(patients)]).reject
    assert told == max(0.005, 1 / (patients + 1))
    assert kept(told, rejected_alike(patients, 300))


@pytest.mark.parametrize(("patients", "images"), [(40, 1), (100, 1), (60, 3)])
def test_nor_in_a_pool_that_those_who_calibrate_are_in_themselves(patients, images):
    assert kept(2 / (patients + 1), rejected_neighbours(patients, 150, images=images))


def test_planted_copies_are_caught():
    assert caught_copies(60, 2) >= 0.99


def test_an_adapter_that_does_not_copy_is_not_blamed():
    assert kept(0.01, blamed(200, 60))


def test_below_19_patients_nothing_is_decided_by_nearness():
    few = Calibration.of([{"pixels": place / 100} for place in range(18)])
    assert (few.sufficient, few.decision({"pixels": 0.98})) == (False, "accept")
    enough = Calibration.of([{"pixels": place / 100} for place in range(19)])
    assert (enough.sufficient, enough.decision({"pixels": 0.98})) == (True, "reject")


def test_the_p_value_counts_the_patient_to_whom_an_image_comes_near():
    found = Calibration.of([{"pixels": place / 100} for place in range(50)], range(50), learned=True)
    assert found.p_value({"pixels": 0.9}) == 1 / 51
    assert found.p_value({"pixels": 0.9}, {"pixels": 7}) == 2 / 51
    assert found.p_value({"pixels": 0.9}, {"pixels": 99}) == 1 / 51  # of no patient who calibrates
    assert (found.reject, found.decision({"pixels": 0.9}, {"pixels": 7})) == (2 / 51, "reject")
    assert found.percentile({"pixels": 0.9}) == 98.04


def test_a_candidate_beyond_a_limit_is_one_whose_p_value_is_below_it():
    found = Calibration.of([{"pixels": place / 500} for place in range(399)])
    for level in (0.7, 0.78, 0.79, 0.7962, 0.81):
        beyond = found.rarity({"pixels": level}) > found.limit(found.review)
        assert beyond == (found.decision({"pixels": level}) != "accept")


def choose(held, train, images=1):
    people = np.repeat(np.arange(held + train), images)
    is_held = people < held
    return people, is_held, choose_calibrators(people, is_held, ~is_held, [str(place) for place in range(len(people))])


def test_enough_patients_of_the_generator_holdout_calibrate_alone():
    people, is_held, chosen = choose(held=199, train=1800)
    assert (chosen.learned, chosen.detector) == (False, True)
    assert is_held[chosen.places].all()
    assert len(chosen.places) == len(set(people[chosen.places])) == 199


def test_else_training_patients_whom_the_copy_detector_does_not_learn_from_join_them():
    people, is_held, chosen = choose(held=40, train=400, images=2)
    assert (chosen.learned, chosen.detector) == (True, True)
    assert len(chosen.places) == len(set(people[chosen.places])) == 40 + 200  # half of them at most
    assert is_held[chosen.places].sum() == 40
    assert len(choose(held=40, train=4000)[2].places) == 399


def test_where_few_are_left_all_patients_calibrate_by_pixels_alone():
    for held, train, images in ((0, 30, 1), (10, 120, 1), (2, 20, 50)):
        chosen = choose(held, train, images)[2]
        assert (chosen.learned, chosen.detector, len(chosen.places)) == (True, False, held + train)


def test_unknown_patients_do_not_calibrate():
    unknown = np.full(50, -1)
    assert not len(choose_calibrators(unknown, np.zeros(50, bool), np.ones(50, bool), list("x" * 50)).places)
