import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, recall_score, roc_auc_score

from analysis.comparison.inference.metrics import measure, metric_names

NAMES = metric_names("ABC", several=True)


def drawn(seed=0, n=200):
    chance = np.random.default_rng(seed)
    marks = chance.choice([1, 0, -1, -2], (n, 3), p=[0.3, 0.5, 0.1, 0.1]).astype(np.int8)
    return chance.random((n, 3)).astype(np.float32), marks, chance.integers(0, 3, (n, 4)).astype(np.float64)


def test_each_finding_is_measured_on_the_images_of_which_it_is_known_as_by_scikit_learn():
    said, marks, weights = drawn()
    found = measure(said, marks, weights)
    for draw in range(4):
        own = []
        for number, name in enumerate("ABC"):
            known = marks[:, number] >= 0
            truth, scores, weight = marks[known, number], said[known, number], weights[known, draw]
            own.append(average_precision_score(truth, scores, sample_weight=weight))
            wanted = {
                f"auprc:{name}": own[-1],
                f"auroc:{name}": roc_auc_score(truth, scores, sample_weight=weight),
                f"recall:{name}": recall_score(truth, scores >= 0.5, sample_weight=weight),
                f"prevalence:{name}": (truth * weight).sum() / weight.sum(),
            }
            assert {each: found[NAMES.index(each), draw] for each in wanted} == pytest.approx(wanted)
        assert found[NAMES.index("macro_auprc"), draw] == pytest.approx(np.mean(own))
        for metric, score in (("macro_f1", f1_score), ("brier", brier_score_loss)):
            each = [
                score(
                    marks[known, at],
                    said[known, at] >= 0.5 if metric == "macro_f1" else said[known, at],
                    sample_weight=weights[known, draw],
                )
                for at, known in enumerate((marks >= 0).T)
            ]
            assert found[NAMES.index(metric), draw] == pytest.approx(np.mean(each), rel=1e-5)


def test_what_an_unknown_image_is_said_to_be_changes_no_figure():
    said, marks, weights = drawn()
    other = np.where(marks < 0, 1 - said, said)
    assert measure(said, marks, weights) == pytest.approx(measure(other, marks, weights), nan_ok=True)


def test_a_finding_with_one_side_or_not_to_be_measured_is_no_number_and_in_no_mean():
    said, marks, weights = drawn()
    marks[:, 2] = np.where(marks[:, 2] == 1, -1, marks[:, 2])
    alone = measure(said, marks, weights, measured=np.array([True, False, True]))
    assert np.isnan(alone[4:12]).all()
    assert alone[NAMES.index("macro_auprc")] == pytest.approx(alone[NAMES.index("auprc:A")])
