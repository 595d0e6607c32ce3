import hashlib
import json
import sqlite3

import pytest

from balancer.collection.scan import scan
from balancer.errors import DamagedLedger, StateError
from balancer.store.database import Ledger
from balancer.store.faults import failed
from balancer.store.state_dir import State
from balancer.workspace.recovery import set_aside_if_damaged, split_of, take_up_adapters


@pytest.fixture
def state(tmp_path):
    (tmp_path / ".balance").mkdir()
    return State(tmp_path / ".balance")


def test_a_sound_ledger_stays(state, xrays):
    with Ledger(state) as ledger:
        ledger.save_collection(scan(xrays))
    assert set_aside_if_damaged(state) is None
    with Ledger(state) as ledger:
        assert ledger.load_collection() is not None


def test_each_damaged_ledger_gets_a_name_of_its_own(state):
    for number in (1, 2):
        state.ledger.write_bytes(b"garbage" * 1000)
        name, why = set_aside_if_damaged(state)
        assert name == f"ledger.sqlite.damaged-{number}"
        assert "not a database" in why
        assert (state.folder / name).read_bytes() == b"garbage" * 1000
        with Ledger(state):
            pass


def test_an_empty_file_is_new_unless_there_are_candidates(state):
    state.ledger.touch()
    assert set_aside_if_damaged(state) is None
    state.ledger.write_bytes(b"")
    state.candidates.mkdir()
    (state.candidates / "a.png").touch()
    assert set_aside_if_damaged(state) == ("ledger.sqlite.damaged-1", "damage: an empty file")


def test_a_lost_table_is_named(state):
    with Ledger(state):
        pass
    base = sqlite3.connect(state.ledger)
    base.execute("DROP TABLE verdicts")
    base.close()
    with pytest.raises(DamagedLedger, match="without the verdicts"), Ledger(state):
        pass


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("INSERT INTO verdicts (decision, scores, reasons) VALUES ('accfpt', '{}', '[]')", "'accfpt'"),
        ("INSERT INTO split_parts (collection, path, part) VALUES ('a', 'b', 'tesu')", "'tesu'"),
    ],
)
def test_a_word_that_is_none_is_damage(state, change, what):
    with Ledger(state):
        pass
    base = sqlite3.connect(state.ledger)
    base.execute(change)
    base.commit()
    base.close()
    assert what in set_aside_if_damaged(state)[1]


def test_a_damaged_name_of_a_table_is_damage(state):
    with Ledger(state):
        pass
    content = state.ledger.read_bytes()
    at = content.index(b"CREATE TABLE images")
    state.ledger.write_bytes(content[:at] + b"\x88\xff" + content[at + 2 :])
    assert set_aside_if_damaged(state)


def test_a_full_disk_is_no_damage():
    found = failed(sqlite3.SQLITE_FULL, "database or disk is full")
    assert type(found) is StateError
    assert "free some space, then run the same balance command again" in found.next_step
    assert isinstance(failed(sqlite3.SQLITE_CORRUPT, "malformed"), DamagedLedger)
    assert isinstance(failed(522, "disk I/O error"), DamagedLedger)


def test_adapters_of_this_collection_alone_are_taken_up(state, xrays):
    found = scan(xrays)
    path = found.images.index[0]
    right = hashlib.sha256((xrays / path).read_bytes()).hexdigest()
    for name, files in (("ours", {path: right}), ("theirs", {path: "00" * 32}), ("mute", None)):
        (state.adapters / name).mkdir(parents=True)
        card = {"split_sha256": "ab"} if files is None else {"split_sha256": "ab", "training_files": files}
        (state.adapters / name / "card.json").write_text(json.dumps(card))
    with Ledger(state) as ledger:
        ledger.save_collection(found)
        assert [made.name for made in take_up_adapters(ledger, found, state.adapters)] == ["ours"]
        assert [made.name for made in ledger.adapters(found)] == ["ours"]
        assert take_up_adapters(ledger, found, state.adapters) == []
    assert split_of(state.adapters / "ours") == "ab"
