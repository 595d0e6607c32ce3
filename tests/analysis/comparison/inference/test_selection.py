"""What folds choose, each by itself, and that it is judged on patients who had no say in it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.inference.bootstrap import class_patients, estimate, measure_arms
from analysis.comparison.inference.metrics import measure, metric_names
from analysis.comparison.inference.result import Facts, as_json, conclude, table
from analysis.comparison.inference.selection import Choice, choose, compose, pooled, with_composites
from analysis.comparison.inputs.study import FREE, SYNTHETIC, Outcomes
from tests.analysis.comparison.inference.test_result import CLASSES, GAINS, KINDS, drawn

PRIMARY = "auprc:R"
EQUAL = {"real": "real", "crt": "free", "duplicated": "free", "synthetic-1": "synthetic", "synthetic-3": "synthetic"}


def folds_that_choose(*best):
    """Validation parts in each of which another arm is the best."""
    return [drawn(place, dict.fromkeys(KINDS, 0.0) | dict.fromkeys(arms, 2.0)) for place, arms in enumerate(best)]


def three_folds():
    pairs = [("class-weights", "synthetic-3"), ("real", "synthetic-3"), ("class-weights", "synthetic-1")]
    return folds_that_choose(*pairs), [drawn(10 + place) for place in range(3)]


def test_each_fold_is_judged_by_what_it_chose_itself():
    validation, test = three_folds()
    found = choose(validation, KINDS, PRIMARY)
    assert [(each.free, each.synthetic) for each in found.folds] == [
        ("class-weights", "synthetic-3"),
        ("real", "synthetic-3"),
        ("class-weights", "synthetic-1"),
    ]
    judged = compose(test, found)
    assert set(judged.chances) == {*KINDS, FREE, SYNTHETIC}
    size, expected = len(test[0].targets), ("class-weights", "real", "class-weights")
    for place, arm in enumerate(expected):
        mine = slice(place * size, (place + 1) * size)
        assert (judged.chances[FREE][:, mine] == test[place].chances[arm]).all()
        assert (judged.targets[mine] == test[place].targets).all()
    assert with_composites(KINDS, found) == {**KINDS, FREE: "free", SYNTHETIC: "synthetic"}
    assert found.validation[FREE] == pytest.approx(np.mean([each.validation[each.free] for each in found.folds]))


def test_the_arm_to_name_is_the_one_that_most_folds_chose():
    found = choose(three_folds()[0], KINDS, PRIMARY)
    assert (found.usable(FREE), found.usable(SYNTHETIC), found.usable("crt")) == ("class-weights", "synthetic-3", "crt")
    assert found.sentence == (
        "Each of 3 folds chose on its own validation part: free-by-fold is class-weights in 2, real in 1 and "
        "synthetic-by-fold is synthetic-3 in 2, synthetic-1 in 1. Named for use is the one that most folds chose, of "
        "several the best on validation. Scores of different arms are ranked together as they are: where their scales "
        "differ, what was chosen looks worse than it is."
    )


def test_arms_of_other_scales_look_worse_together_than_each_does_alone():
    """What the sentence on folds warns of: the same order in every fold, and yet a lower AUPRC of all together."""
    validation, test = three_folds()
    found = choose(validation, KINDS, PRIMARY)
    shy = np.array([1.0, 1.0, 0.05], np.float32)[None, None]
    scaled = [replace(each, chances={arm: said * shy for arm, said in each.chances.items()}) for each in test]
    mixed = [scaled[0], test[1], scaled[2]]  # as if class-weights, chosen in these, were shy of the class
    place = metric_names(CLASSES).index(PRIMARY)

    def area(folds):
        judged = compose(folds, found)
        return np.mean([measure(each, judged.targets)[place, 0] for each in judged.chances[FREE]])

    assert area(scaled) == pytest.approx(area(test), abs=0.01)
    assert area(mixed) < area(test) - 0.05


def test_folds_that_agree_need_no_other_name():
    validation = folds_that_choose(("class-weights", "synthetic-1"), ("class-weights", "synthetic-1"))
    found = choose(validation, KINDS, PRIMARY)
    assert (found.free, found.synthetic) == ("class-weights", "synthetic-1")
    assert set(compose(validation, found).chances) == set(KINDS)
    assert found.sentence == (
        "Each of 2 folds chose on its own validation part: class-weights in all of them and synthetic-1 in all of them."
    )


def test_a_fold_without_an_image_to_choose_by_takes_the_simplest_and_says_so():
    validation = folds_that_choose(("class-weights", "synthetic-1"), ("class-weights", "synthetic-3"))
    validation[1] = replace(validation[1], targets=np.minimum(validation[1].targets, 1))
    found = choose(validation, KINDS, PRIMARY)
    assert (found.folds[1].free, found.folds[1].synthetic) == ("real", "synthetic-1")
    assert "In 1 there was no image to choose by, so that the simplest was taken." in found.sentence
    assert found.validation["real"] == found.folds[0].validation["real"]


@pytest.mark.filterwarnings("error")
def test_a_fold_without_any_validation_image_takes_the_simplest_too():
    nobody = replace(
        (part := drawn(1)),
        targets=part.targets[:0],
        groups=part.groups[:0],
        chances={arm: said[:, :0] for arm, said in part.chances.items()},
    )
    found = choose([part, nobody], KINDS, PRIMARY)
    assert (found.folds[1].free, found.folds[1].synthetic) == ("real", "synthetic-1")
    assert "In 1 there was no image to choose by" in found.sentence


def test_without_folds_nothing_is_put_together():
    part = drawn(1)
    found = choose(part, KINDS, PRIMARY)
    assert (found.folds, found.sentence) == ((), "")
    assert compose(part, found) is part


def test_folds_are_concluded_by_what_they_chose():
    validation, test = three_folds()
    found = conclude(validation, test, KINDS, Facts(), times=100)
    assert (found.reference, found.chosen.synthetic) == (FREE, SYNTHETIC)
    assert set(found.arms) == {*KINDS, FREE, SYNTHETIC}
    assert set(found.differences) == {*KINDS, SYNTHETIC}
    place = metric_names(CLASSES).index(PRIMARY)
    judged = compose(test, found.chosen)
    for arm in (FREE, SYNTHETIC):
        expected = np.mean([measure(each, judged.targets)[place, 0] for each in judged.chances[arm]])
        assert found.arms[arm][PRIMARY].mean == pytest.approx(expected)
    assert sum(count["images"] for count in found.test.values()) == 3 * len(test[0].targets)
    assert found.best_arm in (None, *KINDS)
    assert {f"{FREE}*", f"{SYNTHETIC}*"} <= {row[0] for row in table(found)}


def test_what_folds_chose_must_beat_every_single_arm_and_is_named_by_one():
    gains = dict.fromkeys(KINDS, 0.0) | {"synthetic-1": 3.0, "synthetic-3": 3.0}
    validation = folds_that_choose(("real", "synthetic-3"), ("class-weights", "synthetic-3"), ("real", "synthetic-1"))
    test = [drawn(20 + place, gains) for place in range(3)]
    found = conclude(validation, test, KINDS, Facts(), times=100)
    assert (found.judgement, found.best_arm) == ("helps", "synthetic-3")
    assert found.verdict.startswith("Use synthetic-3: synthetic images help R. AUPRC of R is ")
    assert "with synthetic-by-fold and" in found.verdict
    assert "synthetic-by-fold is synthetic-3 in 2, synthetic-1 in 1" in found.verdict
    rival = [replace(each, chances={**each.chances, "class-weights": each.chances["synthetic-1"]}) for each in test]
    beaten = conclude(validation, rival, KINDS, Facts(), times=100)
    assert (beaten.judgement, beaten.best_arm) == ("cannot tell", None)
    assert "is not shown to beat class-weights" in beaten.verdict
    kept = as_json(found)["chosen"]
    json.dumps(kept, allow_nan=False)
    assert kept["folds"][1] == {"free": "class-weights", "synthetic": "synthetic-3"}
    assert kept["sentence"] == found.chosen.sentence


def test_a_composite_of_other_scales_does_not_condemn_the_images():
    """Together the chosen synthetic arms look harmful; the one that most folds chose is as good as the free one."""
    gains = {**GAINS, "synthetic-1": 0.3, "synthetic-3": 0.3}
    shy, tested = np.array([1.0, 1.0, 0.02], np.float32), [drawn(10 + place, gains) for place in range(3)]
    shrunk = [
        replace(each, chances={**each.chances, "synthetic-1": each.chances["synthetic-1"] * shy}) for each in tested
    ]
    found = conclude(three_folds()[0], shrunk, KINDS, Facts(), times=200)
    assert found.differences[SYNTHETIC][PRIMARY].high < 0
    assert (found.judgement, found.best_arm) == ("cannot tell", None)
    assert "synthetic-by-fold, which validation chose, is not worth it, but synthetic-3 may be" in found.verdict


def test_folds_without_synthetic_images_compare_the_free_arms():
    free = {arm: kind for arm, kind in KINDS.items() if kind in ("real", "free")}
    found = conclude(*three_folds(), free, Facts(), times=50)
    assert found.chosen.synthetic is None
    assert found.best_arm == "class-weights"
    assert "by free-by-fold" in found.verdict


def equal_arms(seed, folds=3, counts=(48, 24), seeds=3):
    """Arms of equal worth, each with a liking for some patients; whom one fold tests, others choose by."""
    chance = np.random.default_rng(seed)
    targets = np.repeat([0, 1], counts)
    size = len(targets)
    base = 1.2 * targets + chance.normal(0, 1, size)
    liking = {arm: chance.normal(0, 0.7, size) for arm in EQUAL}
    of_fold = chance.permutation(size) % folds
    parts = {"validation": [], "test": []}
    for fold in range(folds):
        others = chance.permutation(np.flatnonzero(of_fold != fold))
        rows = {"test": np.flatnonzero(of_fold == fold), "validation": others[: len(others) // 2]}
        for part, mine in rows.items():
            chances = {}
            for arm in EQUAL:
                scores = base[mine] + liking[arm][mine] + chance.normal(0, 0.4, (seeds, len(mine)))
                second = 1 / (1 + np.exp(-scores))
                chances[arm] = np.stack((1 - second, second), axis=-1).astype(np.float32)
            frame = pd.DataFrame(index=range(len(mine)))
            parts[part].append(Outcomes(("A", "R"), "R", targets[mine], mine, frame, chances))
    return parts["validation"], parts["test"]


def gain(choice, test):
    """By how much the chosen synthetic arm is better than the chosen free one."""
    measured = measure_arms(test, times=60)
    contrast = measured[choice.synthetic].minus(measured[choice.free])
    return estimate(contrast, class_patients(test), difference=True)[PRIMARY]


def test_equal_arms_are_not_told_apart_more_often_than_they_should_be():
    """Chosen fold by fold; chosen on all validation parts together, whom other folds test, the winner looks good."""
    times, level, spoilt, alarms = 60, [], [], 0
    for seed in range(times):
        validation, test = equal_arms(seed)
        alone, together = choose(validation, EQUAL, PRIMARY), choose(pooled(validation), EQUAL, PRIMARY)
        found = gain(alone, compose(test, alone))
        alarms += found.low > 0 or found.high < 0
        level.append(luck(alone.folds, test))
        spoilt.append(luck([together] * len(test), test))
    assert alarms <= 7  # 3 are expected; more than 7 of 60 come once in 70 times
    error = np.std(level, ddof=1) / np.sqrt(times)
    assert abs(np.mean(level)) < 2.5 * error
    assert np.mean(spoilt) > 2.5 * np.std(spoilt, ddof=1) / np.sqrt(times)


def luck(choices, test):
    """How much better the chosen free arm does than the mean of the free ones, fold by fold: all are equal."""
    place = metric_names(test[0].classes).index(PRIMARY)
    found = []
    for each, choice in zip(test, choices, strict=True):
        known = {
            arm: np.mean([measure(said, each.targets)[place, 0] for said in each.chances[arm]])
            for arm, kind in EQUAL.items()
            if kind != "synthetic"
        }
        found.append(known[choice.free] - np.mean(list(known.values())))
    return np.mean(found)


def test_what_is_chosen_in_most_folds_by_default_is_the_best_of_them():
    one, other = Choice("crt", None, {"crt": 0.5, "real": 0.1}), Choice("real", None, {"crt": 0.0, "real": 0.2})
    found = Choice(FREE, None, {FREE: 0.35, "crt": 0.25, "real": 0.15}, (other, one))
    assert found.usable(FREE) == "crt"
