import pytest

from balancer.errors import PlanError
from balancer.planning import make_plan

COUNTS = {"NORMAL": 1000, "BACTERIAL": 400, "VIRAL": 50}


@pytest.mark.parametrize(
    ("targets", "deficits"),
    [
        (["500"], {"NORMAL": 0, "BACTERIAL": 100, "VIRAL": 450}),
        (["median"], {"NORMAL": 0, "BACTERIAL": 0, "VIRAL": 350}),
        (["VIRAL=60"], {"NORMAL": 0, "BACTERIAL": 0, "VIRAL": 10}),
        (["500", "VIRAL=60"], {"NORMAL": 0, "BACTERIAL": 100, "VIRAL": 10}),
        (["40"], {"NORMAL": 0, "BACTERIAL": 0, "VIRAL": 0}),
    ],
)
def test_targets(targets, deficits):
    assert make_plan(COUNTS, targets).deficits == deficits


def test_the_cap_is_kept_and_said():
    plan = make_plan(COUNTS, ["max"])
    assert plan.deficits == {"NORMAL": 0, "BACTERIAL": 600, "VIRAL": 500}
    assert plan.capped == {"VIRAL": 950}
    assert plan.target_counts == {"NORMAL": 1000, "BACTERIAL": 1000, "VIRAL": 1000}


def test_symmetric_gives_every_class_the_largest_deficit():
    plan = make_plan(COUNTS, ["VIRAL=80"], symmetric=True)
    assert plan.deficits == {"NORMAL": 30, "BACTERIAL": 30, "VIRAL": 30}
    assert plan.target_counts == {"NORMAL": 1030, "BACTERIAL": 430, "VIRAL": 80}


def test_symmetric_keeps_the_cap_of_the_rarest_class():
    plan = make_plan({"N": 1000, "A": 10, "B": 300}, ["max"], symmetric=True)
    assert plan.deficits == {"N": 100, "A": 100, "B": 100}
    assert plan.capped == {"A": 990, "B": 700}


def test_a_class_name_may_hold_an_equals_sign():
    assert make_plan({"a=b": 1, "c": 5}, ["a=b=4"]).deficits == {"a=b": 3, "c": 0}


@pytest.mark.parametrize("target", ["", "0", "-5", "many", "VIRAL=", "VIRAL=x", "5.5", "٥"])
def test_what_is_no_number_is_refused(target):
    with pytest.raises(PlanError, match="number of images"):
        make_plan(COUNTS, [target])


def test_an_unknown_class_is_refused_with_the_likely_one():
    with pytest.raises(PlanError, match="--target VIRAL=500"):
        make_plan(COUNTS, ["viral=500"])


@pytest.mark.parametrize("ratio", [-1, 0, float("inf"), float("nan")])
def test_a_cap_that_is_none_is_refused(ratio):
    with pytest.raises(PlanError, match="above 0"):
        make_plan(COUNTS, ["max"], max_ratio=ratio)


@pytest.mark.parametrize(
    ("strategy", "deficits"),
    [
        ("minority", {"A": 0, "B": 0, "C": 80}),
        ("not majority", {"A": 0, "B": 40, "C": 80}),
        ("all", {"A": 0, "B": 40, "C": 80}),
    ],
)
def test_strategies_are_those_of_imbalanced_learn(strategy, deficits):
    assert make_plan({"A": 100, "B": 60, "C": 20}, strategy=strategy).deficits == deficits


def test_several_smallest_classes_are_all_the_minority():
    assert make_plan({"A": 9, "B": 3, "C": 3}, strategy="minority").deficits == {"A": 0, "B": 6, "C": 6}


@pytest.mark.parametrize(
    ("arguments", "deficits"),
    [
        ({"times": ["1"]}, {"NORMAL": 0, "BACTERIAL": 400, "VIRAL": 50}),
        ({"times": ["0.25"]}, {"NORMAL": 0, "BACTERIAL": 100, "VIRAL": 13}),
        ({"times": ["VIRAL=2"]}, {"NORMAL": 0, "BACTERIAL": 0, "VIRAL": 100}),
        ({"times": ["1", "VIRAL=2"]}, {"NORMAL": 0, "BACTERIAL": 400, "VIRAL": 100}),
        ({"times": ["2"], "strategy": "minority"}, {"NORMAL": 0, "BACTERIAL": 0, "VIRAL": 100}),
        ({"times": ["1"], "targets": ["VIRAL=60"]}, {"NORMAL": 0, "BACTERIAL": 400, "VIRAL": 10}),
        ({"times": ["VIRAL=1"], "targets": ["max"]}, {"NORMAL": 0, "BACTERIAL": 600, "VIRAL": 50}),
        ({"times": ["20"], "strategy": "minority"}, {"NORMAL": 0, "BACTERIAL": 0, "VIRAL": 500}),
        ({"times": ["VIRAL=1"], "symmetric": True}, {"NORMAL": 50, "BACTERIAL": 50, "VIRAL": 50}),
    ],
)
def test_times_are_multiples_of_the_real_images(arguments, deficits):
    assert make_plan(COUNTS, **arguments).deficits == deficits


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"targets": ["max"], "strategy": "minority"},
        {"targets": ["500"], "times": ["1"]},
        {"times": ["1", "2"]},
        {"targets": ["VIRAL=60"], "times": ["VIRAL=1"]},
    ],
)
def test_nothing_asked_and_contradictions_are_refused(arguments):
    with pytest.raises(PlanError, match="one way to say"):
        make_plan(COUNTS, **arguments)


@pytest.mark.parametrize("times", ["0", "-1", "nan", "inf", "x", "", "VIRAL="])
def test_times_that_are_no_number_are_refused(times):
    with pytest.raises(PlanError, match="in --times"):
        make_plan(COUNTS, times=[times])


def test_a_part_of_a_class_s_name_leads_to_it():
    with pytest.raises(PlanError) as caught:
        make_plan({"BACTERIAL_PNEUMONIA": 9, "NORMAL": 9, "VIRAL_PNEUMONIA": 3}, times=["VIRAL=1"])
    assert caught.value.next_step == "use, for example: --times VIRAL_PNEUMONIA=1"
