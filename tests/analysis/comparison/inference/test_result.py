import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.inference.metrics import metric_names
from analysis.comparison.inference.result import Facts, NamedArms, as_json, conclude, table
from analysis.comparison.inputs.study import Outcomes
from analysis.statistics.convergence import Course

GAINS = {"real": 0.0, "class-weights": 0.3, "synthetic-1": 1.5, "synthetic-3": 0.0, "unscreened": -1.0}
KINDS = dict(zip(GAINS, ("real", "free", "synthetic", "synthetic", "control"), strict=True))
CLASSES = ("A", "B", "R")


def drawn(seed, gains=GAINS, counts=(60, 50, 25), seeds=3, **attributes):
    """Arms whose score of the rare class is raised, for its images, by so much."""
    chance = np.random.default_rng(seed)
    targets = np.repeat(np.arange(3), counts)
    base = chance.normal(0, 1, (len(targets), 3)) + 1.5 * np.eye(3)[targets]
    probabilities = {}
    for arm, gain in gains.items():
        scores = base + chance.normal(0, 0.3, (seeds, *base.shape))
        scores[:, targets == 2, 2] += gain
        probabilities[arm] = (np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)).astype(np.float32)
    frame = pd.DataFrame(attributes, index=range(len(targets)))
    return Outcomes(CLASSES, "R", targets, np.arange(len(targets)), frame, probabilities)


ENDED = Course((0, 25, 50, 75, 100), (1.0, 0.4, 0.3, 0.3, 0.3))
FALLING = Course((0, 25, 50, 75, 100), (1.0, 0.8, 0.6, 0.4, 0.2))
ASKED = NamedArms("class-weights", ("synthetic-1",), {"synthetic-1": "real"})


def concluded(gains=GAINS, facts=None, asked=ASKED, primary="auprc:R"):
    kinds = {arm: KINDS[arm] for arm in gains}
    return conclude(drawn(1, gains), drawn(2, gains), kinds, facts or Facts(), asked, primary=primary, times=200)


def test_the_two_arms_that_were_named_are_judged():
    found = concluded()
    assert (found.reference, found.chosen.synthetic) == ("class-weights", "synthetic-1")
    assert (found.judgement, found.best_arm) == ("helps", "synthetic-1")
    assert found.sentence == "Use synthetic-1: synthetic images help R (small network, 64 px)."
    assert found.verdict.startswith(found.sentence + " " + found.points[0])
    assert set(found.differences) == set(GAINS) - {"class-weights"}


@pytest.mark.parametrize(
    ("courses", "judgement", "unfinished"),
    [
        ({"class-weights": [ENDED] * 3, "synthetic-1": [FALLING] * 3}, "cannot tell", ("synthetic-1",)),
        ({"class-weights": [FALLING] * 3, "synthetic-1": [ENDED] * 3}, "cannot tell", ("class-weights",)),
        ({"real": [FALLING] * 3, "synthetic-3": [FALLING] * 3}, "helps", ("real", "synthetic-3")),
        ({"class-weights": [Course((0, 5, 9), (1.2, 1.15, 1.2))] * 3}, "cannot tell", ()),
    ],
)
def test_trainings_that_had_not_ended_withhold_the_verdict_if_they_are_of_its_arms(courses, judgement, unfinished):
    found = concluded(asked=replace(ASKED, courses=courses))
    assert (found.judgement, found.unfinished) == (judgement, unfinished)
    marked = {row[0].strip("*+") for row in table(found) if row[0].endswith("+")}
    assert marked == set(unfinished)


def test_the_json_is_that_of_the_contract():
    facts = Facts(
        ("weak baseline",),
        {"crt": "no"},
        {"A": 900, "R": 9},
        {"sentence": "x", "one_split": {"auprc": 0.2}},
        None,
        3,
        {"steps": 2},
        "0.1",
        trainings=[{"arm": "real"}],
    )
    found = as_json(concluded(facts=facts))
    json.dumps(found, allow_nan=False)
    assert set(found) >= {
        *("sentence", "points", "verdict", "judgement", "best_arm", "stamps", "endpoint", "arms", "kinds", "meanings"),
        *("left_out", "chosen", "reference", "differences", "like_for_like", "strata", "reliability", "test", "train"),
        *("seeds", "power", "exchange", "openings", "settings", "version", "trainings", "unfinished", "adjusted"),
    }
    assert set(found["arms"]["real"]) == set(metric_names(CLASSES))
    assert set(found["arms"]["real"]["mcc"]) == {"mean", "low", "high"}
    assert set(found["differences"]["real"]["auprc:R"]) == {"mean", "low", "high", "p", "p_holm"}
    assert set(found["differences"]["real"]["recall:R"]) == {"mean", "low", "high"}
    assert found["test"]["R"] == {"images": 25, "patients": 25}
    assert (found["seeds"], found["openings"], found["stamps"]) == (3, 3, ["weak baseline"])
    assert len(found["reliability"]["real"]) == 10
    assert set(found["chosen"]) == {"free", "synthetic", "validation", "folds", "sentence"}
    assert (found["trainings"], len(found["points"])) == ([{"arm": "real"}], 6)
    assert "Smallest detectable difference: 0.20 (80% power)." in found["points"]


def test_at_another_prevalence_the_auprc_is_told_as_well():
    found = as_json(concluded(facts=Facts(train={"A": 900, "R": 10})))
    assert found["adjusted"]["prevalence"] == pytest.approx(10 / 910)
    for arm in GAINS:
        adjusted, plain = found["adjusted"]["arms"][arm]["mean"], found["arms"][arm]["auprc:R"]["mean"]
        assert adjusted < plain
    assert "At the training prevalence of 1.1%:" in found["points"][0]
    assert as_json(concluded(facts=Facts(train={"A": 60, "B": 50, "R": 25})))["adjusted"] is None


def test_like_for_like_the_images_and_their_recipe_add_up_to_the_difference():
    found = as_json(concluded())
    told, whole = found["like_for_like"], found["differences"]["synthetic-1"]["auprc:R"]["mean"]
    assert (told["synthetic"], told["arm"]) == ("synthetic-1", "real")
    less = found["differences"]["real"]["auprc:R"]  # real less the reference: what the recipe does
    assert told["recipe"]["auprc:R"] == {name: less[name] for name in ("mean", "low", "high")}
    assert told["images"]["auprc:R"]["mean"] + told["recipe"]["auprc:R"]["mean"] == pytest.approx(whole)
    assert "The images themselves: +" in found["verdict"]


def test_measured_against_its_own_recipe_the_difference_is_the_images():
    found = as_json(concluded(asked=replace(ASKED, controls={"synthetic-1": "class-weights"})))
    told, whole = found["like_for_like"], found["differences"]["synthetic-1"]["auprc:R"]
    assert (told["arm"], told["recipe"]) == ("class-weights", None)
    assert told["images"]["auprc:R"] == {name: whole[name] for name in ("mean", "low", "high")}


def test_without_the_arm_or_without_images_nothing_is_like_for_like():
    assert as_json(concluded(asked=replace(ASKED, controls={})))["like_for_like"] is None
    alone = concluded({"real": 0.0, "class-weights": 1.0}, asked=NamedArms("class-weights"))
    assert as_json(alone)["like_for_like"] is None


def test_holm_counts_all_arms():
    found = concluded().differences
    p_values = sorted(each["auprc:R"].p_value for each in found.values())
    assert min(each["auprc:R"].p_holm for each in found.values()) == pytest.approx(4 * p_values[0])


def test_strata_have_the_corrected_difference_of_the_verdict_or_too_few_patients():
    n = 135
    sex = np.where(np.arange(n) % 2, "F", "M").astype(object)
    view = np.array(["PA"] * 60 + ["AP"] * (n - 65) + ["LL"] * 5, object)
    test = drawn(2, sex=sex, view=view, age_group=["adult"] * n)
    found = as_json(conclude(drawn(1), test, KINDS, Facts(), ASKED, primary="auprc:R", times=100))["strata"]
    assert set(found) == {"sex", "view", "age_group"}
    (alone,) = found["age_group"].values()
    assert (alone["images"], alone["arms"], alone["difference"]) == (n, {}, None)
    assert alone["left_out"].startswith("no other value is known")
    assert found["sex"]["F"]["images"] == 67
    assert set(found["sex"]["F"]["arms"]) == {"class-weights", "synthetic-1"}
    told = [found["sex"]["F"], found["sex"]["M"], found["view"]["AP"]]
    lowest = min(each["difference"]["p"] for each in told)
    assert min(each["difference"]["p_holm"] for each in told) == pytest.approx(3 * lowest)
    assert (
        found["view"]["LL"]["left_out"] == "too few patients with R: 5 of 6"
        or found["view"]["LL"]["difference"] is None
    )
    assert found["view"]["PA"]["left_out"] == "too few patients with R: 0 of 6"


def test_without_synthetic_images_the_baseline_is_what_to_use():
    found = concluded({"real": 0.0, "class-weights": 1.0}, asked=NamedArms("class-weights"))
    assert (found.judgement, found.best_arm, found.chosen.synthetic) == ("nothing synthetic", "class-weights", None)
    assert "against real" in found.points[0]
    assert as_json(found)["chosen"]["synthetic"] is None


def test_the_table_is_sorted_and_marks_the_arms_of_the_verdict():
    rows = table(concluded())
    assert [row[0] for row in rows][:2] == ["synthetic-1*", "class-weights*"]
    assert rows[1][2] == "baseline"
    assert all(len(row) == 5 for row in rows)


@pytest.mark.parametrize("primary", ["brier", "prevalence:R", "auprc:X"])
def test_an_endpoint_that_cannot_be_one_is_refused(primary):
    with pytest.raises(ValueError, match="primary endpoint is one of auprc:A"):
        concluded(primary=primary)


def test_every_arm_needs_its_chances_and_the_named_ones_must_be_there():
    with pytest.raises(ValueError, match="got none of"):
        conclude(drawn(1), drawn(2), KINDS | {"crt": "free"}, Facts(), ASKED, primary="auprc:R")
    with pytest.raises(ValueError, match="among those that were trained; got"):
        concluded({"synthetic-1": 0.0})


def test_another_endpoint_decides_where_it_is_named():
    found = concluded(primary="auprc:A")
    assert found.primary == "auprc:A"
    assert "AUPRC of A" in found.verdict


def test_what_is_invalid_says_so_and_names_no_arm():
    found = concluded(facts=Facts(("INVALID: a patient is in training and test part",)))
    assert (found.judgement, found.best_arm) == ("invalid", None)


def test_images_are_not_condemned_where_another_use_of_them_helps():
    better = {**GAINS, "synthetic-1": -2.0, "synthetic-3": 2.0}
    assert concluded(better).judgement == "cannot tell"
    assert concluded({**better, "synthetic-3": 0.3}).judgement == "harms"


def test_folds_are_measured_each_by_itself():
    folds = [drawn(seed) for seed in (2, 3)]
    found = conclude([drawn(1), drawn(4)], folds, KINDS, Facts(), ASKED, primary="auprc:R", times=100)
    assert found.test["R"] == {"images": 50, "patients": 25}  # the same numbers of patients were drawn twice
    each = [
        conclude(drawn(1), fold, KINDS, Facts(), ASKED, primary="auprc:R", times=20).arms["real"]["auprc:R"].mean
        for fold in folds
    ]
    assert found.arms["real"]["auprc:R"].mean == pytest.approx(np.mean(each))
