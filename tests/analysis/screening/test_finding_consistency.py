"""One question a finding: the wanted one rejects, the others ask a person, and what cannot be told is not asked."""

import numpy as np
import pandas as pd
import pytest

from analysis.screening.finding_consistency import FindingGates
from balancer.collection.label_sets import UNKNOWN, LabelSets
from tests.benchmarks.simulations_screening import questioned

COUNT = 600


@pytest.fixture(scope="module")
def gates():
    """Features: the first tells of Effusion, the second of Hernia (which is rarer), none of Rib notching."""
    chance = np.random.default_rng(0)
    effusion, hernia, notching = chance.random(COUNT) < 0.4, chance.random(COUNT) < 0.15, chance.random(COUNT) < 0.1
    features = chance.normal(0, 0.5, (COUNT, 4)).astype(np.float32)
    features[:, 0] += np.where(effusion, 2, -2)
    features[:, 1] += np.where(hernia, 2, -2)
    paths = pd.Index([f"{number}.png" for number in range(COUNT)], dtype=object)
    marks = pd.DataFrame({"Effusion": effusion, "Hernia": hernia, "Rib notching": notching}, paths).astype(np.int8)
    marks.iloc[:50, 0] = UNKNOWN
    return FindingGates.fit(features, LabelSets(marks), np.arange(COUNT), np.arange(COUNT) % 10 == 0)


def judge(gates, label, effusion, hernia):
    scores = {}
    reject, review = gates.judge(label, np.array([[effusion, hernia, 0, 0]], np.float32), scores)
    return [each.partition(",")[0] for each in reject], [each.partition(",")[0] for each in review], scores


def test_only_what_can_be_told_apart_is_asked(gates):
    assert set(gates.gates) == {"Effusion", "Hernia"}
    assert "AUROC" in gates.abstains["Rib notching"]


def test_an_image_that_shows_its_set_passes(gates):
    reject, review, scores = judge(gates, "Effusion|Hernia", 2, 2)
    assert (reject, review) == ([], [])
    assert scores["label_probability"] > 0.9


def test_without_the_wanted_finding_it_is_rejected(gates):
    assert judge(gates, "Effusion|Hernia", 2, -3)[0] == ["label: looks like no Hernia"]


def test_without_another_of_its_set_or_with_one_beside_it_a_person_decides(gates):
    assert judge(gates, "Effusion|Hernia", -3, 2)[:2] == ([], ["label: looks like no Effusion"])
    assert judge(gates, "Hernia", 3, 2)[:2] == ([], ["label: looks like Effusion"])


def test_a_set_of_what_cannot_be_told_is_not_rejected(gates):
    reject, review, scores = judge(gates, "Rib notching", -2, -2)
    assert (reject, review) == ([], [])
    assert "label_probability" not in scores


@pytest.mark.slow
def test_many_questions_send_few_harmless_images_to_a_person_and_still_find_the_wanted_one_missing():
    doubted, rejected, missed = questioned(findings=14, images=2500, asked=400, seed=0)
    assert doubted <= 0.02
    assert rejected <= 0.02
    assert missed <= 0.05


def test_the_finding_on_record_is_the_one_that_must_be_there(gates):
    without = np.array([[-3, 2, 0, 0]], np.float32)
    reject, review = gates.judge("Effusion|Hernia", without, {}, wanted="Effusion")
    assert [each.partition(",")[0] for each in reject] == ["label: looks like no Effusion"]
    assert review == []
