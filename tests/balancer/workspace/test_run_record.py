"""What a run was asked for, kept so that it can be repeated where it was moved to, or elsewhere."""

import pytest

from balancer.errors import StateError
from balancer.workspace.run_record import RunRecord, last_run, remember_run
from balancer.workspace.settings import AdaptSettings, FillSettings
from balancer.workspace.workspace import Session
from tests.support.study_fixtures import place_of


@pytest.fixture
def session(tmp_path):
    place = place_of(tmp_path)
    yield Session(place.state, place.ledger, place.collection, place.split)
    place.ledger.__exit__(None, None, None)


def test_settings_that_name_files_move_with_the_working_folder(session, tmp_path, monkeypatch):
    for name in ("sd", "work/mine.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path / "work")
    settings = FillSettings(target="max", model="../sd", adapter="lora", pack="mine.yaml")
    remember_run(session, "fill", settings, 2.0)
    kept = session.ledger.setting(session.collection, "run of fill")["settings"]
    assert (kept["model"], kept["adapter"], kept["pack"]) == ("sd", "lora", "work/mine.yaml")
    found = last_run(session, "fill", FillSettings).settings
    assert (found.model, found.pack) == (str(tmp_path / "sd"), str(tmp_path / "work" / "mine.yaml"))
    assert str(found.adapter) == "lora"


def test_of_the_same_settings_the_longest_run_counts(session):
    for seconds in (5.0, 2.0):
        remember_run(session, "fill", FillSettings(target="max"), seconds)
    assert last_run(session, "fill", FillSettings).seconds == 5.0
    remember_run(session, "fill", FillSettings(target="9"), 2.0)
    assert last_run(session, "fill", FillSettings).seconds == 2.0


def test_what_version_0_1_was_asked_for_is_read(session):
    assert last_run(session, "fill", FillSettings) is None
    options = {"target": ["max", "A=3"], "as_drawn": True, "batch_size": "4", "no_screen": True}
    session.ledger.save_setting(session.collection, "asked of fill", options)
    session.ledger.save_setting(session.collection, "seconds of fill", 7.0)
    settings = FillSettings(("max", "A=3"), harmonise=False, batch_size="4", no_screen=True)
    assert last_run(session, "fill", FillSettings) == RunRecord(settings, 7.0)


def test_an_adapter_of_an_earlier_version_is_made_again_from_squares(session):
    remember_run(session, "adapt", AdaptSettings(base="sd"), 2.0)
    assert last_run(session, "adapt", AdaptSettings).settings.aspect_ratio is None
    fields = session.ledger.setting(session.collection, "run of adapt")
    del fields["settings"]["aspect_ratio"]
    session.ledger.save_setting(session.collection, "run of adapt", fields)
    assert last_run(session, "adapt", AdaptSettings).settings == AdaptSettings(base="sd", aspect_ratio="square")


def test_a_record_that_this_version_does_not_know_asks_to_do_it_once_more(session):
    session.ledger.save_setting(session.collection, "asked of fill", {"target": ["max"], "colour": "red"})
    with pytest.raises(StateError, match="colour") as caught:
        last_run(session, "fill", FillSettings)
    assert "balance fill, with the same options" in caught.value.next_step
