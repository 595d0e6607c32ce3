"""What the last fill was made with: found by the hashes of the weights, and not by what was done last."""

import pytest

from balancer.cli.again import Asked
from balancer.cli.origins import (
    adapted_by,
    fold_order,
    not_repeated,
    order_key,
    origin_of,
    require_last_filled,
    same_model,
)
from balancer.errors import ComparisonError
from balancer.jobs import Verdict
from balancer.workspace.workspace import Session
from tests.support.study_fixtures import drawn_by, filled, judged, place_of, write_adapter, write_flat


@pytest.fixture
def place(tmp_path):
    found = place_of(tmp_path, write_flat)
    yield found
    found.ledger.__exit__(None, None, None)


def session_of(place):
    return Session(place.state, place.ledger, place.collection, place.split)


def ask(place, command, options, made=""):
    name = f"{command}: {made}" if made else command
    place.ledger.save_setting(place.collection, f"asked of {name}", options)
    place.ledger.save_setting(place.collection, f"seconds of {name}", 2.0)


def filled_by(place, adapter, options=None):
    filled(place, change=drawn_by(None, adapter))
    ask(place, "fill", {"target": ["60"]} if options is None else options)
    return session_of(place)


def test_the_order_is_that_of_the_adapter_that_drew_and_not_the_last_one(place):
    first = write_adapter(place, [], "first")
    write_adapter(place, [], "second")
    ask(place, "adapt", {"base": "sd", "steps": 5, "name": "first"}, made="first")
    for made in ("", "second"):
        ask(place, "adapt", {"base": "sd", "steps": 9, "name": "second"}, made=made)
    session = filled_by(place, first)
    origin = origin_of(session)
    assert (origin.adapter, origin.model) == (place.state.adapters / "first", None)
    assert adapted_by(session, origin) == Asked({"base": "sd", "steps": 5, "name": "first"}, 2.0)


def test_an_order_of_an_earlier_version_counts_for_what_it_made(place):
    adapter = write_adapter(place, [], "lora")
    ask(place, "adapt", {"base": "sd"})
    session = filled_by(place, adapter)
    assert adapted_by(session, origin_of(session)) == Asked({"base": "sd"}, 2.0)
    ask(place, "adapt", {"base": "sd", "name": "other"})
    with pytest.raises(ComparisonError, match="how lora, which drew the images of the last fill, was adapted"):
        adapted_by(session, origin_of(session))


def test_a_model_from_elsewhere_is_not_adapted(place):
    write_adapter(place, [], "lora")
    ask(place, "adapt", {"base": "sd"}, made="lora")
    session = filled_by(place, None, {"model": "elsewhere"})
    origin = origin_of(session)
    assert (origin.learned_here, adapted_by(session, origin), same_model(session, origin)) == (None, None, {})


def test_what_drew_and_is_gone_cannot_be_repeated(place):
    session = filled_by(place, None)
    with pytest.raises(ComparisonError, match="tiny-sd, which drew the images of the last fill"):
        origin_of(session)
    assert fold_order(session) == ""


def test_without_a_fill_there_is_nothing_to_repeat(place):
    with pytest.raises(ComparisonError, match="a finished balance fill"):
        origin_of(session_of(place))


def test_redraws_take_the_adapter_that_drew_though_a_newer_one_is_there(place):
    first = write_adapter(place, [], "first")
    place.ledger.save_setting(place.collection, "base of first", {"place": "xrays"})
    write_adapter(place, [], "second")
    session = filled_by(place, first)
    assert same_model(session, origin_of(session)) == {
        "adapter": str((place.state.adapters / "first").resolve()),
        "model": str((place.folder / "xrays").resolve()),
    }


def test_another_fill_or_adapt_is_another_order(place):
    adapter = write_adapter(place, [], "lora")
    ask(place, "adapt", {"base": "sd"}, made="lora")
    session = filled_by(place, adapter)
    folds, redraws = (order_key(session, folds=kind) for kind in (True, False))
    assert fold_order(session) == folds != redraws
    ask(place, "adapt", {"base": "sd", "steps": 7}, made="lora")
    assert (order_key(session, folds=True) == folds, order_key(session, folds=False)) == (False, redraws)
    ask(place, "fill", {"target": ["80"]})
    assert order_key(session, folds=False) != redraws


def test_readers_decisions_and_images_from_elsewhere_are_said_not_to_be_repeated(place):
    session = filled_by(place, None)
    assert not_repeated(session, [object()], folds=True) == ()
    key = judged(place)[0][0].id
    place.ledger.add_verdict(place.collection, key, Verdict("reject", {}, ("blurred",), "A. Reader"))
    assert not_repeated(session, [object()], folds=True) == (
        "what readers decided of 1 image is not repeated: folds have what the gates let in",
    )
    assert not_repeated(session, [object()], folds=False) == (
        "what readers decided of 1 image is not repeated: the other draws have what the gates let in",
    )
    assert not_repeated(session, [], folds=False) == ()


def test_draws_are_set_beside_the_last_fills_folder_alone(place, tmp_path):
    session = filled_by(place, None)
    require_last_filled(session, place.out)
    with pytest.raises(ComparisonError, match="--redraw repeats"):
        require_last_filled(session, tmp_path / "other")
    with pytest.raises(ComparisonError, match="it is gone"):
        require_last_filled(session, None)
