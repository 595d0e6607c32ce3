"""What version 0.1 left behind keeps opening: tests/data/v0_1 was made with its code."""

import os
import sqlite3
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from balancer.cli.app import app
from balancer.store.database import Ledger
from balancer.store.migrations import COUNTED, MIGRATIONS
from balancer.store.setting_names import ASKED, LAST_FILL, PROFILE, SPLIT, STUDY
from balancer.store.state_dir import State
from balancer.workspace.workspace import Workspace

ARCHIVE = Path(__file__).parents[2] / "data" / "v0_1" / "work.tar.xz"
SEED, REJECTED = 7, "reject by a reader"
SPLIT_SHA256 = "7b8a601600e680951159a379aa607c728a64f1f845f03ba6df5c600eba5026e3"


@pytest.fixture
def work(tmp_path, monkeypatch):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def balance(*arguments):
    ended = CliRunner().invoke(app, list(arguments))
    assert ended.exit_code == 0, (ended.output, ended.exception)
    return ended.output


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_it_is_as_that_version_left_it(work):
    base = sqlite3.connect(work / ".balance" / "ledger.sqlite")
    assert base.execute("PRAGMA user_version").fetchone() == (COUNTED,)
    assert base.execute("SELECT count(*) FROM sqlite_master WHERE name = 'migrations'").fetchone() == (0,)
    base.close()


def test_all_that_it_held_is_there(work):
    with Ledger(State(work / ".balance")) as ledger:
        ledger.require_sound()
        found = ledger.load_collection()
        assert found.root.resolve() == (work / "xrays").resolve()
        assert (len(found.images), found.patient_pattern) == (33, r"(p\d+)-")
        assert found.table.path.name == "patients.csv"
        split = ledger.load_split(found)
        assert (split.seed, split.fold_count, split.sha256) == (SEED, 3, SPLIT_SHA256)
        judged = ledger.candidates(found, "NODULE")
        assert sorted(v.decision for _, v in judged.values() if v.reviewer == "A. Reader") == ["reject", "review"]
        assert [reading.reader for reading in ledger.readings(found)] == ["B. Reader"]
        assert len(list(ledger.decisions(found))) == 3
        assert ledger.openings(found, SPLIT_SHA256) == 1
        assert len(ledger.load_contents(found.root)) == 33
        assert ledger.setting(found, SPLIT) == {"test": 0.3, "val": 0.2, "folds": 3}
        assert ledger.setting(found, LAST_FILL)["place"] == "xrays-balanced"
        assert ledger.setting(found, STUDY.of("seed 0, 2 images")) == ["real NORMAL/p0000-0.png"]
        assert ledger.setting(found, PROFILE) is not None
        assert ledger.setting(found, ASKED.of("fill"))["model"] == "free:4"
    base = sqlite3.connect(work / ".balance" / "ledger.sqlite")
    assert base.execute("SELECT count(*) FROM migrations").fetchone() == (len(MIGRATIONS),)
    base.close()


def test_scan_finds_nothing_new_and_keeps_all(work):
    output = balance("scan", "xrays")
    assert "damaged" not in output
    with Workspace.open(work).session(write=False) as session:
        assert session.split.sha256 == SPLIT_SHA256
        assert session.collection.images["patient"].nunique() == 16


def test_split_shows_the_stored_one(work):
    assert SPLIT_SHA256 in balance("split", "--json")


def test_a_balanced_folder_of_then_is_verified_and_explained(work):
    balance("verify", "xrays-balanced")
    made = sorted((work / "xrays-balanced").rglob("syn-*.png"))[0]
    assert "synthetic" in balance("explain", str(made))


def test_merge_makes_the_same_folder_and_verify_agrees(work):
    before = files(work / "xrays-balanced")
    balance("merge")
    assert files(work / "xrays-balanced") == before
    balance("verify", "xrays-balanced")
    rows = (work / "xrays-balanced" / "provenance.csv").read_text("utf-8").splitlines()
    assert "pixels_sha256" in rows[0]
    assert REJECTED not in "\n".join(rows)


def test_report_is_written_anew(work):
    (work / ".balance" / "reports" / "report.html").unlink()
    assert "metrics.json" not in balance("report", "--private")  # neither damaged nor out of date
    page = (work / ".balance" / "reports" / "report.html").read_text("utf-8")
    assert '<p class="verdict">Cannot tell whether synthetic images help NODULE' in page
    assert "<li><bdi>The test split was opened once.</bdi></li>" in page
    assert "differences-primary" in page


def test_unmerge_leaves_the_originals(work):
    balance("unmerge", "xrays-balanced")
    assert not any(name.startswith("syn-") for name in map(os.path.basename, files(work / "xrays-balanced")))


def test_moved_it_is_found(work, monkeypatch):
    moved = work.rename(work.with_name("moved"))
    monkeypatch.chdir(moved)
    balance("scan", "xrays")
    with Workspace.open(moved).session(write=False) as session:
        assert session.split.sha256 == SPLIT_SHA256
