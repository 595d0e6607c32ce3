"""Errors, blocks, versions and turned bytes: what the database promises whatever is in it."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from balancer.collection.image_stats import read_contents
from balancer.collection.label_sets import LabelSets
from balancer.collection.scan import scan
from balancer.collection.sources.reading import SourceRef
from balancer.errors import DamagedLedger, StateError
from balancer.jobs import BlindedAnswer, Candidate, Verdict
from balancer.splits.split import draw_split
from balancer.store import connection
from balancer.store.database import Ledger
from balancer.store.migrations import COUNTED, MIGRATIONS, TABLES
from balancer.store.setting_names import ACCEPTED, PROFILE, STUDY
from balancer.store.state_dir import State, find_or_make_state
from balancer.workspace.recovery import set_aside_if_damaged
from tests.balancer.test_jobs import JOB


@pytest.fixture
def state(tmp_path, xrays):
    return find_or_make_state(tmp_path, xrays)


@pytest.fixture
def full(state, xrays):
    """A state with a row in every table."""
    found = scan(xrays, r"(p\d+)")
    candidate = Candidate("NODULE", state.candidates / "x.png", "ab", JOB, pixels="cd", device="a processor")
    (state.folder / "adapters").mkdir()
    with Ledger(state) as ledger:
        (xrays / "NODULE" / "broken.png").write_text("")
        found = scan(xrays, r"(p\d+)", known=found)
        sets = LabelSets.from_pairs(found.images.index, ["MASS", "NODULE"], {1: (np.arange(2), np.array([0, 1]))})
        found = replace(found, label_sets=sets, source=SourceRef(labels=["MASS", "NODULE"]))
        ledger.save_collection(found)
        ledger.save_split(found, draw_split(found))
        ledger.save_contents(found, read_contents(xrays, found.images, {}))
        ledger.save_pixel_digests(found, {"NODULE/p2000-0.png": "ef"})
        ledger.add_candidates(found, [(candidate, Verdict("accept", {"contrast": 0.5}, (), "gate"))], "screen")
        ledger.add_verdict(found, JOB.id, Verdict("reject", {}, ("a reason",), "Dr. A"))
        ledger.add_reading(found, BlindedAnswer("seed 0", "A", "real x.png", "real", "synthetic"), "ab" * 32)
        ledger.add_opening(found, "split", "comparison")
        ledger.add_adapter(found, state.adapters / "mine")
        ledger.mark_exposed(found, [state.adapters / "mine"])
        ledger.save_setting(found, STUDY.of("seed 0"), ["real x.png"])
    return state


def change(state, text):
    with contextlib.closing(sqlite3.connect(state.ledger, isolation_level=None)) as base:
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.executescript(text)


def rows(state):
    with contextlib.closing(sqlite3.connect(state.ledger)) as base:
        return {name: base.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}


def test_errors_of_others_within_a_block_stay_as_they_are(state, tmp_path):
    (tmp_path / "latin1.txt").write_bytes(b"Universit\xe4t")
    with pytest.raises(UnicodeDecodeError), Ledger(state):
        (tmp_path / "latin1.txt").read_text("utf-8")
    with pytest.raises(sqlite3.OperationalError, match="no such table"), Ledger(state):
        sqlite3.connect(":memory:").execute("SELECT 1 FROM theirs")
    with pytest.raises(UnicodeDecodeError), Ledger(state) as ledger, ledger.atomic():
        (tmp_path / "latin1.txt").read_text("utf-8")


def test_errors_of_the_rows_that_are_given_stay_as_they_are(state, xrays):
    found = scan(xrays)

    def judged():
        yield Candidate("NODULE", state.candidates / "x.png", "ab", JOB), None
        raise sqlite3.DatabaseError("of another database")

    with Ledger(state) as ledger:
        with pytest.raises(sqlite3.DatabaseError, match="of another database"):
            ledger.add_candidates(found, judged())
        assert ledger.candidates(found, "NODULE") == {}


def test_a_mistake_of_ours_is_no_damage(state, xrays):
    found = scan(xrays)
    with Ledger(state) as ledger:
        pass
    with pytest.raises(sqlite3.ProgrammingError):
        ledger.load_split(found)


def test_text_that_is_none_is_damage_where_it_is_read(full):
    change(full, "UPDATE collections SET patient_pattern = CAST(x'ff22' AS TEXT)")
    with Ledger(full) as ledger, pytest.raises(DamagedLedger):
        ledger.load_collection()


def test_a_newer_version_is_refused_by_its_name_and_not_set_aside(full):
    change(full, "PRAGMA user_version = 99; ALTER TABLE candidates ADD COLUMN mood TEXT;")
    newest = len(MIGRATIONS)
    with pytest.raises(StateError) as refused, Ledger(full):
        pass
    assert not isinstance(refused.value, DamagedLedger)
    assert refused.value.found == f"made by a newer version of balance: version 99; this one supports up to {newest}"
    with pytest.raises(StateError, match="made by a newer version of balance"):
        set_aside_if_damaged(full)
    assert full.ledger.is_file()
    assert list(full.folder.glob("*.damaged*")) == []


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE migrations SET name = 'holds' WHERE name = 'folds'",
        "DELETE FROM migrations WHERE name = 'folds'",
        "PRAGMA user_version = 1700000000",
        "DROP TABLE migrations",
    ],
)
def test_a_version_that_cannot_be_is_damage(full, text):
    change(full, text)
    with pytest.raises(DamagedLedger), Ledger(full):
        pass


def test_each_step_is_recorded_by_its_name(full):
    with contextlib.closing(sqlite3.connect(full.ledger)) as base:
        assert [name for (name,) in base.execute("SELECT name FROM migrations ORDER BY rowid")] == [*MIGRATIONS]
        assert base.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_a_state_that_version_0_1_counted_gets_what_it_lacks(state):
    base = sqlite3.connect(state.ledger, isolation_level=None)
    for script in [*MIGRATIONS.values()][:COUNTED]:
        base.executescript(script)
    base.execute(f"PRAGMA user_version = {COUNTED}")
    base.execute("INSERT INTO settings VALUES ('x', 'look', '1')")
    base.close()
    with Ledger(state) as ledger:
        ledger.require_sound()
    with contextlib.closing(sqlite3.connect(state.ledger)) as base:
        assert [name for (name,) in base.execute("SELECT name FROM migrations ORDER BY rowid")] == [*MIGRATIONS]
        assert base.execute("SELECT value, checksum IS NULL FROM settings").fetchall() == [("1", 0)]


def test_the_tables_are_those_of_all_steps(full):
    with contextlib.closing(sqlite3.connect(full.ledger)) as base:
        names = {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert names == {*TABLES, "migrations"}
        for table, columns in TABLES.items():
            found = [name for (name,) in base.execute(f"SELECT name FROM pragma_table_info('{table}')")]
            assert sorted(found) == sorted((*columns, "checksum")), table


def test_an_inner_block_that_failed_leaves_nothing(state, xrays):
    found = scan(xrays)
    with Ledger(state) as ledger:
        with ledger.atomic():
            ledger.save_setting(found, ACCEPTED, {"a": "outer"})
            with contextlib.suppress(RuntimeError), ledger.atomic():
                ledger.save_setting(found, ACCEPTED, {"a": "inner"})
                raise RuntimeError
            with ledger.atomic():
                ledger.save_collection(found)
        assert ledger.setting(found, ACCEPTED) == {"a": "outer"}
        assert ledger.load_collection() is not None
        with contextlib.suppress(RuntimeError), ledger.atomic():
            with ledger.atomic():
                ledger.save_setting(found, ACCEPTED, {"a": "inner"})
            raise RuntimeError
        assert ledger.setting(found, ACCEPTED) == {"a": "outer"}


def test_nothing_is_written_while_another_process_holds_the_lock(full, xrays):
    program = (
        "import sys; from pathlib import Path; from balancer.store.state_dir import State, locked\n"
        "with locked(State(Path(sys.argv[1]))): print(flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    other = subprocess.Popen([sys.executable, "-c", program, str(full.folder)], **pipes)
    other.stdout.readline()
    before = rows(full)
    with Ledger(full) as ledger:
        found = ledger.load_collection()
        for write in (
            lambda: ledger.save_pixel_digests(found, {"NODULE/p2000-1.png": "ef"}),
            lambda: ledger.save_setting(found, PROFILE, {"output": {}, "sizes": {}}),
            lambda: ledger.add_opening(found, "split", "another"),
            lambda: ledger.add_verdict(found, JOB.id, Verdict("accept", {}, (), "Dr. B")),
            lambda: ledger.add_reading(found, BlindedAnswer("seed 0", "B", "real x.png", "real", None), "ab" * 32),
        ):
            with pytest.raises(StateError, match=f"process {other.pid} is using"):
                write()
        assert len(list(ledger.decisions(found))) == 2
    assert rows(full) == before
    other.communicate()


def texts(state):
    """Every text of the database: table, column and what it says, where one byte may be turned."""
    with contextlib.closing(sqlite3.connect(state.ledger)) as base:
        for table, columns in TABLES.items():
            for column in columns:
                query = f"SELECT {column} FROM {table} WHERE typeof({column}) = 'text' AND length({column}) > 1 LIMIT 1"
                for (text,) in base.execute(query):
                    yield table, column, text


def test_a_turned_byte_in_any_text_is_noticed(full, tmp_path):
    """Another letter that is as good as the one that was written: no form of the text is broken by it."""
    change(full, "VACUUM")
    content, looked = full.ledger.read_bytes(), set()
    again = State(tmp_path / "again" / ".balance")
    again.folder.mkdir(parents=True)
    for table, column, text in texts(full):
        place = content.find(text.encode())
        turned = bytearray(content)
        turned[place] ^= 1
        again.ledger.write_bytes(turned)
        assert set_aside_if_damaged(again) is not None, (table, column, text)
        looked.add(table)
    assert looked == set(TABLES)


@pytest.mark.parametrize(
    ("table", "change_", "read"),
    [
        ("verdicts", "decision = 'accept'", lambda ledger, found: ledger.candidates(found, "NODULE")),
        ("candidates", "sha256 = 'ac'", lambda ledger, found: ledger.candidates(found, "NODULE")),
        ("settings", "value = '[]'", lambda ledger, found: ledger.setting(found, STUDY.of("seed 0"))),
        ("split_parts", "part = 'test'", lambda ledger, found: ledger.load_split(found)),
        ("readings", "answer = 'real'", lambda ledger, found: ledger.readings(found)),
        ("images", "patient = 'p1'", lambda ledger, found: ledger.load_collection()),
    ],
)
def test_another_row_than_was_written_is_refused_where_it_is_read(full, table, change_, read):
    with Ledger(full) as ledger:
        found = ledger.load_collection()
    change(full, f"UPDATE {table} SET {change_}")
    with Ledger(full) as ledger, pytest.raises(DamagedLedger, match=table):
        read(ledger, found)


def test_rows_are_sound_after_every_change(full, xrays):
    with Ledger(full) as ledger:
        found = ledger.load_collection()
        hashes = {path: f"{number:064x}" for number, path in enumerate(found.images.index)}
        images = found.images.assign(sha256=list(hashes.values()))
        ledger.save_hashes(replace(found, images=images))
        ledger.make_current(found)
        ledger.move_collection(found, xrays)
        ledger.require_sound()
        assert ledger.load_collection().images["sha256"].to_dict() == hashes


@pytest.mark.parametrize(
    ("name", "column", "other"), [("verdicts_of", "candidate", "reviewer"), ("candidates_of", "label", "sha256")]
)
def test_an_index_that_lost_a_row_is_damage(full, name, column, other):
    with contextlib.closing(sqlite3.connect(full.ledger, isolation_level=None)) as base:
        base.execute("PRAGMA writable_schema = ON")
        text = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = ?"
        base.execute(text, (f"{column})", f"{other})", name))
    assert set_aside_if_damaged(full) is not None


def test_a_database_that_changes_while_it_is_copied_is_refused(tmp_path, monkeypatch):
    database = tmp_path / "ledger.sqlite"
    database.write_bytes(b"x")
    copyfile = shutil.copyfile

    def busy(source, place):
        copyfile(source, place)
        source.write_bytes(source.read_bytes() + b"x")  # another command writes on

    monkeypatch.setattr(connection, "_TRIES", 2)
    monkeypatch.setattr(shutil, "copyfile", busy)
    (tmp_path / "copy").mkdir()
    with pytest.raises(StateError, match="changed while it was copied"):
        connection._copied(database, tmp_path / "copy")
    monkeypatch.setattr(shutil, "copyfile", copyfile)
    assert connection._copied(database, tmp_path / "copy").read_bytes() == database.read_bytes()
