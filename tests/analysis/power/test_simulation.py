"""Simulated test sets, against the same written out with compare's own bootstrap."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from analysis.comparison.inference.bootstrap import draw_patients
from analysis.power.sample import Assumptions, Sample
from analysis.power.simulation import Simulation, expected_average_precision
from analysis.statistics.average_precision import Ranked
from analysis.statistics.influence import average_precision_influence, stratified_variance
from tests.benchmarks.simulations_power import BASE, beside_transplants, share_of_helps

USUAL = Assumptions()


def singles(rare, others):
    return Sample((1,) * rare, (1,) * others)


@pytest.mark.parametrize("times", [1.0, 4.0])
def test_the_influence_is_the_derivative_by_the_weight_of_each_image(times):
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(1, 1, 7), rng.normal(0, 1, 20)
    ranked = Ranked.of(np.concatenate((positive, negative)), np.arange(27) < 7)
    weights = np.repeat([1.0, times], [7, 20])[:, None]
    area, influence = average_precision_influence(positive, negative, times)
    step = 1e-6 * weights * np.eye(27)
    moved = (ranked.areas(weights + step)[0] - ranked.areas(weights)[0]) / 1e-6
    assert area == pytest.approx(ranked.areas(weights)[0, 0])
    assert influence == pytest.approx(moved, abs=1e-5)


@pytest.mark.parametrize(("rare", "others"), [(6, 54), (12, 64), (40, 360)])
def test_the_error_is_that_of_the_bootstrap_of_patients(rare, others):
    """On average over test sets; of a single one the two differ by a few percent."""
    rng, targets, ratios = np.random.default_rng(1), np.repeat([1, 0], [rare, others]), []
    for _ in range(40):
        image = rng.standard_normal(rare + others)
        arms = [0.7 * image + math.sqrt(0.51) * rng.standard_normal(rare + others) for _ in range(2)]
        arms = [scores + distance * targets for scores, distance in zip(arms, (BASE, BASE + 1), strict=True)]
        influence = np.subtract(*(average_precision_influence(each[:rare], each[rare:])[1] for each in arms))
        strata = [np.arange(rare), np.arange(rare, rare + others)]
        drawn = draw_patients(targets, np.arange(rare + others), 300, 0)
        areas = [Ranked.of(each, targets == 1).areas(drawn)[0] for each in arms]
        ratios.append(stratified_variance(influence, strata) / np.subtract(*areas).var(ddof=1))
    assert math.sqrt(np.mean(ratios)) == pytest.approx(1, abs=0.06)


def test_compare_finds_the_smallest_detectable_difference_as_often_as_promised():
    """With z for t and an error from outside the interval it was found in two of three test sets."""
    smallest = Simulation(singles(10, 90), USUAL).smallest()
    assert share_of_helps(10, 90, smallest, 150) == pytest.approx(0.8, abs=0.1)


def test_few_patients_need_more_than_the_normal_distribution_says():
    """By z it was 0.43 for six, which compare shows in little more than half of the test sets."""
    assert Simulation(singles(6, 54), USUAL).smallest() is None
    assert Simulation(singles(8, 72), USUAL).smallest() > 0.42
    assert share_of_helps(6, 54, 0.43, 150) < 0.7


def test_equal_arms_are_called_helpful_in_a_fortieth():
    assert Simulation(singles(12, 64), USUAL).at(0.0).helps(0.05) < 0.04


def test_the_same_seed_gives_the_same():
    first, second, other = (Simulation(Sample((2,) * 10, (1,) * 50), USUAL, seed=seed).smallest() for seed in (3, 3, 4))
    assert first == second != other


def test_four_times_the_patients_halve_the_error():
    few, many = (Simulation(singles(50 * times, 450 * times), USUAL).at(0.0).errors.mean() for times in (1, 4))
    assert many / few == pytest.approx(0.5, rel=0.12)


def test_images_of_a_patient_that_resemble_each_other_are_worth_less_than_patients():
    apart = Simulation(singles(60, 400), USUAL).at(0.5).errors.mean()
    together = Simulation(Sample((3,) * 20, (1,) * 400), USUAL).at(0.5).errors.mean()
    assert together > 1.15 * apart
    unlike = Simulation(Sample((3,) * 20, (1,) * 400), Assumptions(resemblance=0.0)).at(0.5).errors.mean()
    assert unlike == pytest.approx(apart, rel=0.12)


def test_a_patient_with_and_without_the_class_is_one_patient():
    """The error is the spread that the differences really have; two patients for one would miss it."""
    both = Simulation(Sample((), (1,) * 200, ((2, 6),) * 40), USUAL).at(0.4)
    assert both.errors.mean() == pytest.approx(both.differences.std(ddof=1), rel=0.08)


def test_a_very_large_test_set_is_simulated_smaller(monkeypatch):
    smaller = Simulation(Sample((1, 2) * 200, (1,) * 2400), USUAL)
    monkeypatch.setattr("analysis.power.simulation._IMAGES", 10_000)
    whole = Simulation(Sample((1, 2) * 200, (1,) * 2400), USUAL)
    assert smaller.base == pytest.approx(whole.base, abs=0.02)
    assert smaller.smallest() == pytest.approx(whole.smallest(), rel=0.15)


def test_few_of_very_many_others_stand_for_all(monkeypatch):
    smaller = Simulation(singles(20, 6000), USUAL)
    monkeypatch.setattr("analysis.power.simulation._OTHERS", 6000)
    whole = Simulation(singles(20, 6000), USUAL)
    assert smaller.base == pytest.approx(whole.base, abs=0.03)
    assert smaller.smallest() == pytest.approx(whole.smallest(), rel=0.2)


def test_folds_are_ranked_one_by_one():
    whole, folds = (Simulation(singles(50, 450), USUAL, folds) for folds in (1, 5))
    assert (folds.freedom, whole.freedom) == (45, 49)
    assert folds.smallest() == pytest.approx(whole.smallest(), rel=0.15)


def test_what_no_arm_can_reach_is_none():
    assert Simulation(singles(40, 40), USUAL).gain_of(0.9) is None


@pytest.mark.parametrize("prevalence", [0.01, 0.3])
def test_the_expected_average_precision_is_that_of_very_many_images(prevalence):
    rare = round(40_000 * prevalence)
    quantiles = [norm.ppf((np.arange(count) + 0.5) / count) for count in (rare, 40_000 - rare)]
    scores = np.concatenate((quantiles[0] + 1.3, quantiles[1]))
    found = Ranked.of(scores, np.arange(40_000) < rare).areas(np.ones((40_000, 1)))[0, 0]
    assert expected_average_precision(1.3, prevalence) == pytest.approx(found, abs=0.005)


@pytest.mark.slow
def test_transplants_that_do_as_well_are_advised_and_those_that_do_nothing_cost_nothing():
    helps, matched = beside_transplants(0.25, 0.25, 60)
    assert helps <= 0.15
    assert matched >= 0.8
    helps, matched = beside_transplants(0.25, 0.0, 60)
    assert helps >= 0.8
    assert matched <= 0.1
