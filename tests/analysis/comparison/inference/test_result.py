import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.inference.metrics import metric_names
from analysis.comparison.inference.result import Facts, as_json, conclude, table
from analysis.comparison.inference.selection import choose
from analysis.comparison.inputs.study import Outcomes

GAINS = {"real": 0.0, "class-weights": 0.3, "synthetic-1": 1.5, "synthetic-3": 0.0, "unscreened": -1.0}
KINDS = dict(zip(GAINS, ("real", "free", "synthetic", "synthetic", "control"), strict=True))
CLASSES = ("A", "B", "R")


def drawn(seed, gains=GAINS, counts=(60, 50, 25), seeds=3, **attributes):
    """Arms whose score of the rare class is raised, for its images, by so much."""
    chance = np.random.default_rng(seed)
    targets = np.repeat(np.arange(3), counts)
    base = chance.normal(0, 1, (len(targets), 3)) + 1.5 * np.eye(3)[targets]
    chances = {}
    for arm, gain in gains.items():
        scores = base + chance.normal(0, 0.3, (seeds, *base.shape))
        scores[:, targets == 2, 2] += gain
        chances[arm] = (np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)).astype(np.float32)
    frame = pd.DataFrame(attributes, index=range(len(targets)))
    return Outcomes(CLASSES, "R", targets, np.arange(len(targets)), frame, chances)


def concluded(gains=GAINS, facts=None, **options):
    kinds = {arm: KINDS[arm] for arm in gains}
    return conclude(drawn(1, gains), drawn(2, gains), kinds, facts or Facts(), times=200, **options)


def test_arms_are_chosen_on_validation_and_judged_on_test():
    found = concluded()
    assert (found.chosen.free, found.chosen.synthetic, found.reference) == (
        "class-weights",
        "synthetic-1",
        "class-weights",
    )
    assert (found.judgement, found.best_arm) == ("helps", "synthetic-1")
    assert set(found.differences) == set(GAINS) - {"class-weights"}


def test_of_equal_arms_the_simpler_is_chosen_and_controls_never():
    part = drawn(1)
    same = dict.fromkeys(KINDS, part.chances["real"]) | {"unscreened": part.chances["synthetic-1"]}
    found = choose(replace(part, chances=same), KINDS, "auprc:R")
    assert (found.free, found.synthetic) == ("real", "synthetic-1")
    without = replace(part, targets=np.minimum(part.targets, 1))
    assert choose(without, KINDS, "auprc:R").free == "real"


def test_the_json_is_that_of_the_contract():
    facts = Facts(("weak baseline",), {"crt": "no"}, {"A": 9}, {"sentence": "x"}, None, 3, {"steps": 2}, "0.1")
    found = as_json(concluded(facts=facts))
    json.dumps(found, allow_nan=False)
    assert set(found) >= {
        *(
            "verdict",
            "points",
            "meanings",
            "best_arm",
            "stamps",
            "endpoint",
            "arms",
            "kinds",
            "left_out",
            "chosen",
            "reference",
        ),
        *(
            "differences",
            "like_for_like",
            "strata",
            "reliability",
            "test",
            "train",
            "seeds",
            "power",
            "exchange",
            "openings",
        ),
        *("settings", "version"),
    }
    assert set(found["arms"]["real"]) == set(metric_names(CLASSES))
    assert set(found["arms"]["real"]["mcc"]) == {"mean", "low", "high"}
    assert set(found["differences"]["real"]["auprc:R"]) == {"mean", "low", "high", "p", "p_holm"}
    assert set(found["differences"]["real"]["recall:R"]) == {"mean", "low", "high"}
    assert found["test"]["R"] == {"images": 25, "patients": 25}
    assert (found["seeds"], found["openings"], found["stamps"]) == (3, 3, ["weak baseline"])
    assert len(found["reliability"]["real"]) == 10


def test_like_for_like_the_images_and_their_recipe_add_up_to_the_difference():
    found = as_json(concluded(alike="real"))
    told, whole = found["like_for_like"], found["differences"]["synthetic-1"]["auprc:R"]["mean"]
    assert (told["synthetic"], told["arm"]) == ("synthetic-1", "real")
    assert set(told["images"]) == set(metric_names(CLASSES))
    less = found["differences"]["real"]["auprc:R"]  # real less the reference: what the recipe does
    assert told["recipe"]["auprc:R"] == {name: less[name] for name in ("mean", "low", "high")}
    assert told["images"]["auprc:R"]["mean"] + told["recipe"]["auprc:R"]["mean"] == pytest.approx(whole)
    assert "Of that, the images, as this arm uses them, account for +" in found["verdict"]


def test_measured_against_its_own_recipe_the_difference_is_the_images():
    found = as_json(concluded(alike="class-weights"))
    told, whole = found["like_for_like"], found["differences"]["synthetic-1"]["auprc:R"]
    assert (told["arm"], told["recipe"]) == ("class-weights", None)
    assert told["images"]["auprc:R"] == {name: whole[name] for name in ("mean", "low", "high")}
    assert "Both were trained by the same recipe" in found["verdict"]


def test_without_the_arm_or_without_images_nothing_is_like_for_like():
    assert as_json(concluded())["like_for_like"] is None
    assert as_json(concluded(alike="strong-augmentation"))["like_for_like"] is None
    assert as_json(concluded({"real": 0.0, "class-weights": 1.0}, alike="real"))["like_for_like"] is None


def test_holm_counts_all_arms():
    found = concluded().differences
    p_values = sorted(each["auprc:R"].p_value for each in found.values())
    assert min(each["auprc:R"].p_holm for each in found.values()) == pytest.approx(4 * p_values[0])
    assert all(each["auprc:R"].p_holm >= each["auprc:R"].p_value for each in found.values())


def test_strata_that_are_too_small_are_flagged_and_unknown_columns_are_not_there():
    n = 135
    sex = np.where(np.arange(n) % 2, "F", "M").astype(object)
    view = np.array(["PA"] * 60 + ["AP"] * (n - 65) + ["LL"] * 5, object)
    test = drawn(2, sex=sex, view=view, age_group=[None] * n)
    found = as_json(conclude(drawn(1), test, KINDS, Facts(), times=100))["strata"]
    assert set(found) == {"sex", "view"}
    assert found["sex"]["F"]["images"] == 67
    assert set(found["sex"]["F"]["arms"]) == set(GAINS)
    assert (found["view"]["LL"]["arms"], found["view"]["LL"]["left_out"]) == ({}, "fewer than 10 images")
    assert found["view"]["PA"]["left_out"] == "no image of R"


def test_without_synthetic_images_something_is_still_concluded():
    found = concluded({"real": 0.0, "class-weights": 1.0})
    assert (found.judgement, found.best_arm, found.chosen.synthetic) == ("nothing synthetic", "class-weights", None)
    assert "Against the real images alone that is +" in found.verdict
    assert as_json(found)["chosen"]["synthetic"] is None


def test_the_table_is_sorted_and_marks_what_was_chosen():
    rows = table(concluded())
    assert [row[0] for row in rows][:2] == ["synthetic-1*", "class-weights*"]
    assert rows[1][2] == "reference"
    assert all(len(row) == 5 for row in rows)


@pytest.mark.parametrize("primary", ["brier", "prevalence:R", "auprc:X"])
def test_an_endpoint_that_cannot_be_one_is_refused(primary):
    with pytest.raises(ValueError, match="primary endpoint is one of auprc:A"):
        concluded(primary=primary)


def test_every_arm_needs_its_chances_and_one_needs_no_images():
    with pytest.raises(ValueError, match="got none of"):
        conclude(drawn(1), drawn(2), KINDS | {"crt": "free"}, Facts())
    with pytest.raises(ValueError, match="as a reference"):
        concluded({"synthetic-1": 0.0})


def test_another_endpoint_decides_where_it_is_named():
    found = concluded(primary="auprc:A")
    assert found.primary == "auprc:A"
    assert "AUPRC of A" in found.verdict


def test_images_are_not_condemned_where_validation_chose_the_wrong_use_of_them():
    chosen, better = GAINS, {**GAINS, "synthetic-1": -2.0, "synthetic-3": 2.0}
    found = conclude(drawn(1, chosen), drawn(2, better), KINDS, Facts(), times=200)
    assert (found.chosen.synthetic, found.judgement) == ("synthetic-1", "cannot tell")
    assert "synthetic-1, which validation chose, is not worth it, but synthetic-3 may be" in found.verdict
    worse = conclude(drawn(1, chosen), drawn(2, {**better, "synthetic-3": 0.3}), KINDS, Facts(), times=200)
    assert worse.judgement == "harms"
