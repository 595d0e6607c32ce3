"""What people decided is written down beside the ledger, and taken up by a new one for the same bytes alone."""

import stat

import pytest

from analysis.review.reader_study import BlindedDesk
from balancer.errors import StateError
from balancer.jobs import BlindedAnswer, Verdict
from balancer.store.database import Ledger
from balancer.store.review_log import NAME, ReviewRecord, read_decisions, write_down
from balancer.workspace.recovery import take_up_readings
from tests.support.review_fixtures import blinded_cases, opened, prepare, review_desk

SAID = Verdict("reject", {"realistic": 0.0, "copy": 0.25}, ("rejected by a reader", "=é"), "Dr. É")
READ = BlindedAnswer("seed 0", "Dr. A", "real A/1.png", "real", None)


def kept(folder):
    return list(read_decisions(folder))


def test_what_is_written_comes_back_and_is_for_its_owner_alone(tmp_path):
    assert kept(tmp_path) == []
    written = [ReviewRecord("c", "i", "ab" * 32, "2026", SAID, True), ReviewRecord("c", "j", "cd" * 32, "2027", READ)]
    for each in written:
        write_down(tmp_path, each)
    assert kept(tmp_path) == written
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_a_damaged_line_spoils_no_other_and_is_never_guessed(tmp_path):
    place, first = tmp_path / NAME, ReviewRecord("c", "i", "ab" * 32, "2026", SAID)
    write_down(tmp_path, first)
    whole = place.read_bytes()
    place.write_bytes(whole + whole[: len(whole) // 2])  # a kill in the middle of a line
    write_down(tmp_path, first)
    assert kept(tmp_path) == [first, None, first]
    for at in range(1, len(whole)):
        place.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert set(kept(tmp_path)) <= {None}
    place.write_bytes(b"\xff\x00\n\n garbage")
    assert kept(tmp_path) == [None, None]


def test_a_disk_that_is_full_is_a_message(tmp_path):
    (tmp_path / NAME).symlink_to("/dev/full")
    with pytest.raises(StateError, match="balance review continues") as error:
        write_down(tmp_path, ReviewRecord("c", "i", "ab" * 32, "2026", SAID))
    assert "No space left" in error.value.found


def test_every_answer_of_the_page_is_written_down(tmp_path):
    prepare(tmp_path, {"NODULE": 2, "NORMAL": 0})
    with opened(tmp_path) as (journal, split):
        desk = review_desk(journal, split)
        (one, *_) = desk.overview()
        desk.answer(one["id"], {"decision": "accept", "realistic": True})
        desk.undo()
        given, back = kept(journal.state.folder)
        assert (given.said.decision, given.said.reviewer, given.by_screen) == ("accept", "A. Reader", False)
        assert (back.said.decision, back.said.reviewer, back.by_screen) == ("review", "copy gate", True)
        assert str(tmp_path) not in (journal.state.folder / NAME).read_text()


def test_answers_of_blinded_studies_are_taken_up_where_the_image_is_as_it_was(tmp_path):
    prepare(tmp_path, {"NODULE": 6, "NORMAL": 6}, Verdict("accept", {}, (), "nobody"), real=20)
    with opened(tmp_path) as (journal, split):
        cases = blinded_cases(journal, split, 8)
        desk = BlindedDesk(journal, "seed 0", "A", cases)
        for each in desk.overview():
            desk.answer(each["id"], {"answer": "real"})
        desk.undo()
        state, collection, before = journal.state, journal.collection, journal.ledger.readings(journal.collection)
    changed = [next(case for case in cases if case.truth == truth) for truth in ("real", "synthetic")]
    changed[0].path.write_bytes(b"other")
    changed[1].path.unlink()
    for left in state.folder.glob("ledger.sqlite*"):
        left.unlink()
    with Ledger(state) as ledger:
        ledger.save_collection(collection)
        there = [each for each in before if each.image not in {case.key for case in changed}]
        assert take_up_readings(ledger, collection, state) == len(there) > 4
        assert ledger.readings(collection) == there
        assert take_up_readings(ledger, collection, state) == 0
