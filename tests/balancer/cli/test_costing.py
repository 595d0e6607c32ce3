"""The estimate before a comparison counts what is then trained."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from analysis.comparison.inputs.build_study import Wanted
from analysis.comparison.training.arm_selection import choose_arms
from analysis.comparison.training.frozen import Frozen
from analysis.comparison.training.networks import SmallNetwork
from analysis.comparison.training.runs import RunSettings
from balancer.cli.benches import Order
from balancer.cli.costing import Cost, training_cost
from balancer.splits.split import draw_split
from tests.support.balanced_fixtures import split_collection
from tests.support.comparison_fixtures import Scribe, added, study

FULL = {name: added((5, 40, 34)) for name in ("synthetic", "unscreened", "reconstructed")}


def order(tmp_path, learner, quick=False, only=(), seeds=5, workers=2):
    split = draw_split(split_collection(tmp_path))
    settings = RunSettings(learner, 10, tuple(range(seeds)))
    return Order(SimpleNamespace(split=split), Wanted(16), settings, quick, only, workers, force=False)


@pytest.mark.parametrize("learner", [Scribe(), Frozen()])
@pytest.mark.parametrize(("quick", "only"), [(False, ()), (True, ()), (False, ("crt", "synthetic-1"))])
@pytest.mark.parametrize("made", [True, False])
def test_the_arms_that_are_counted_are_those_that_are_trained(tmp_path, learner, quick, only, made):
    whole = study(extra=FULL if made else {})
    arms, _ = choose_arms(whole, learner, quick=quick, only=only or None)
    trained = sum(each.learn is not None for each in arms)
    asked = order(tmp_path, FASTER.get(type(learner), learner), quick, only)
    found = training_cost(asked, 1, folds=False, made=made)
    assert found.trainings - found.of_curve == 5 * trained
    assert found.of_curve == (10 if made and not quick and not only else 0)


class Fast(Frozen):
    """The same, which needs no try."""

    def pace(self, steps, learned, others):
        return Scribe().pace(steps, learned, others)


FASTER = {Frozen: Fast()}


@pytest.mark.parametrize(
    ("legs", "folds", "trainings", "curve"), [(1, False, 115, 10), (5, False, 105, 0), (3, True, 315, 0)]
)
def test_folds_are_trained_on_anew_and_redraws_share_the_seeds(tmp_path, legs, folds, trainings, curve):
    found = training_cost(order(tmp_path, Scribe()), legs, folds=folds, made=True)
    assert (found.trainings, found.of_curve) == (trainings, curve)
    assert found.seconds == -(-(trainings - curve) // 2) + curve / 2  # a second each, two at once


def test_learning_rates_that_are_tried_are_counted_and_how_long_it_takes_is_a_limit(tmp_path):
    tries = replace(Scribe(), rates=(1.0, 2.0, 3.0))
    asked = order(tmp_path, tries)
    usual = replace(asked, settings=replace(asked.settings, tries_rates=False))
    with_rates, without = (training_cost(each, 1, folds=False, made=True) for each in (asked, usual))
    assert with_rates.trainings - without.trainings == 2 * 3  # both arms of the verdict and the matched control
    auto = replace(usual, settings=replace(usual.settings, steps=None))
    assert "of at most 1 s" in str(training_cost(auto, 1, folds=False, made=True))


def test_time_is_counted_in_rounds():
    assert Cost(9, 3, 10.0, 4, looking=5.0).seconds == 5 + 20 + 10
    assert str(Cost(1, 0, 0.2, 1)) == "1 training of about 1 s: about 1 s"
    assert "after 7 s of computing features: about" in str(Cost(3, 0, 1.0, 1, looking=7.0))
    assert replace(Cost(8, 0, 1.0, 2), at_once=8).seconds == 1


def test_the_usual_number_of_workers_is_that_of_the_comparison(tmp_path):
    learner = replace(Scribe(), device="cuda")
    assert training_cost(order(tmp_path, learner, workers=None), 1, folds=False, made=False).at_once == 1
    assert SmallNetwork().looks_alike
