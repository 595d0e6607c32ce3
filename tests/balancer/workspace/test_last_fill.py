"""What a merge repeats without making or judging anything."""

from dataclasses import replace

import pytest

from balancer.collection.scan import scan
from balancer.filling.screening import NO_SCREEN
from balancer.jobs import Candidate, Verdict
from balancer.store.database import Ledger
from balancer.store.state_dir import find_or_make_state
from balancer.workspace.last_fill import LastFill, known_of, made_elsewhere, portable
from tests.support.balanced_fixtures import make_job

JOBS = [make_job("NODULE", index) for index in range(4)]
LAST = LastFill(
    {"NODULE": 2}, {"NODULE": [job.id for job in JOBS]}, {"seed": "0"}, ["stamp"], "xrays-balanced", False, ["accept"]
)


@pytest.fixture
def desk(tmp_path, xrays):
    state, found = find_or_make_state(tmp_path, xrays), scan(xrays)
    verdict = Verdict("accept", {}, (), "gate")
    with Ledger(state) as ledger:
        for job in JOBS:
            ledger.add_candidates(found, [(Candidate("NODULE", state.candidates / job.id, "ab", job), verdict)])
        yield ledger, found


def accepted(ledger, found, last=LAST):
    return [candidate.job.index for candidate, _ in last.accepted(known_of(ledger, found)).get("NODULE", ())]


def test_the_last_fill_comes_back_as_it_was(desk):
    ledger, found = desk
    assert LastFill.load(ledger, found) is None
    LAST.save(ledger, found)
    again = LastFill.load(ledger, found)
    assert again == LAST
    assert accepted(ledger, found, again) == [0, 1]


def test_what_is_rejected_since_gives_way_to_the_next_in_order(desk):
    ledger, found = desk
    for job in (JOBS[0], JOBS[2]):
        ledger.add_verdict(found, job.id, Verdict("reject", {}, (), "Dr. A"))
    assert accepted(ledger, found) == [1, 3]
    ledger.add_verdict(found, JOBS[3].id, Verdict("review", {}, (), "Dr. A"))
    assert accepted(ledger, found) == [1]


def test_what_was_not_screened_is_merged_by_the_users_word_alone(desk):
    ledger, found = desk
    ledger.add_verdict(found, JOBS[0].id, Verdict("unscreened", {}, (), "gate"), "gate")
    assert accepted(ledger, found) == [1, 2]
    assert accepted(ledger, found, replace(LAST, usable=["accept", "unscreened"])) == [0, 1]
    ledger.add_verdict(found, JOBS[0].id, Verdict("unscreened", {}, (), NO_SCREEN), NO_SCREEN)
    assert accepted(ledger, found) == [0, 1]


def test_a_class_that_the_collection_no_longer_has_is_left_out(desk):
    ledger, found = desk
    assert accepted(ledger, found, replace(LAST, jobs={"MASS": ["x"]}, deficits={"MASS": 1})) == []


def test_generated_images_are_not_from_elsewhere(desk):
    ledger, found = desk
    assert made_elsewhere(known_of(ledger, found), "PNG") == {"EFFUSION": [], "NODULE": [], "NORMAL": []}


def test_places_are_relative_to_the_working_folder(tmp_path, xrays):
    state = find_or_make_state(tmp_path, xrays)
    assert portable(tmp_path / "out", state) == "out"
    assert portable(tmp_path.parent / "out", state) == "../out"
