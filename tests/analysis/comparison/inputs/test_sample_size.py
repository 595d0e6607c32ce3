"""What can still be concluded where there is not enough."""

import pytest

from analysis.comparison.inputs.sample_size import Counts, require_patients_in_folds, require_sufficient
from balancer.errors import ComparisonError

ENOUGH = {"A": 30, "B": 40, "C": 50}


def counts(**changes):
    parts = {"train": ENOUGH, "validation": ENOUGH, "test": ENOUGH}
    found = {name: {**part, **changes.get(name, {})} for name, part in parts.items()}
    return Counts(("A", "B", "C"), **found, folds=changes.get("folds", 5))


def test_enough_leaves_no_stamp():
    assert require_sufficient(counts(), "A") == ()


@pytest.mark.parametrize(
    ("changes", "stamp"),
    [
        ({"test": {"B": 9}}, "only 9 test images of B: little can be concluded about it"),
        ({"test": {"B": 1}}, "only 1 test image of B: little can be concluded about it"),
        (
            {"test": {"B": 0}},
            "no test image of B: nothing can be concluded about it; results of the other classes are not affected",
        ),
        (
            {"train": {"B": 0}},
            "no real training image of B: no arm can learn it; results of the other classes are not affected",
        ),
        ({"validation": {"B": 0}}, "no validation image of B: the best arm is chosen without it"),
    ],
)
def test_of_the_other_classes_something_is_still_concluded(changes, stamp):
    assert require_sufficient(counts(**changes), "A") == (stamp,)


@pytest.mark.parametrize(
    ("changes", "found", "advice"),
    [
        ({"test": {"A": 9}}, "9; conclusions are still possible for B .40 test images., C .50", "--label B"),
        ({"test": {"A": 0}}, "none; conclusions are still possible for B", "--cross-fit 5"),
        ({"test": {"A": 9, "B": 9, "C": 9}}, "9; conclusions are still possible for no class", "--cross-fit 5"),
        ({"test": {"A": 0, "B": 0}}, r"C only \(50 images\): nothing can be concluded about how well", "--test 0.2"),
        ({"test": {"A": 0, "B": 0, "C": 0}}, "none: nothing can be concluded", "--test 0.2"),
        ({"train": {"A": 0}}, "none, so there is nothing to train on", "--label B"),
        ({"train": {"A": 0, "B": 0}}, r"C only \(50 images\)", "--cross-fit 5"),
        ({"validation": {"A": 0}}, "none: the best arm would be chosen at random", "--val"),
    ],
)
def test_of_the_rarest_class_nothing_can_be_concluded(changes, found, advice):
    with pytest.raises(ComparisonError, match=found) as error:
        require_sufficient(counts(**changes), "A")
    assert advice in error.value.next_step


def test_as_many_folds_are_advised_as_fit_or_none():
    with pytest.raises(ComparisonError) as error:
        require_sufficient(counts(test={"A": 9}, folds=2), "A")
    assert "--cross-fit 2; or choose another class" in error.value.next_step
    for few in ({"test": {"A": 9}}, {"validation": {"A": 0}}, {"train": {"A": 0, "B": 0}}):
        with pytest.raises(ComparisonError) as error:
            require_sufficient(counts(**few, folds=0), "A")
        assert "--cross-fit" not in error.value.next_step


def test_who_insists_is_told_so():
    told = ("only 4 test images of A: little can be concluded about it",)
    assert require_sufficient(counts(test={"A": 4}), "A", insist=True) == told
    with pytest.raises(ComparisonError):
        require_sufficient(counts(test={"A": 0}), "A", insist=True)


def test_a_fold_may_test_one_class_but_must_learn_two():
    alone = counts(test={"A": 0, "B": 0})
    assert require_sufficient(alone, "A", pooled=True) == ()
    with pytest.raises(ComparisonError, match="C only"):
        require_sufficient(counts(train={"A": 0, "B": 0}), "C", pooled=True)


def test_a_class_is_named_as_a_shell_takes_it():
    of_spaces = Counts(("A", "left lung"), *({"A": size, "left lung": 40} for size in (30, 30, 9)))
    with pytest.raises(ComparisonError) as error:
        require_sufficient(of_spaces, "A")
    assert error.value.next_step.endswith("balance compare --label 'left lung'")


@pytest.mark.parametrize(
    ("patients", "found", "advice"),
    [
        ([5, 4, 4, 4], "4 test patients of A in fold 2 of 4; conclusions are still possible for B", "--folds 3, then"),
        ([0, 3, 3], "0 test patients of A in fold 1 of 3", "6 patients are too few for two folds"),
        ([1, 14], "1 test patient of A in fold 1 of 2", "number of folds that fits 15 patients is 3"),
    ],
)
def test_folds_with_few_patients_of_the_class_are_refused(patients, found, advice):
    counts = {"A": patients, "B": [9] * len(patients), "C": [4] * len(patients)}
    with pytest.raises(ComparisonError, match="5 test patients of A") as caught:
        require_patients_in_folds(counts, "A")
    assert found in caught.value.found
    assert advice in caught.value.next_step
    assert "--label B" in caught.value.next_step
    (stamp,) = require_patients_in_folds(counts, "A", insist=True)
    assert stamp.startswith("only ")


def test_five_patients_in_each_fold_are_enough():
    assert require_patients_in_folds({"A": [5, 5], "B": [1, 1]}, "A") == ()


def counts_of(**changes):
    enough = {"a": 20, "b": 40}
    given = {"train": enough, "validation": enough, "test": enough, "lacking": {"train": 50, "test": 50}}
    return Counts(("a", "b"), **{**given, **changes})


def test_findings_that_are_in_test_alone_or_of_few_images_are_told_in_a_line_each():
    assert require_sufficient(counts_of(), "a") == ()
    said = require_sufficient(counts_of(train={"a": 20}, test={"a": 20, "b": 3}), "a")
    assert [line.partition(":")[0] for line in said] == [
        "fewer than 10 test images of b",
        "no real training image of b",
    ]
    many = tuple(f"f{number:03}" for number in range(500))
    hundreds = Counts(many, {"f000": 20}, {"f000": 20}, {"f000": 20}, lacking={"train": 50, "test": 50})
    said = require_sufficient(hundreds, "f000")
    assert len(said) == 2
    assert all("and 494 more" in line for line in said)


def test_one_finding_is_enough_where_images_are_known_not_to_have_it():
    alone = counts_of(train={"a": 20}, validation={"a": 20}, test={"a": 20})
    assert len(require_sufficient(alone, "a")) == 2
    with pytest.raises(ComparisonError, match="known not to have a, in the test split"):
        require_sufficient(counts_of(lacking={"train": 9}), "a")
    with pytest.raises(ComparisonError, match="conclusions are still possible for no class"):
        require_sufficient(counts_of(test={"a": 3, "b": 3}), "a")
