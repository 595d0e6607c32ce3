"""What prompts state of sex, age group and view is asked where real images tell it, and never rejects."""

import numpy as np
import pytest

from analysis.screening.prompt_consistency import PromptGates
from balancer.collection.attributes import Attributes
from tests.benchmarks.simulations_screening import attributed, doubted_prompts


@pytest.fixture(scope="module")
def gates():
    """Sex is seen in the first feature; age groups are random; the view is always PA, of three images AP."""
    features, known, classes = attributed(200, sex=5, age=0, seed=0)
    known = [each._replace(view="AP" if number < 3 else "PA") for number, each in enumerate(known)]
    return PromptGates.fit(features, known, classes, np.arange(200), np.arange(200) % 10 == 0)


def judge(gates, stated, place, scores=None):
    features = np.zeros((1, 16), np.float32)
    features[0, 0] = place
    return gates.judge(["normal"], stated, features, {} if scores is None else scores)


def test_only_what_is_told_apart_on_real_images_is_asked(gates):
    assert set(gates.gates) == {"sex"}
    sex, age, view, _ = gates.notes
    assert sex.startswith("prompt: sex is checked: female (AUROC 1.00), male (AUROC 1.00)")
    assert age.startswith(
        "prompt: age group is not checked: real images can hardly be distinguished by 18-39 (AUROC 0."
    )
    assert view == "prompt: view is not checked: AP: only 2 patients"


def test_a_contradiction_names_both_and_another_attribute_is_not_asked(gates):
    scores = {}
    assert judge(gates, Attributes("female", "65+", "AP"), 3, scores) == ["prompt: says female, image looks male"]
    assert scores.keys() == {"prompt_sex"}
    assert scores["prompt_sex"] < 0.1
    assert judge(gates, Attributes("male", "18-39", "AP"), 3) == []


def test_what_lies_between_or_is_not_stated_passes(gates):
    assert judge(gates, Attributes("female"), 0) == []
    assert judge(gates, Attributes(), 3) == []
    assert judge(gates, Attributes("other"), 3) == []


def test_a_single_value_is_nothing_to_tell():
    features, known, classes = attributed(60, sex=0, age=0, seed=0)
    known = [Attributes(view="PA") for _ in known]
    gates = PromptGates.fit(features, known, classes, np.arange(60), np.zeros(60, bool))
    assert gates.notes == ("prompt: view is not checked: it is always PA",)
    assert PromptGates.fit(features, [Attributes()] * 60, classes, np.arange(60), np.zeros(60, bool)).notes == ()


def test_a_class_whose_real_images_look_otherwise_is_not_asked_about():
    """In the rare class the feature of the other sex is seen in a quarter of the images."""
    features, known, classes = attributed(300, sex=5, age=0, seed=0)
    rare = np.array([each == ("nodule",) for each in classes])
    features[np.flatnonzero(rare)[::4], 0] *= -1
    known = [Attributes(each.sex) for each in known]
    gates = PromptGates.fit(features, known, classes, np.arange(300), np.zeros(300, bool))
    assert gates.asked == {("normal", "sex", "female"), ("normal", "sex", "male")}
    assert gates.notes[-1].startswith("prompt: nodule is not checked for female, male: real ones are few, or look")
    assert judge(gates, Attributes("female"), 4)
    assert gates.judge(["nodule"], Attributes("female"), np.full((1, 16), 4, np.float32), {}) == []


def test_known_truth_and_none():
    """The simulation in small: harmless images are rarely asked about, wrong ones nearly always, random ones never."""
    harmless, wrong, _ = doubted_prompts(300, 400, sex=5, age=0, seed=1)
    assert harmless <= 0.02
    assert wrong >= 0.8
    assert doubted_prompts(300, 400, sex=0, age=0, seed=1) == (0, 0, 0)
