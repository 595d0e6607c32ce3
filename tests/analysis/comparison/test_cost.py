"""The estimate before a comparison counts what is then trained."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from analysis.comparison.cost import Cost, training_cost
from analysis.comparison.inputs.build_study import Wanted
from analysis.comparison.request import Request
from analysis.comparison.training.arm_selection import choose_arms
from analysis.comparison.training.frozen import Frozen
from analysis.comparison.training.networks import SmallNetwork
from analysis.comparison.training.runs import RunSettings
from balancer.splits.split import draw_split
from balancer.workspace.judging_settings import CompareSettings
from tests.support.balanced_fixtures import split_collection
from tests.support.comparison_fixtures import Scribe, added, study

FULL = {name: added((5, 40, 34)) for name in ("synthetic", "unscreened", "reconstructed")}


def request_for(tmp_path, backbone, **settings):
    split = draw_split(split_collection(tmp_path))
    asked = CompareSettings(**{"workers": 2, "seeds": 5, **settings})
    return Request(SimpleNamespace(split=split), asked, Wanted(16), RunSettings(backbone, 10, asked.training_seeds))


@pytest.mark.parametrize("backbone", [Scribe(), Frozen()])
@pytest.mark.parametrize(("quick", "only"), [(False, ()), (True, ()), (False, ("crt", "synthetic-1"))])
@pytest.mark.parametrize("made", [True, False])
def test_the_arms_that_are_counted_are_those_that_are_trained(tmp_path, backbone, quick, only, made):
    whole = study(extra=FULL if made else {})
    arms, _ = choose_arms(whole, backbone, quick=quick, only=only or None)
    trained = sum(each.learn is not None for each in arms)
    asked = request_for(tmp_path, FASTER.get(type(backbone), backbone), quick=quick, arm=only)
    found = training_cost(asked, made=made)
    assert found.trainings - found.of_curve == 5 * trained
    assert found.of_curve == (10 if made and not quick and not only else 0)


class Fast(Frozen):
    """The same, which needs no try."""

    def pace(self, steps, learned, others):
        return Scribe().pace(steps, learned, others)


FASTER = {Frozen: Fast()}


@pytest.mark.parametrize(
    ("way", "trainings", "curve"), [({}, 115, 10), ({"redraw": 5}, 105, 0), ({"cross_fit": 3}, 315, 0)]
)
def test_folds_are_trained_on_again_and_redraws_share_the_seeds(tmp_path, way, trainings, curve):
    found = training_cost(request_for(tmp_path, Scribe(), **way), made=True)
    assert (found.trainings, found.of_curve) == (trainings, curve)
    assert found.seconds == -(-(trainings - curve) // 2) + curve / 2  # a second each, two at once


def test_learning_rates_that_are_tried_are_counted_and_how_long_it_takes_is_a_limit(tmp_path):
    tries = replace(Scribe(), rates=(1.0, 2.0, 3.0))
    asked = request_for(tmp_path, tries)
    usual = replace(asked, runs=replace(asked.runs, tries_rates=False))
    with_rates, without = (training_cost(each, made=True) for each in (asked, usual))
    assert with_rates.trainings - without.trainings == 2 * 3  # both arms of the verdict and the matched control
    auto = replace(usual, runs=replace(usual.runs, steps=None))
    assert "of at most 1 s" in str(training_cost(auto, made=True))


def test_time_is_counted_in_rounds():
    assert Cost(9, 3, 10.0, 4, looking=5.0).seconds == 5 + 20 + 10
    assert str(Cost(1, 0, 0.2, 1)) == "1 training of about 1 s: about 1 s"
    assert "after 7 s of computing features: about" in str(Cost(3, 0, 1.0, 1, looking=7.0))
    assert replace(Cost(8, 0, 1.0, 2), at_once=8).seconds == 1


def test_the_usual_number_of_workers_is_that_of_the_comparison(tmp_path):
    backbone = replace(Scribe(), device="cuda")
    assert training_cost(request_for(tmp_path, backbone, workers=None), made=False).at_once == 1
    assert SmallNetwork().looks_alike
