import numpy as np
import pytest

from analysis.screening.label_consistency import LabelGate, mean_distance


def images(apart, counts=(120, 60), seed=0):
    """Features of two classes whose means are `apart` spreads apart, a patient each."""
    chance = np.random.default_rng(seed)
    labels = np.repeat(np.array(["a", "b"], object), counts)
    features = chance.normal(size=(len(labels), 20)).astype(np.float32)
    features[labels == "b", :2] += apart
    held = np.arange(len(labels)) % 6 == 0
    return features, labels, np.arange(len(labels)), held


@pytest.fixture(scope="module")
def gate():
    return LabelGate.fit(*images(4))


def test_only_what_clearly_shows_another_class_is_contradicted(gate):
    features, labels, _, _ = images(4, seed=1)
    probabilities = gate.probabilities(features)
    right = [gate.contradiction(label, row) for label, row in zip(labels, probabilities, strict=True)]
    wrong = [
        gate.contradiction("b" if label == "a" else "a", row) for label, row in zip(labels, probabilities, strict=True)
    ]
    assert sum(map(bool, right)) <= 0.03 * len(labels)
    assert sum(map(bool, wrong)) >= 0.9 * len(labels)
    assert wrong[0] == "looks like a, and less like b than nearly all real images of it"
    assert np.allclose(probabilities.sum(1), 1, atol=1e-4)


def test_what_lies_between_passes(gate):
    between = np.zeros((1, 20), np.float32)
    between[0, :2] = 2
    probabilities = gate.probabilities(between)[0]
    assert gate.contradiction("a", probabilities) == gate.contradiction("b", probabilities) == ""


def test_it_abstains_where_real_classes_cannot_be_told_apart():
    gate = LabelGate.fit(*images(0))
    assert gate.abstains.keys() == {"a", "b"}
    assert "can hardly be distinguished from others (AUROC 0." in gate.abstains["a"]
    assert gate.contradiction("a", np.array([0.001, 0.999])) == ""


def test_it_abstains_from_a_class_of_few_patients():
    features, labels, groups, held = images(4, counts=(120, 30))
    groups[labels == "b"] = groups[labels == "b"] % 8 + 1000
    gate = LabelGate.fit(features, labels, groups, held)
    assert gate.abstains["b"].startswith("only 8 patients of this class")
    assert gate.contradiction("b", np.array([0.999, 0.001])) == ""


def test_one_class_alone_is_not_judged():
    features, labels, groups, held = images(4)
    gate = LabelGate.fit(features, np.full(len(labels), "a", object), groups, held)
    assert "there is no other class" in gate.abstains["a"]


def test_three_classes_of_which_one_is_rare():
    features, labels, groups, held = images(4, counts=(300, 60))
    labels[-25:] = "c"
    features[-25:, 5:8] += 5
    held[-25:] = False
    gate = LabelGate.fit(features, labels, groups, held)
    assert gate.labels == ("a", "b", "c")
    assert gate.abstains == {}
    assert (gate.probabilities(features).argmax(1)[-25:] == 2).mean() > 0.9


def test_diversity_is_the_mean_distance_of_pairs():
    assert mean_distance(np.array([[1, 0], [1, 0]], np.float32)) == 0
    assert mean_distance(np.array([[1, 0], [-1, 0]], np.float32)) == 2
    assert mean_distance(np.zeros((1, 2), np.float32)) == 0
