import numpy as np
import pandas as pd
import pytest

from analysis.comparison.inference.subgroups import subgroup_differences


def predictions(rng, better=0.0, count=160, rare=40, seeds=3):
    """Two arms, the first better in women alone; half of the patients are women."""
    sex = np.array(["female", "male"] * (count // 2))
    truth = np.arange(count) < rare
    image = rng.standard_normal(count)
    rows = []
    for arm, gain in (("new", better), ("old", 0.0)):
        own = rng.standard_normal(count)
        for seed in range(seeds):
            scores = image + own + (1.5 + gain * (sex == "female")) * truth + 0.1 * rng.standard_normal(count)
            rows.append(pd.DataFrame({"arm": arm, "seed": seed, "rare": scores}))
    table = pd.concat(rows, keys=range(len(rows))).reset_index(names=["run", "place"])
    table["image"] = "i" + table["place"].astype(str).str.zfill(3)
    table["label"] = np.where(truth[table["place"]], "rare", "common")
    table["patient"], table["fold"] = table["place"] // 1, table["place"] % 2
    names = [f"i{place:03}" for place in range(count)]
    return table, pd.DataFrame({"sex": sex, "view": "PA"}, index=names)


def found_in(table, attributes, **how):
    groups = subgroup_differences(table, attributes, "rare", "rare", ("new", "old"), times=150, **how)
    return {(each.attribute, each.value): each for each in groups}


def test_a_gain_is_found_in_the_subgroup_that_has_it():
    found = found_in(*predictions(np.random.default_rng(0), better=2.5))
    assert found["sex", "female"].difference.low > 0
    assert found["sex", "male"].difference.low < 0 < found["sex", "male"].difference.high
    assert (found["sex", "male"].patients, found["sex", "male"].others) == (20, 60)
    assert found["sex", "female"].difference.p_holm == pytest.approx(2 * found["sex", "female"].difference.p_value)


def test_equal_arms_differ_in_hardly_any_subgroup():
    """Holm over the subgroups: of 60 comparisons of equal arms at most one in twenty names one."""
    named = 0
    for seed in range(60):
        found = found_in(*predictions(np.random.default_rng(seed), count=80, rare=20))
        named += any(each.difference and each.difference.p_holm <= 0.05 for each in found.values())
    assert named <= 6


def test_few_patients_and_a_single_value_are_named():
    table, attributes = predictions(np.random.default_rng(0))
    attributes["site"] = ["A"] * 4 + ["B"] * 156
    attributes.loc["i100":, "sex"] = None
    found = found_in(table, attributes)
    assert found["view", "PA"].left_out == "all images are PA: that is the comparison itself"
    assert found["site", "A"].left_out == "too few patients: 4 with rare and 0 without, 6 of each are needed"
    assert found["site", "A"].difference is None
    assert found["sex", "male"].images == 50  # an unknown sex is no subgroup


def test_arms_without_the_same_predictions_are_refused():
    table, attributes = predictions(np.random.default_rng(0))
    with pytest.raises(ValueError, match="predictions of 'other'"):
        subgroup_differences(table, attributes, "rare", "rare", ("other", "old"))
    half = table[(table["arm"] == "old") | (table["seed"] == 0)]
    with pytest.raises(ValueError, match="the same images and seeds"):
        subgroup_differences(half, attributes, "rare", "rare", ("new", "old"))
