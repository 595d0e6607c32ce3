import contextlib
import hashlib
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

from balancer.collection.image_stats import read_contents
from balancer.collection.metadata_table import read_table
from balancer.collection.scan import scan
from balancer.errors import StateError
from balancer.jobs import BlindedAnswer, Candidate, ExternalOrigin, Verdict
from balancer.splits.split import draw_split
from balancer.store.database import Ledger
from balancer.store.migrations import MIGRATIONS
from balancer.store.setting_names import BASE, PROFILE
from balancer.store.state_dir import State, find_or_make_state, find_state, locked
from tests.balancer.test_jobs import JOB


@pytest.fixture
def state(tmp_path, xrays):
    return find_or_make_state(tmp_path, xrays)


def of_version(state, version):
    """A database as an earlier version left it, which counted the steps that it knew."""
    base = sqlite3.connect(state.ledger, isolation_level=None)
    for script in [*MIGRATIONS.values()][:version]:
        base.executescript(script)
    base.execute(f"PRAGMA user_version = {version}")
    return base


def test_a_collection_comes_back_as_it_was(state, xrays):
    (xrays / "NODULE" / "bad.png").write_text("")
    (xrays / "NODULE" / "copy.png").write_bytes((xrays / "NODULE" / "p2000-0.png").read_bytes())
    found = scan(xrays, r"(p\d+)")
    with Ledger(state) as ledger:
        ledger.save_collection(found)
    with Ledger(state) as ledger:
        again = ledger.load_collection()
    pd.testing.assert_frame_equal(again.images, found.images.sort_index())
    assert (again.findings, again.patient_pattern) == (found.findings, found.patient_pattern)
    assert again.root.resolve() == xrays.resolve()


def test_the_table_of_patients_is_remembered_and_moves_with_the_state(state, xrays, tmp_path):
    (tmp_path / "meta.csv").write_text("PID,Gender,age,view\np2000,F,30,PA\np0000,M,,\n")
    found = scan(xrays, r"(p\d+)", table=read_table(tmp_path / "meta.csv", {"sex": "Gender"}))
    with Ledger(state) as ledger:
        ledger.save_collection(found)
        again = ledger.load_collection()
    for name in ("sex", "age"):
        assert again.images[name].dropna().to_dict() == found.images[name].dropna().to_dict() != {}
    assert again.table == found.table
    assert again.table.options == f"--patients {os.path.relpath(tmp_path / 'meta.csv')} --columns sex=Gender"


def test_the_last_scanned_collection_is_the_current_one(state, tmp_path, xrays):
    from tests.support.tiny_models import write_xrays

    other = scan(write_xrays(tmp_path / "other", {"A": 2, "B": 2}))
    with Ledger(state) as ledger:
        ledger.save_collection(scan(xrays))
        ledger.save_collection(other)
        assert ledger.load_collection().root.name == "other"
        assert ledger.load_collection(xrays).root.name == "xrays"
        ledger.save_collection(scan(xrays))
        assert ledger.load_collection().root.name == "xrays"
        assert ledger.load_collection(tmp_path / "never") is None


def test_state_and_collection_may_move_together(state, tmp_path, xrays):
    with Ledger(state) as ledger:
        ledger.save_collection(scan(xrays))
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    with Ledger(find_state(moved)) as ledger:
        assert ledger.load_collection().root == moved / "xrays"
    moved.rename(tmp_path)


def test_a_split_comes_back_as_it_was(state, xrays):
    found = scan(xrays, r"(p\d+)")
    split = draw_split(found, seed=3)
    with Ledger(state) as ledger:
        assert ledger.load_split(found) is None
        ledger.save_split(found, split)
        again = ledger.load_split(found)
    assert (again.sha256, again.origin, again.seed) == (split.sha256, "drawn", 3)


def test_candidates_come_back_with_the_latest_verdict(state, xrays):
    found = scan(xrays)
    candidate = Candidate("NODULE", state.candidates / "x.png", "ab", JOB)
    first = Verdict("unscreened", {"contrast": 0.5}, ("not checked",), "sound gate")
    with Ledger(state) as ledger:
        ledger.add_candidates(found, [(candidate, first)])
        assert ledger.candidates(found, "NODULE") == {JOB.id: (candidate, first)}
        second = replace(first, decision="reject", reviewer="Dr. A")
        ledger.add_verdict(found, JOB.id, second)
        assert ledger.candidates(found, "NODULE") == {JOB.id: (candidate, second)}
        assert ledger.candidates(found, "EFFUSION") == {}
        assert ledger.decision_counts(found, "NODULE") == {second.decision: 1}
        assert ledger.decision_counts(found, "EFFUSION") == {}


def test_candidates_from_elsewhere_come_back_with_their_origin(state, xrays):
    found = scan(xrays)
    origin = ExternalOrigin("NODULE/a.tif", "ab" * 32, "cd" * 32, "theirs", state.candidates / "y.tif", "PNG L", True)
    candidate = Candidate("NODULE", state.candidates / "x.png", "ef" * 32, None, origin)
    verdict = Verdict("accept", {}, (), "gate")
    with Ledger(state) as ledger:
        ledger.add_candidates(found, [(candidate, verdict)], "screen 1")
        assert ledger.candidates(found, "NODULE") == {candidate.id: (candidate, verdict)}
        assert ledger.judges(found, "NODULE") == {candidate.id: "screen 1"}
        ledger.add_candidates(found, [(replace(candidate, sha256="99"), None)])
        assert ledger.candidates(found, "NODULE")[candidate.id] == (replace(candidate, sha256="99"), verdict)


def test_a_ledger_of_an_earlier_version_knows_that_screens_judged(state, xrays):
    """Before, no verdict said whether a person gave it, and none did."""
    found = scan(xrays)
    candidate = Candidate("NODULE", state.candidates / "x.png", "ab", JOB)
    with contextlib.closing(of_version(state, [*MIGRATIONS].index("images made elsewhere"))) as database:
        row = (hashlib.sha256(b"xrays").hexdigest()[:16], JOB.id, "NODULE", "x.png", "ab", JOB.to_json())
        database.execute("INSERT INTO candidates VALUES (?, ?, ?, ?, ?, ?)", row)
        database.execute("INSERT INTO verdicts VALUES (?, ?, 'accept', '{}', '[]', 'sound gate', '')", row[:2])
    with Ledger(state) as ledger:
        assert ledger.judges(found, "NODULE") == {JOB.id: "sound gate"}
        assert ledger.candidates(found, "NODULE")[JOB.id][0] == candidate


def test_a_persons_verdict_has_no_judge_until_it_is_taken_back(state, xrays):
    found = scan(xrays)
    first = Verdict("unscreened", {}, (), "sound gate")
    with Ledger(state) as ledger:
        ledger.add_candidates(found, [(Candidate("NODULE", state.candidates / "x.png", "ab", JOB), first)], "screen")
        ledger.add_verdict(found, JOB.id, replace(first, reviewer="Dr. A"))
        assert ledger.judges(found, "NODULE") == {JOB.id: None}
        ledger.add_verdict(found, JOB.id, first)
        assert ledger.judges(found, "NODULE") == {JOB.id: "screen"}


def test_every_verdict_stays_with_its_time(state, xrays):
    found = scan(xrays)
    first = Verdict("review", {"contrast": 0.5}, ("near the limit",), "copy gate")
    verdicts = [first, replace(first, decision="accept", reviewer="Dr. A"), first]
    with Ledger(state) as ledger:
        ledger.add_candidates(found, [(Candidate("NODULE", state.candidates / "x.png", "ab", JOB), first)])
        for verdict in verdicts[1:]:
            ledger.add_verdict(found, JOB.id, verdict)
        history = ledger.history(found, JOB.id)
        assert [verdict for _, verdict in history] == verdicts
        assert sorted(at for at, _ in history) == [at for at, _ in history]
        assert ledger.history(found, "unknown") == []


def test_readings_come_back_in_order_and_apart_from_other_collections(state, tmp_path, xrays):
    from tests.support.tiny_models import write_xrays

    found, other = scan(xrays), scan(write_xrays(tmp_path / "other", {"A": 2, "B": 2}))
    given = [BlindedAnswer("seed 0", "A", "real x.png", "real", answer) for answer in ("synthetic", None, "real")]
    with Ledger(state) as ledger:
        for reading in given:
            ledger.add_reading(found, reading, "ab" * 32)
        ledger.add_reading(other, given[0], "ab" * 32)
        assert ledger.readings(found) == given
        assert ledger.readings(other) == given[:1]


def test_a_block_is_written_whole_or_not_at_all(state, xrays):
    found = scan(xrays)
    with Ledger(state) as ledger:
        with contextlib.suppress(RuntimeError), ledger.atomic():
            ledger.save_collection(found)
            raise RuntimeError
        assert ledger.load_collection() is None


def test_settings_and_adapters_are_remembered(state, xrays):
    found = scan(xrays)
    with Ledger(state) as ledger:
        assert ledger.setting(found, BASE.of("mine")) is None
        ledger.save_setting(found, BASE.of("mine"), {"place": "models/mine"})
        assert ledger.setting(found, BASE.of("mine")) == {"place": "models/mine"}
        assert ledger.setting(found, BASE.of("yours")) is None
        for name in ("old", "new"):
            ledger.add_adapter(found, state.adapters / name)
        assert [path.name for path in ledger.adapters(found)] == ["new", "old"]


def test_a_damaged_ledger_is_a_message(state):
    state.ledger.write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    with pytest.raises(StateError, match=r"ledger\.sqlite"), Ledger(state):
        pass


def test_the_state_is_found_upwards(state, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_state(tmp_path / "a" / "b") == state
    assert find_or_make_state(tmp_path / "a", tmp_path / "xrays") == state
    assert (state.folder / ".gitignore").read_text() == "*\n"


def test_no_state_is_a_message(tmp_path):
    with pytest.raises(StateError, match="balance scan"):
        find_state(tmp_path)


def test_state_inside_the_collection_is_refused(xrays):
    with pytest.raises(StateError, match="outside the collection"):
        find_or_make_state(xrays / "NODULE", xrays)
    assert not list(xrays.rglob(".balance"))


def test_a_second_writer_is_refused_with_the_first_ones_number(state):
    program = (
        "import sys; from balancer.store.state_dir import *; from pathlib import Path\n"
        "with locked(State(Path(sys.argv[1]))): pass"
    )
    command = [sys.executable, "-c", program, str(state.folder)]
    with locked(state):
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert f"process {os.getpid()} is using" in second.stderr
    assert subprocess.run(command, check=False).returncode == 0


def test_the_lock_of_a_dead_process_is_no_lock(state):
    program = (
        "import os, signal, sys; from balancer.store.state_dir import *; from pathlib import Path\n"
        "with locked(State(Path(sys.argv[1]))): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(state.folder)], check=False)
    with locked(State(state.folder)):
        assert (state.folder / "lock.holder").read_text() == str(os.getpid())


def test_the_lock_of_a_dead_process_is_taken_over_though_its_child_still_works(state):
    program = (
        "import os, signal, sys, time; from balancer.store.state_dir import *; from pathlib import Path\n"
        "with locked(State(Path(sys.argv[1]))):\n"
        "    if os.fork(): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    time.sleep(1)"
    )
    subprocess.run([sys.executable, "-c", program, str(state.folder)], check=False)
    with locked(State(state.folder)):
        assert (state.folder / "lock.holder").read_text() == str(os.getpid())


def test_contents_come_back_as_they_were(state, xrays):
    (xrays / "NODULE" / "cut.png").write_bytes((xrays / "NODULE" / "p2000-0.png").read_bytes()[:-300])
    found = scan(xrays)
    contents = read_contents(xrays, found.images, {})
    with Ledger(state) as ledger:
        assert ledger.load_contents(xrays) == {}
        ledger.save_contents(found, contents)
        assert ledger.load_contents(xrays) == contents
        assert ledger.load_contents(xrays, faults=True).keys() == {"NODULE/cut.png"}
        ledger.save_contents(found, {})
        assert ledger.load_contents(xrays) == {}


def test_a_ledger_of_the_first_version_keeps_its_data(tmp_path, xrays):
    """Each migration alone on what the first version wrote: nothing is lost, and the newest code reads it."""
    state = find_or_make_state(tmp_path, xrays)
    found = scan(xrays, r"(p\d+)")
    split = draw_split(found)
    key = hashlib.sha256(b"xrays").hexdigest()[:16]
    with contextlib.closing(of_version(state, 1)) as old:
        old.execute("INSERT INTO collections VALUES (?, 'xrays', '(p\\d+)', '2026-01-01')", (key,))
        columns = [
            "label",
            "part",
            "patient",
            "format",
            "mode",
            "bits",
            "width",
            "height",
            "size",
            "mtime_ns",
            "sha256",
        ]
        table = found.images[columns].astype(object).where(found.images[columns].notna(), None)
        rows = [(key, path, *row) for path, row in zip(table.index, table.to_numpy().tolist(), strict=True)]
        old.executemany(f"INSERT INTO images VALUES ({', '.join('?' * 13)})", rows)
        old.execute("INSERT INTO findings VALUES (?, 'leak', '[\"NODULE/p2000-0.png\"]', 'm', 'f')", (key,))
        old.execute("INSERT INTO splits VALUES (?, 'drawn', 7)", (key,))
        parts = [(key, path, part) for path, part in split.parts.items()]
        old.executemany("INSERT INTO split_parts VALUES (?, ?, ?)", parts)
        old.execute("INSERT INTO candidates VALUES (?, ?, 'NODULE', 'a.png', '00', ?)", (key, JOB.id, JOB.to_json()))
        old.execute("INSERT INTO verdicts VALUES (?, ?, 'accept', '{}', '[]', 'soundness', 'x')", (key, JOB.id))
        old.execute("INSERT INTO adapters VALUES (?, 'mine', 'x')", (key,))
        old.execute("INSERT INTO settings VALUES (?, 'look', '1')", (key,))
    with Ledger(state) as ledger:
        again = ledger.load_collection()
        assert again.patient_pattern == r"(p\d+)"
        pd.testing.assert_frame_equal(again.images, found.images.sort_index())
        assert [finding.kind for finding in again.findings] == ["leak"]
        stored = ledger.load_split(again)
        assert stored.parts.to_dict() == split.parts.to_dict()
        assert (stored.origin, stored.seed, stored.fold_count) == ("drawn", 7, 0)
        assert list(ledger.candidates(again, "NODULE")) == [JOB.id]
        assert [folder.name for folder in ledger.adapters(again)] == ["mine"]
        assert ledger.setting(again, PROFILE) == 1
        assert (ledger.exposed(again), ledger.load_contents(again.root)) == (set(), {})


def test_contents_are_added_and_replaced(state, xrays):
    found = scan(xrays)
    contents = read_contents(xrays, found.images, {})
    some = dict(list(contents.items())[:5])
    with Ledger(state) as ledger:
        ledger.add_contents(found, some)
        ledger.add_contents(found, some)
        assert ledger.load_contents(xrays) == some
        ledger.save_contents(found, contents)
        assert ledger.load_contents(xrays) == contents


def test_openings_of_a_test_part_are_counted_once_for_each_comparison(state, xrays):
    found = scan(xrays)
    with Ledger(state) as ledger:
        assert ledger.openings(found, "one") == 0
        for key in ("first", "first", "second"):
            ledger.add_opening(found, "one", key)
        ledger.add_opening(found, "other", "first")
    with Ledger(state) as ledger:
        assert (ledger.openings(found, "one"), ledger.openings(found, "other")) == (2, 1)
