"""Whatever byte of the ledger turns while nobody has it open is noticed, and nobody's work is taken for damage."""

import os
import signal

import pytest

from balancer.errors import DamagedLedger
from balancer.ledger import Ledger
from balancer.renewal import set_aside_if_damaged
from balancer.scan import scan
from balancer.seal import SUFFIX
from balancer.state import State


@pytest.fixture
def state(tmp_path):
    (tmp_path / ".balance").mkdir()
    return State(tmp_path / ".balance")


@pytest.fixture
def kept(state, xrays):
    """The collection of a ledger that was closed."""
    collection = scan(xrays)
    with Ledger(state) as ledger:
        ledger.save_collection(collection)
        ledger.save_setting(collection, "word", "nodule")
    return collection


def seal_of(state):
    return state.folder / f"{state.ledger.name}{SUFFIX}"


def turn(state):
    content = state.ledger.read_bytes()
    assert content.count(b'"nodule"') == 1
    state.ledger.write_bytes(content.replace(b'"nodule"', b'"module"'))


def test_one_turned_letter_of_a_text_is_noticed_and_the_sum_goes_with_its_ledger(state, kept):
    turn(state)
    with pytest.raises(DamagedLedger, match="other bytes than when it was closed"), Ledger(state):
        pass
    name, _ = set_aside_if_damaged(state)
    assert not seal_of(state).exists()
    assert (state.folder / f"{name}{SUFFIX}").exists()
    with Ledger(state) as ledger:
        assert ledger.load_collection() is None
    assert set_aside_if_damaged(state) is None


def test_a_reader_leaves_it_as_it_is(state, kept):
    before = seal_of(state).read_bytes()
    with Ledger(state) as ledger:
        assert ledger.setting(kept, "word") == "nodule"
        assert seal_of(state).read_bytes() == before
    assert seal_of(state).read_bytes() == before


def test_it_is_broken_while_somebody_writes_and_put_on_again_by_the_last(state, kept):
    before = seal_of(state).read_bytes()
    with Ledger(state) as reader:
        with Ledger(state) as writer:
            writer.save_setting(kept, "word", "normal")
            assert not seal_of(state).exists()
            with Ledger(state) as third:
                assert third.setting(kept, "word") == "normal"
        assert not seal_of(state).exists()  # the change is still in SQLite's log
        assert reader.setting(kept, "word") == "normal"
    with Ledger(state) as writer:
        writer.save_setting(kept, "word", "other")
    assert seal_of(state).read_bytes() not in (before, b"")


def test_after_a_kill_there_is_none_and_the_ledger_is_taken_as_it_is(state, kept):
    if not (child := os.fork()):
        ledger = Ledger(state)
        ledger.save_setting(kept, "word", "normal")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert not seal_of(state).exists()
    with Ledger(state) as ledger:
        assert ledger.setting(kept, "word") == "normal"


@pytest.mark.parametrize("rest", [b"", b"ab" * 20, bytes(100)])
def test_what_a_power_cut_left_of_it_says_nothing(state, kept, rest):
    seal_of(state).write_bytes(rest)
    with Ledger(state) as ledger:
        assert ledger.setting(kept, "word") == "nodule"


def test_one_without_its_ledger_is_no_reason_to_refuse_a_new_one(state, kept):
    state.ledger.unlink()
    with Ledger(state) as ledger:
        assert ledger.load_collection() is None
    with Ledger(state) as ledger:
        assert ledger.load_collection() is None


def test_a_disk_without_room_for_it_stops_nothing(state, kept, monkeypatch):
    with Ledger(state) as ledger:
        ledger.save_setting(kept, "word", "normal")
        monkeypatch.setattr("balancer.seal.sha256_of", _no_room)
    assert not seal_of(state).exists()
    monkeypatch.undo()
    with Ledger(state) as ledger:
        assert ledger.setting(kept, "word") == "normal"


def _no_room(path):
    raise OSError(28, "No space left on device", str(path))
