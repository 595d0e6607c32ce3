"""A collection keeps its patients, split and verdicts wherever it and the working folder go."""

import os
import shutil
from dataclasses import replace

import pytest

from balancer.jobs import Candidate, Verdict
from balancer.store.setting_names import PROFILE
from balancer.workspace.fold_workspace import fold_of, make_fold_workspace
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import ScanSettings, SplitSettings
from balancer.workspace.split_run import split
from balancer.workspace.workspace import Workspace
from tests.balancer.test_jobs import JOB
from tests.support.tiny_models import write_xrays

COUNTS = {"NORMAL": 24, "NODULE": 12}
VERDICT = Verdict("accept", {}, (), "gate")


class Said:
    """A progress that keeps what it is told."""

    def __init__(self):
        self.lines = []

    def message(self, text):
        self.lines.append(text)

    def start(self, what, done="done"):
        return lambda *_: None


@pytest.fixture
def place(tmp_path):
    """`place/project`, where a collection beside it, `place/xrays`, was scanned, split and judged."""
    place = tmp_path / "place"
    (place / "project").mkdir(parents=True)
    write_xrays(place / "xrays", COUNTS)
    workspace = Workspace.open(place / "project")
    scan(workspace, ScanSettings(place / "xrays", patient=r"(p\d+)-"))
    split(workspace, SplitSettings(seed=7, test=0.3, folds=2))
    with workspace.session(write=True) as session:
        candidate = Candidate("NODULE", session.state.candidates / "x.png", "ab", JOB)
        session.ledger.add_candidates(session.collection, [(candidate, VERDICT)], "screen")
        session.ledger.add_verdict(session.collection, JOB.id, replace(VERDICT, decision="reject", reviewer="Dr. A"))
    return place


def known(project, root):
    """What is known after a scan of `root`: patients, seed, decision of the reader, and what was said."""
    said = Said()
    result = scan(Workspace.open(project), ScanSettings(root), progress=said)
    with Workspace.open(project).session(write=False) as session:
        judged = session.ledger.candidates(session.collection, "NODULE")
        decided = {key: verdict.reviewer for key, (_, verdict) in judged.items()}
        assert session.collection.root.samefile(root)
    return int(result.collection.images["patient"].nunique()), result.split.seed, decided, said.lines


ALL = (18, 7, {JOB.id: "Dr. A"})


def recognised(lines):
    return [line for line in lines if line.startswith("Recognised")]


def test_moved_together_nothing_is_lost_even_without_a_scan(place):
    moved = place.rename(place.with_name("elsewhere"))
    with Workspace.open(moved / "project").session(write=False) as session:
        assert session.collection.root == moved / "xrays"
        assert session.split.seed == 7
    *found, lines = known(moved / "project", moved / "xrays")
    assert tuple(found) == ALL
    assert recognised(lines) == []  # it is where it was, from the working folder


def test_the_project_moved_alone_finds_the_collection_where_it_was(place, tmp_path):
    project = (place / "project").rename(tmp_path / "far-away")
    with Workspace.open(project).session(write=False) as session:
        assert session.collection.root == place / "xrays"
    *found, _ = known(project, place / "xrays")
    assert tuple(found) == ALL


def test_another_collection_beside_the_moved_project_is_not_taken_for_it(place, tmp_path):
    (tmp_path / "other").mkdir()
    project = (place / "project").rename(tmp_path / "other" / "project")
    write_xrays(tmp_path / "other" / "xrays", {"NORMAL": 24, "NODULE": 12}, size=(48, 40))
    with Workspace.open(project).session(write=False) as session:
        assert session.collection.root == place / "xrays"
    patients, seed, decided, _ = known(project, tmp_path / "other" / "xrays")
    assert (patients, seed, decided) == (0, 0, {})
    *found, _ = known(project, place / "xrays")
    assert tuple(found) == ALL


def test_moved_apart_it_is_recognised_by_its_files(place, tmp_path):
    root = (place / "xrays").rename(tmp_path / "renamed")
    project = (place / "project").rename(tmp_path / "project")
    *found, lines = known(project, root)
    assert tuple(found) == ALL
    assert len(recognised(lines)) == 1
    assert "its patients, split, verdicts and decisions are kept" in recognised(lines)[0].lower()
    assert known(project, root)[:3] == ALL  # and it is remembered


def test_copied_without_its_times_and_removed_it_is_recognised(place, tmp_path):
    shutil.copytree(place / "xrays", tmp_path / "copy", copy_function=shutil.copyfile)
    for file in (tmp_path / "copy").rglob("*.png"):
        os.utime(file, (1, 1))
    shutil.rmtree(place / "xrays")
    *found, lines = known(place / "project", tmp_path / "copy")
    assert tuple(found) == ALL
    assert len(recognised(lines)) == 1


def test_moved_and_changed_a_little_it_is_recognised(place, tmp_path):
    root = (place / "xrays").rename(tmp_path / "renamed")
    (root / "NORMAL" / "p0000-0.png").unlink()
    write_xrays(tmp_path / "more", {"EFFUSION": 0, "NORMAL": 2}, size=(50, 50))
    (tmp_path / "more" / "NORMAL" / "p1000-0.png").rename(root / "NORMAL" / "p9000-0.png")
    _, seed, decided, lines = known(place / "project", root)
    assert (seed, decided) == ALL[1:]
    assert len(recognised(lines)) == 1


def test_other_images_of_the_same_names_and_sizes_are_another_collection(tmp_path):
    """Uncompressed files are all of one size: only their content tells them apart."""
    workspace = Workspace.open(tmp_path)
    root = write_xrays(tmp_path / "xrays", COUNTS, suffix=".bmp")
    scan(workspace, ScanSettings(root, patient=r"(p\d+)-"))
    split(workspace, SplitSettings(seed=7, test=0.3, folds=2))
    moved = root.rename(tmp_path / "renamed")
    for file in moved.rglob("*.bmp"):
        content = bytearray(file.read_bytes())
        content[-100] ^= 255
        file.write_bytes(content)
        os.utime(file, (1, 1))
    patients, seed, _, lines = known(tmp_path, moved)
    assert (patients, seed) == (0, 0)
    assert recognised(lines) == []


def test_a_copy_beside_the_one_that_is_there_begins_anew_and_that_is_said(place, tmp_path):
    shutil.copytree(place / "xrays", tmp_path / "copy")
    patients, seed, decided, lines = known(place / "project", tmp_path / "copy")
    assert (patients, seed, decided) == (0, 0, {})
    assert any("has the same files and still exists" in line for line in lines)
    *found, _ = known(place / "project", place / "xrays")
    assert tuple(found) == ALL


def test_of_two_that_are_gone_the_one_scanned_last_is_taken_and_that_is_said(place, tmp_path):
    shutil.copytree(place / "xrays", tmp_path / "copy")
    known(place / "project", tmp_path / "copy")
    known(place / "project", place / "xrays")
    shutil.rmtree(tmp_path / "copy")
    root = (place / "xrays").rename(tmp_path / "renamed")
    *found, lines = known(place / "project", root)
    assert tuple(found) == ALL
    assert any("had the same files" in line for line in lines)


def test_a_new_collection_where_a_moved_one_was_gets_an_id_of_its_own(place, tmp_path):
    root = (place / "xrays").rename(tmp_path / "renamed")
    assert known(place / "project", root)[:3] == ALL
    write_xrays(place / "xrays", {"NORMAL": 8, "NODULE": 8}, size=(40, 40))
    assert known(place / "project", place / "xrays")[:3] == (0, 0, {})
    assert known(place / "project", root)[:3] == ALL


def test_the_workspace_of_a_fold_moves_too(place, tmp_path):
    with Workspace.open(place / "project").session(write=True) as session:
        flat, own = fold_of(session.collection, session.split, 0)
    fold = make_fold_workspace(place / "project" / ".balance" / "folds" / "0", flat, own)
    with Workspace.open(fold.folder).session(write=True) as session:
        session.ledger.save_setting(session.collection, PROFILE, {"output": {}, "sizes": {}})
    root = (place / "xrays").rename(tmp_path / "renamed")
    project = (place / "project").rename(tmp_path / "project")
    make_fold_workspace(project / ".balance" / "folds" / "0", replace(flat, root=root), own)
    with Workspace.open(project / ".balance" / "folds" / "0").session(write=False) as session:
        assert session.ledger.setting(session.collection, PROFILE) == {"output": {}, "sizes": {}}
        assert session.collection.root.samefile(root)
