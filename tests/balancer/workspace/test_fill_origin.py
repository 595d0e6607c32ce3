"""What the last fill was made with: found by the hashes of the weights, and not by what was done last."""

import hashlib
import json

import pytest

from balancer.errors import ComparisonError
from balancer.jobs import Verdict
from balancer.workspace.fill_origin import (
    adapted_by,
    commands_behind,
    fold_key,
    not_repeated,
    origin_of,
    refit_key,
    require_last_filled,
    same_model,
)
from balancer.workspace.run_record import RunRecord, remember_run
from balancer.workspace.settings import AdaptSettings, FillSettings
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
    place.asked(FillSettings(**({"target": ["60"]} if options is None else options)))
    return session_of(place)


def test_the_settings_are_those_of_the_adapter_that_generated_and_not_the_last_ones(place):
    first = write_adapter(place, [], "first")
    write_adapter(place, [], "second")
    ask(place, "adapt", {"base": "sd", "steps": 5, "name": "first"}, made="first")
    for made in ("", "second"):
        ask(place, "adapt", {"base": "sd", "steps": 9, "name": "second"}, made=made)
    session = filled_by(place, first)
    origin = origin_of(session)
    assert (origin.adapter, origin.model) == (place.state.adapters / "first", None)
    asked = AdaptSettings(base="sd", steps=5, name="first", aspect_ratio="square")  # as all were
    assert adapted_by(session, origin) == RunRecord(asked, 2.0)


def test_a_record_of_an_earlier_version_counts_for_what_it_made(place):
    adapter = write_adapter(place, [], "lora")
    ask(place, "adapt", {"base": "sd"})
    session = filled_by(place, adapter)
    assert adapted_by(session, origin_of(session)) == RunRecord(AdaptSettings(base="sd", aspect_ratio="square"), 2.0)
    ask(place, "adapt", {"base": "sd", "name": "other"})
    with pytest.raises(ComparisonError, match="the settings with which lora was adapted"):
        adapted_by(session, origin_of(session))


def test_a_model_from_elsewhere_is_not_adapted(place):
    write_adapter(place, [], "lora")
    ask(place, "adapt", {"base": "sd"}, made="lora")
    session = filled_by(place, None, {"model": "elsewhere"})
    origin = origin_of(session)
    assert (origin.learned_here, adapted_by(session, origin), same_model(session, origin)) == (None, None, {})


def test_what_drew_and_is_gone_cannot_be_repeated(place):
    session = filled_by(place, None)
    with pytest.raises(ComparisonError, match="tiny-sd, which generated the images of the last fill"):
        origin_of(session)
    assert fold_key(session) == ""


def test_without_a_fill_there_is_nothing_to_repeat(place):
    with pytest.raises(ComparisonError, match="a completed balance fill"):
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


def test_another_fill_or_adapt_has_another_key(place):
    adapter = write_adapter(place, [], "lora")
    ask(place, "adapt", {"base": "sd"}, made="lora")
    session = filled_by(place, adapter)
    folds, redraws = (refit_key(session, folds=kind) for kind in (True, False))
    assert fold_key(session) == folds != redraws
    ask(place, "adapt", {"base": "sd", "steps": 7}, made="lora")
    assert (refit_key(session, folds=True) == folds, refit_key(session, folds=False)) == (False, redraws)
    place.asked(FillSettings(target="80"))
    assert refit_key(session, folds=False) != redraws


def test_readers_decisions_and_images_from_elsewhere_are_said_not_to_be_repeated(place):
    session = filled_by(place, None)
    assert not_repeated(session, folds=True) == ()
    key = judged(place)[0][0].id
    place.ledger.add_verdict(place.collection, key, Verdict("reject", {}, ("blurred",), "A. Reader"))
    assert not_repeated(session, folds=True) == (
        "readers' decisions on 1 image are not repeated: folds have the images that the screening checks accept",
    )
    assert not_repeated(session, folds=False) == (
        "readers' decisions on 1 image are not repeated: "
        "the other generator seeds have the images that the screening checks accept",
    )


def test_draws_are_set_beside_the_last_fills_folder_alone(place, tmp_path):
    session = filled_by(place, None)
    require_last_filled(session, place.out)
    with pytest.raises(ComparisonError, match="--redraw repeats"):
        require_last_filled(session, tmp_path / "other")
    with pytest.raises(ComparisonError, match="it is missing"):
        require_last_filled(session, None)


def test_a_key_is_that_of_earlier_versions_so_that_their_folds_are_found_again(place):
    """It was a hash of the options as they had been typed, and of the weights."""
    session = filled_by(place, None, {"model": "elsewhere", "harmonise": False})
    facts = [{"model": "elsewhere", "no_intensity_matching": True}, None, None]
    assert fold_key(session) == hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]


def test_an_adapter_of_an_earlier_version_has_the_key_of_one_from_squares(place):
    adapter = write_adapter(place, [], "lora")
    ask(place, "adapt", {"base": "sd"}, made="lora")
    session = filled_by(place, adapter)
    before = fold_key(session)
    for aspect_ratio, is_same in (("square", True), (None, False), ("keep", False)):
        remember_run(session, "adapt", AdaptSettings(base="sd", aspect_ratio=aspect_ratio), 2.0, made="lora")
        assert (fold_key(session) == before) is is_same


def test_a_page_names_what_to_type_and_no_folder_of_the_machine(place, tmp_path):
    adapter = write_adapter(place, [], "lora")
    ask(place, "adapt", {"base": "/srv/ann/sd"}, made="lora")
    session = filled_by(place, adapter)
    adapted = "balance adapt --base sd --aspect-ratio square"  # the record is of an earlier version
    assert commands_behind(session, place.out) == (adapted, "balance fill --target 60")
    assert commands_behind(session, tmp_path / "other") == ()
