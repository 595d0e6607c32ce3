import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from analysis.statistics.intervals import (
    auroc,
    auroc_interval,
    aurocs,
    bootstrap,
    group_numbers,
    wilson,
)


def test_wilson_gives_the_published_bounds():
    found = wilson(15, 148)  # Newcombe 1998, table I: 0.0624 to 0.1605
    assert (round(found.low, 4), round(found.high, 4)) == (0.0624, 0.1605)
    assert wilson(5, 5).high == 1
    assert wilson(0, 0).low == 0
    assert wilson(0, 0).high == 1


def test_areas_are_those_of_scikit_learn_ties_included():
    chance = np.random.default_rng(0)
    scores, positive = chance.integers(0, 6, (40, 5)).astype(float), chance.random((40, 5)) < 0.4
    expected = [roc_auc_score(positive[:, column], scores[:, column]) for column in range(5)]
    assert np.allclose(aurocs(scores, positive), expected)
    assert np.allclose(aurocs(scores[:, :1], positive), [roc_auc_score(p, scores[:, 0]) for p in positive.T])


def test_an_area_needs_both_kinds():
    with pytest.raises(ValueError, match="positives and negatives"):
        auroc(np.arange(3.0), np.ones(3, bool))


def test_without_groups_the_variance_is_that_of_delong():
    """X positives, Y negatives; DeLong's variance worked out from its definition."""
    x, y = np.array([2.0, 5.0, 3.5]), np.array([1.0, 3.0, 4.0, 0.5])
    wins = (x[:, None] > y[None, :]).astype(float)
    variance = wins.mean(axis=1).var(ddof=1) / 3 + wins.mean(axis=0).var(ddof=1) / 4
    area = wins.mean()
    half = 1.959964 * math.sqrt(variance) / (area * (1 - area))
    low = 1 / (1 + math.exp(-(math.log(area / (1 - area)) - half)))
    found = auroc_interval(np.concatenate((x, y)), np.array([True] * 3 + [False] * 4))
    assert found.value == pytest.approx(area)
    assert found.low == pytest.approx(low, abs=1e-6)


def test_a_perfect_area_still_has_a_width():
    found = auroc_interval(np.arange(20.0), np.arange(20) >= 10)
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.7 < found.low < 0.75
    assert auroc_interval(-np.arange(20.0), np.arange(20) >= 10).value == 0


def patients(chance, count, shift):
    """Three images a patient that resemble each other."""
    return (chance.normal(shift, 1, (count, 1)) + chance.normal(0, 0.5, (count, 3))).ravel()


def test_the_interval_by_group_covers_the_truth_as_often_as_it_says():
    truth, chance = 0.7602, np.random.default_rng(1)  # Phi(1 / sqrt(2))
    covered = {"by group": 0, "by image": 0}
    for _ in range(400):
        scores = np.concatenate((patients(chance, 30, np.sqrt(1.25)), patients(chance, 30, 0)))
        positive, groups = np.arange(180) < 90, np.arange(180) // 3
        by_group, by_image = auroc_interval(scores, positive, groups), auroc_interval(scores, positive)
        covered["by group"] += by_group.low <= truth <= by_group.high
        covered["by image"] += by_image.low <= truth <= by_image.high
    assert 0.92 <= covered["by group"] / 400 <= 0.98
    assert covered["by image"] / 400 < 0.88


def test_bootstrap_draws_whole_groups():
    chance = np.random.default_rng(2)
    values = np.repeat(chance.normal(0, 1, 40), 5)
    groups = np.arange(200) // 5
    by_group = bootstrap(lambda places: float(values[places].mean()), groups)
    by_image = bootstrap(lambda places: float(values[places].mean()), np.arange(200))
    assert (by_group.high - by_group.low) / (by_image.high - by_image.low) == pytest.approx(math.sqrt(5), rel=0.15)
    assert by_group == bootstrap(lambda places: float(values[places].mean()), groups)


def test_bootstrap_says_when_it_cannot():
    assert math.isnan(bootstrap(lambda places: math.nan, np.arange(3), times=5).low)


def test_names_become_numbers():
    assert group_numbers(["b", "a", "b"]).tolist() == [1, 0, 1]
