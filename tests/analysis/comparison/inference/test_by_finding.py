"""What is told of each finding: what was planted, in that one alone, after correction for their number."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.inference.bootstrap import measure_arms
from analysis.comparison.inference.by_finding import finding_rows, findings_note, judge_findings, names_told
from analysis.comparison.inference.metrics import metric_names
from analysis.comparison.inference.result import Facts, NamedArms, as_json, conclude, table
from analysis.comparison.inference.verdict_rule import ArmRoles, Grounds
from analysis.comparison.inputs.study import Outcomes
from tests.benchmarks.simulations_findings import SHARES, SOUND, difference, drawn_findings

NAMED = ArmRoles("strong-augmentation", "pretraining")
KINDS = {"strong-augmentation": "free", "pretraining": "synthetic"}


def told(outcomes, grounds=SOUND):
    return judge_findings(outcomes, measure_arms(outcomes, times=200), NAMED, grounds)


def test_a_planted_difference_is_found_in_its_finding_and_in_no_other():
    helped = told(drawn_findings(0, gain={"B": 1.5}))
    assert {name: each.told for name, each in helped.items()} == {
        **{"A": "cannot tell", "B": "helped", "C": "cannot tell", "D": "cannot tell"},
        "E": "too few patients",
    }
    hurt = told(drawn_findings(0, gain={"B": -1.5}))
    assert names_told(hurt, "hurt") == ["B"]
    assert helped["B"].difference.p_holm >= helped["B"].difference.p_value
    assert "E" not in [row[0] for row in finding_rows(helped)]
    assert "Too few test patients: E." in findings_note(helped)


def test_nothing_is_told_where_the_verdict_may_not_be():
    outcomes = drawn_findings(0, gain={"B": -1.5})
    assert names_told(told(outcomes, Grounds(None, 9, 5, invalid=True)), "hurt") == []
    assert names_told(told(outcomes, Grounds(None, 9, 5, unfinished=("pretraining",))), "hurt") == []


def test_a_finding_that_is_hurt_is_named_in_the_verdict_the_table_and_the_json():
    outcomes = drawn_findings(0, gain={"B": -1.5, "D": 1.5})
    asked = NamedArms("strong-augmentation", ("pretraining",))
    found = conclude(outcomes, outcomes, KINDS, Facts(), asked, primary="auprc:D", times=200)
    assert found.judgement == "helps"
    assert "help D" in found.sentence
    assert any("It lowers AUPRC of B" in point for point in found.points)
    assert found.secondary == "macro_auprc"
    content = as_json(found)
    assert content["findings"]["B"]["told"] == "hurt"
    assert set(content["findings"]["B"]["difference"]) == {"mean", "low", "high", "p", "p_holm"}
    assert content["findings"]["E"] == {
        **{"told": "too few patients", "images": 2, "patients": 2},
        **{"baseline": None, "synthetic": None, "difference": None},
    }
    assert table(found)[0][0] == "pretraining*"
    assert content["arms"]["pretraining"]["auprc:E"] == {"mean": None, "low": None, "high": None}


def test_five_hundred_findings_of_which_most_have_hardly_a_patient():
    chance = np.random.default_rng(0)
    names = tuple(f"f{number:03}" for number in range(500))
    targets = (chance.random((300, 500)) < np.where(np.arange(500) < 4, 0.1, 0.001)).astype(np.int8)
    said = {arm: chance.random((2, 300, 500)).astype(np.float32) for arm in KINDS}
    outcomes = Outcomes(names, "f000", targets, np.arange(300), pd.DataFrame(index=range(300)), said)
    found = told(outcomes)
    assert len(found) == 500
    assert len(finding_rows(found)) == 4
    assert "more" in findings_note(found)
    assert np.isfinite(found["f000"].difference.low)


def test_of_one_class_an_image_there_is_none():
    targets = np.array([0, 1] * 10)
    said = {arm: np.full((2, 20, 2), 0.5, np.float32) for arm in KINDS}
    outcomes = Outcomes(("A", "B"), "B", targets, np.arange(20), pd.DataFrame(index=range(20)), said)
    assert judge_findings(outcomes, {}, NAMED, SOUND) == {}
    with pytest.raises(ValueError, match="macro_auprc"):
        conclude(outcomes, outcomes, KINDS, Facts(), NamedArms("strong-augmentation"), primary="macro_auprc")


def test_a_collection_compared_with_itself_has_no_winner():
    outcomes = drawn_findings(0)
    same = dict.fromkeys(KINDS, outcomes.probabilities["pretraining"])
    found = told(replace(outcomes, probabilities=same))
    assert {each.told for each in found.values()} == {"cannot tell", "too few patients"}
    alarms = [{each.told for each in told(drawn_findings(seed)).values()} & {"helped", "hurt"} for seed in range(1, 6)]
    assert sum(map(bool, alarms)) <= 1


def test_unknown_marks_do_not_move_the_difference():
    place = metric_names(tuple(SHARES), several=True).index("auprc:B")
    moved = [
        difference(drawn_findings(seed, {"B": 0.7}, 0.5), place)
        - difference(drawn_findings(seed, {"B": 0.7}, 0), place)
        for seed in range(5)
    ]
    assert abs(np.mean(moved)) < 0.04
