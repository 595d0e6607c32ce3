import numpy as np
import pytest
from sklearn import metrics

from analysis.comparison.inference.metrics import measure, metric_names, metric_range, reliability

CLASSES = ("A", "B", "C")


def drawn(n=300, seed=0, decimals=2):
    """Probabilities with many ties, and a rare class."""
    chance = np.random.default_rng(seed)
    targets = chance.choice(3, n, p=[0.5, 0.42, 0.08])
    logits = chance.normal(0, 1, (n, 3)) + 1.2 * np.eye(3)[targets]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.round(probabilities, decimals).astype(np.float32), targets, chance.integers(0, 4, (n, 7)).astype(float)


def by_scikit_learn(probabilities, targets, weights):
    probabilities, called = probabilities.astype(float), probabilities.argmax(axis=1)
    found = {}
    for number, label in enumerate(CLASSES):
        positive = targets == number
        found[f"auprc:{label}"] = metrics.average_precision_score(
            positive, probabilities[:, number], sample_weight=weights
        )
        found[f"auroc:{label}"] = metrics.roc_auc_score(positive, probabilities[:, number], sample_weight=weights)
        found[f"recall:{label}"] = metrics.recall_score(positive, called == number, sample_weight=weights)
        found[f"prevalence:{label}"] = np.average(positive, weights=weights)
    found["macro_f1"] = metrics.f1_score(targets, called, average="macro", sample_weight=weights, zero_division=0)
    found["balanced_accuracy"] = metrics.balanced_accuracy_score(targets, called, sample_weight=weights)
    found["mcc"] = metrics.matthews_corrcoef(targets, called, sample_weight=weights)
    squares = [
        metrics.brier_score_loss(targets == number, probabilities[:, number], sample_weight=weights)
        for number in range(3)
    ]
    found["brier"] = sum(squares)
    return found


@pytest.mark.parametrize("decimals", [1, 2, 7])
def test_every_figure_is_that_of_scikit_learn(decimals):
    probabilities, targets, weights = drawn(decimals=decimals)
    found = dict(zip(metric_names(CLASSES), measure(probabilities, targets, weights), strict=True))
    for draw in range(weights.shape[1]):
        for name, value in by_scikit_learn(probabilities, targets, weights[:, draw]).items():
            assert found[name][draw] == pytest.approx(value, abs=1e-9), (name, draw)


def test_no_weights_are_equal_weights_and_single_precision_is_good_for_five_digits():
    probabilities, targets, weights = drawn()
    assert measure(probabilities, targets)[:, 0] == pytest.approx(
        [*by_scikit_learn(probabilities, targets, None).values(), float(measure(probabilities, targets)[-1, 0])]
    )
    assert measure(probabilities, targets, weights.astype(np.float32)) == pytest.approx(
        measure(probabilities, targets, weights), abs=2e-5
    )


def test_the_calibration_error_is_that_of_bins_of_equal_mass():
    probabilities, targets, _ = drawn(decimals=7)
    best, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    bins = np.array_split(np.argsort(best), 15)
    expected = sum(len(some) * abs(best[some].mean() - right[some].mean()) for some in bins) / len(targets)
    assert measure(probabilities, targets)[-1, 0] == pytest.approx(expected, abs=1e-6)


def test_a_class_without_images_has_no_figures_and_does_not_count_in_means():
    probabilities, targets, _ = drawn()
    kept = targets < 2
    found = dict(zip(metric_names(CLASSES), measure(probabilities[kept], targets[kept])[:, 0], strict=True))
    assert np.isnan([found["auprc:C"], found["auroc:C"], found["recall:C"]]).all()
    assert found["prevalence:C"] == 0
    assert found["balanced_accuracy"] == pytest.approx((found["recall:A"] + found["recall:B"]) / 2)
    called = probabilities[kept].argmax(axis=1)
    expected = metrics.f1_score(targets[kept], called, labels=[0, 1], average="macro")
    assert found["macro_f1"] == pytest.approx(expected)


def test_calling_everything_one_class_is_no_correlation():
    found = measure(np.tile(np.float32([0.8, 0.2]), (10, 1)), np.array([0] * 9 + [1]))[:, 0]
    figures = dict(zip(metric_names("AB"), found, strict=True))
    assert (figures["mcc"], figures["recall:B"], figures["auroc:B"], figures["auprc:B"]) == (0, 0, 0.5, 0.1)


def test_reliability_counts_images_once():
    probabilities = np.random.default_rng(0).random((5, 40))
    bins = reliability(probabilities, np.arange(40) < 10)
    assert len(bins) == 10
    assert all(1 <= each.images <= 20 for each in bins)
    assert np.mean([each.observed for each in bins]) == pytest.approx(0.25)
    assert [each.predicted for each in bins] == sorted(each.predicted for each in bins)


def test_every_figure_has_a_range():
    assert [metric_range(name) for name in ("mcc", "brier", "recall:A")] == [(-1, 1), (0, 2), (0, 1)]
