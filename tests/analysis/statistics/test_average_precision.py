import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from analysis.statistics.average_precision import Ranked, average_precisions


def test_areas_are_those_of_sklearn_with_weights_and_ties():
    chance = np.random.default_rng(0)
    scores, positive = chance.integers(0, 12, 80) / 12, chance.random(80) < 0.3
    weights = chance.integers(0, 4, (80, 6)).astype(float)
    expected = [
        [measure(positive, scores, sample_weight=column) for column in weights.T]
        for measure in (average_precision_score, roc_auc_score)
    ]
    assert Ranked.of(scores, positive).areas(weights) == pytest.approx(np.array(expected))
    without = Ranked.of(scores, positive).areas(~positive[:, None] * 1.0)
    assert np.isnan(without).all()


def test_average_precision_of_many_scores_is_that_of_sklearn_and_of_weights_that_are_equal():
    chance = np.random.default_rng(0)
    positive, negative = chance.normal(1, 1, (5, 20)), chance.normal(0, 1, 300)
    truth = np.repeat([True, False], [20, 300])
    rows = [np.concatenate((row, negative)) for row in positive]
    found = average_precisions(positive, negative)
    assert found == pytest.approx([average_precision_score(truth, row) for row in rows])
    assert found == pytest.approx([Ranked.of(row, truth).areas(np.ones((320, 1)))[0, 0] for row in rows])
