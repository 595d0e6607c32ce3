"""The balanced folder: what is in it, what loads it, what it refuses, and what a kill cannot do to it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from balancer.collection.scan import Sample, scan
from balancer.dataset import staging
from balancer.dataset.merge import check_out, default_out, merge, unmerge
from balancer.dataset.verify import verify
from balancer.errors import CollectionError, OutputError, PlanError, SplitError, StateError
from balancer.jobs import Verdict
from balancer.splits.split import draw_split, draw_validation, no_split
from tests.support.balanced_fixtures import (
    FACTS,
    accepted,
    balanced,
    collection,
    make_candidate,
    make_job,
    split_collection,
    with_label,
)
from tests.support.cli_process import tree_hash
from tests.support.tiny_models import write_xrays

NOTHING = Verdict("unscreened", {}, (), "nobody")


def image_folder(folder):
    from torchvision.datasets import ImageFolder

    return ImageFolder(folder)


def files(folder):
    return sorted(staging.files_below(folder))


def counts(dataset):
    return Counter(zip(dataset["label"], dataset["is_synthetic"], strict=True))


def test_a_flat_collection_becomes_train_val_and_test(tmp_path, load_dataset):
    found = collection(tmp_path / "xrays", {"NODULE": 10, "NORMAL": 30})
    split = draw_split(found)
    split.parts.iloc[split.parts.eq("train").argmax()] = "holdout"
    report = merge(found, split, accepted(tmp_path / "store", "NODULE", 4), tmp_path / "out", facts=FACTS)
    assert (report.originals, report.synthetic, report.rebuilt) == (40, {"NODULE": 4, "NORMAL": 0}, True)
    assert report.training == tmp_path / "out" / "train"

    loaded = load_dataset(tmp_path / "out")
    folders = {"train": ("train", "holdout"), "validation": ("val",), "test": ("test",)}
    assert set(loaded) == set(folders)
    for name, parts in folders.items():
        real = Counter(found.images.loc[split.paths(*parts), "label"])
        made = 4 if name == "train" else 0
        expected = {(0, False): real["NODULE"], (1, False): real["NORMAL"], (0, True): made}
        assert counts(loaded[name]) == +Counter(expected)
        assert loaded[name].features["label"].names == ["NODULE", "NORMAL"]
        assert loaded[name][0]["image"].size == (32, 32)
    patients = {name: set(loaded[name]["patient"]) - {None} for name in loaded}
    assert not patients["train"] & (patients["validation"] | patients["test"])

    train = image_folder(report.training)
    assert train.class_to_idx == {"NODULE": 0, "NORMAL": 1}
    assert Counter(train.targets) == Counter(loaded["train"]["label"])
    by_name = dict(zip((Path(path).name for path, _ in train.samples), train.targets, strict=True))
    table = {row["sha256"]: row["label"] for row in loaded["train"].remove_columns("image")}
    assert len(by_name) == len(table) == len(train)


@pytest.mark.parametrize("split", [None, no_split])
def test_a_flat_collection_without_holdout_stays_flat(tmp_path, load_dataset, split):
    found = collection(tmp_path / "xrays")
    nodules = accepted(tmp_path / "store", "NODULE", 2)
    report = merge(found, split and split(found), nodules, tmp_path / "out", facts=FACTS)
    assert report.training == report.folder == tmp_path / "out"
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.is_dir()) == ["NODULE", "NORMAL"]
    loaded = load_dataset(tmp_path / "out")
    assert set(loaded) == {"train"}
    assert counts(loaded["train"]) == {(0, False): 3, (0, True): 2, (1, False): 5}
    assert image_folder(tmp_path / "out").classes == ["NODULE", "NORMAL"]
    assert verify(tmp_path / "out") == ()


@pytest.mark.parametrize(
    ("parts", "folders"),
    [
        (("train", "val", "test"), ("train", "val", "test")),
        (("Training", "Testing"), ("train", "test")),  # load_dataset would take both for training data
        (("training", "dev"), ("training", "dev")),
    ],
)
def test_a_collections_own_parts_are_kept(tmp_path, load_dataset, parts, folders):
    found = split_collection(tmp_path / "xrays", parts)
    out = tmp_path / "out"
    report = merge(found, draw_split(found), accepted(tmp_path / "store", "NORMAL", 3), out, facts=FACTS)
    assert report.training == out / folders[0]
    loaded = load_dataset(out)
    assert [len(loaded[name]) for name in loaded] == [8, *(2 * n + 5 for n in range(1, len(parts)))]
    assert counts(loaded["train"]) == {(0, False): 2, (1, False): 3, (1, True): 3}
    for part, folder in zip(parts, folders, strict=True):
        originals = [path for path in files(out / folder) if "/" in path and "syn-" not in path]
        assert originals == files(tmp_path / "xrays" / part)
    assert verify(out) == ()


def test_a_validation_part_that_was_drawn_from_the_training_part_has_a_folder_of_its_own(tmp_path, load_dataset):
    write_xrays(tmp_path / "xrays" / "Training", {"NODULE": 12, "NORMAL": 24})
    write_xrays(tmp_path / "xrays" / "Testing", {"NODULE": 4, "NORMAL": 6}, size=(40, 32))
    for path in (tmp_path / "xrays" / "Testing").rglob("*.png"):
        path.rename(path.with_name(f"t{path.name}"))  # other patients
    found = scan(tmp_path / "xrays", r"(t?p\d+)-")
    split = draw_validation(found, 0.25)
    drawn = split.paths("val")
    out = tmp_path / "out"
    report = merge(found, split, accepted(tmp_path / "store", "NODULE", 3), out, facts=FACTS)
    assert report.training == out / "train"
    loaded = load_dataset(out)
    assert {name: len(loaded[name]) for name in loaded} == {"train": 26 + 3, "validation": 10, "test": 10}
    validating = {path for path in files(out / "val") if "/" in path}
    assert validating == {path.removeprefix("Training/") for path in drawn}
    assert not set(files(out / "train")) & validating
    assert verify(out) == ()


def test_names_that_look_like_parts_do_no_harm_inside_parts(tmp_path, load_dataset):
    for name in ("train/NODULE/test-01.png", "train/NORMAL/sub folder/val_2.png", "test/NODULE/train-3.png"):
        path = tmp_path / "xrays" / name
        write_xrays(tmp_path / "some", {"A": 1})
        path.parent.mkdir(parents=True)
        shutil.move(tmp_path / "some" / "A" / "p0000-0.png", path)
        shutil.rmtree(tmp_path / "some")
    found = scan(tmp_path / "xrays")
    merge(found, draw_split(found), [], tmp_path / "out", facts={})
    loaded = load_dataset(tmp_path / "out")
    assert {name: loaded[name]["label"] for name in loaded} == {"train": [0, 1], "test": [0]}


def test_originals_are_copies_byte_for_byte_with_their_time(tmp_path):
    before = tree_hash(tmp_path / "xrays") if balanced(tmp_path) else ""
    out = tmp_path / "balanced"
    for path in files(out):
        if path.endswith(".png") and "syn-" not in path:
            copied, source = (out / path).stat(), (tmp_path / "xrays" / path.partition("/")[2]).stat()
            assert (copied.st_mtime_ns, copied.st_nlink) == (source.st_mtime_ns, 1)
            assert copied.st_ino != source.st_ino
    assert unmerge(out) == 2
    assert sorted(path.partition("/")[2] for path in files(out)) == files(tmp_path / "xrays")
    assert all((out / p).read_bytes() == (tmp_path / "xrays" / p.partition("/")[2]).read_bytes() for p in files(out))
    assert tree_hash(tmp_path / "xrays") == before
    with pytest.raises(OutputError):
        unmerge(out)


def test_the_same_again_is_left_alone(tmp_path):
    balanced(tmp_path)
    inode = (tmp_path / "balanced").stat().st_ino
    seen = []
    report = balanced(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert not report.rebuilt
    assert seen[-1] == (10, 10)
    assert (tmp_path / "balanced").stat().st_ino == inode
    assert balanced(tmp_path, facts={**FACTS, "seed": "1"}).rebuilt


def test_a_top_up_keeps_what_is_there_and_equals_a_merge_from_nothing(tmp_path):
    balanced(tmp_path, 2)
    out = tmp_path / "balanced"
    inodes = {path: (out / path).stat().st_ino for path in files(out) if path.endswith(".png")}
    assert balanced(tmp_path, 4).synthetic == {"NODULE": 4, "NORMAL": 0}
    assert {path: (out / path).stat().st_ino for path in inodes} == inodes
    topped_up = tree_hash(out)
    shutil.rmtree(out)
    balanced(tmp_path, 4)
    assert tree_hash(out) == topped_up
    balanced(tmp_path, 1)
    assert len([path for path in files(out) if "syn-" in path]) == 1
    assert verify(out) == ()


def test_a_damaged_copy_is_made_good(tmp_path):
    balanced(tmp_path)
    wanted = tree_hash(tmp_path / "balanced")
    path = next((tmp_path / "balanced" / "train").rglob("p*.png"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert [finding.kind for finding in verify(tmp_path / "balanced")] == ["changed"]
    assert balanced(tmp_path).rebuilt
    assert tree_hash(tmp_path / "balanced") == wanted


@pytest.mark.parametrize("name", ["notes.txt", "train/model.pt", "train/NODULE/mine.png", ".hidden/x", "README.md"])
def test_files_that_are_not_ours_are_never_lost(tmp_path, name):
    balanced(tmp_path)
    path = tmp_path / "balanced" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    for refusal in (
        lambda: balanced(tmp_path, 3),
        lambda: check_out(tmp_path / "balanced", tmp_path / "xrays", tmp_path / ".balance"),
    ):
        with pytest.raises(OutputError, match=name):
            refusal()
    assert path.read_text() == "mine"
    unmerge(tmp_path / "balanced")
    assert path.read_text() == "mine"


def test_a_file_that_appears_while_merging_is_not_lost(tmp_path):
    balanced(tmp_path)
    with pytest.raises(OutputError, match=r"late\.txt"):
        balanced(tmp_path, 3, progress=lambda done, total: (tmp_path / "balanced" / "late.txt").write_text("mine"))
    assert (tmp_path / "balanced" / "late.txt").read_text() == "mine"


def test_links_are_not_followed(tmp_path):
    balanced(tmp_path)
    nodules = tmp_path / "balanced" / "train" / "NODULE"
    nodules.rename(tmp_path / "moved")
    nodules.symlink_to(tmp_path / "moved")
    for refused in (unmerge, lambda folder: balanced(tmp_path, 3)):
        with pytest.raises(OutputError, match="NODULE"):
            refused(tmp_path / "balanced")
    assert len(list((tmp_path / "moved").glob("syn-*"))) == 2
    assert (tmp_path / "balanced" / "balance.json").exists()


def test_places_that_are_refused(tmp_path):
    root, state = collection(tmp_path / "xrays").root, tmp_path / ".balance"
    state.mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for out in (root, root / "out", tmp_path, state, state / "out", tmp_path / "file", tmp_path / "empty"):
        with pytest.raises(OutputError):
            check_out(out, root, state)
    with pytest.raises(OutputError, match="a file"):
        check_out(tmp_path / "file" / "out", root, state)
    check_out(tmp_path / "new" / "out", root, state)
    check_out(default_out(root), root, state)
    assert files(tmp_path) == sorted([*(f"xrays/{path}" for path in files(root)), "file"])
    with pytest.raises(OutputError):
        merge(collection(root), None, [], root / "out", facts={})


def test_a_temporary_name_that_is_taken_is_refused(tmp_path):
    (tmp_path / ".balanced.partial").mkdir()
    (tmp_path / ".balanced.partial" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"\.balanced\.partial"):
        balanced(tmp_path)
    assert (tmp_path / ".balanced.partial" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("known", [True, False])
def test_a_collection_that_changed_since_it_was_scanned_is_refused(tmp_path, known):
    found = collection(tmp_path / "xrays")
    path = tmp_path / "xrays" / found.images.index[0]
    content = path.read_bytes()
    if known:
        found.images.loc[found.images.index[0], "sha256"] = "0" * 64
    else:
        path.write_bytes(content + b"?")
    with pytest.raises(CollectionError, match="changed since it was scanned"):
        merge(found, None, [], tmp_path / "out", facts={})
    path.unlink()
    with pytest.raises(CollectionError, match="no such file"):
        merge(found, None, [], tmp_path / "out", facts={})
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_the_collection_is_refused(tmp_path):
    found = collection(tmp_path / "xrays")
    (candidate, verdict), *_ = accepted(tmp_path / "store", "NODULE", 1)
    with pytest.raises(PlanError, match="MASS"):
        merge(found, None, [(with_label(candidate, "MASS"), verdict)], tmp_path / "out", facts={})
    with pytest.raises(StateError, match="changed"):
        merge(found, None, [(replace(candidate, sha256="0" * 64), verdict)], tmp_path / "out", facts={})
    candidate.path.unlink()
    with pytest.raises(StateError, match="gone"):
        merge(found, None, [(candidate, verdict)], tmp_path / "out", facts={})
    split = draw_split(found)
    with pytest.raises(SplitError, match="3 images"):
        merge(found, replace(split, parts=split.parts.iloc[3:]), [], tmp_path / "out", facts={})


def test_an_image_made_elsewhere_and_one_made_from_a_patient(tmp_path, load_dataset):
    found = collection(tmp_path / "xrays")
    source = Sample("NODULE/p0000-0.png", "NODULE", "p0000", "cd" * 32)
    inside = make_candidate(tmp_path / "store", make_job("NODULE", 0, source=source))
    outside = make_candidate(tmp_path / "store", None, "NODULE")
    merge(found, None, [(inside, NOTHING), (outside, NOTHING), (outside, NOTHING)], tmp_path / "out", facts={})
    made = [row for row in load_dataset(tmp_path / "out")["train"].remove_columns("image") if row["is_synthetic"]]
    assert {(row["job_id"], row["patient"], row["decision"]) for row in made} == {
        (inside.job.id, "p0000", "unscreened"),
        (None, None, "unscreened"),
    }
    assert (tmp_path / "out" / "NODULE" / f"syn-{outside.sha256[:20]}.png").is_file()
    assert verify(tmp_path / "out") == ()


def test_hostile_class_names_are_only_names(tmp_path, load_dataset):
    names = ["<script>alert(1)<", "=cmd", "\"quote\" ; 'x'", "new\nline", "| a | *b* [c]", "ünï \u202e"]
    found = collection(tmp_path / "xrays", dict.fromkeys(names, 3))
    made = [each for name in names for each in accepted(tmp_path / "store", name, 1, text="=HYPERLINK(1)")]
    out = tmp_path / "out"
    merge(found, None, made, out, facts={"<b>": "a\n# b"})
    assert verify(out) == ()
    train = load_dataset(out)["train"]
    assert train.features["label"].names == image_folder(out).classes == sorted(names)
    assert len(train) == len(image_folder(out)) == 24
    card = (out / "README.md").read_text()
    assert "<script" not in card
    assert "\n# b" not in card
    assert not any(line.startswith("=") for line in (out / "provenance.csv").read_text().splitlines())
    assert unmerge(out) == 6
    assert tree_hash(out) == tree_hash(tmp_path / "xrays")


def test_nothing_written_names_the_machine(tmp_path):
    balanced(tmp_path)
    for path in files(tmp_path / "balanced"):
        content = (tmp_path / "balanced" / path).read_bytes()
        assert str(tmp_path).encode() not in content
        assert os.uname().nodename.encode() not in content or len(os.uname().nodename) < 4


def test_the_marker_counts(tmp_path):
    balanced(tmp_path)
    marker = json.loads((tmp_path / "balanced" / "balance.json").read_text())
    total = sum(sum(pair) for labels in marker["counts"].values() for pair in labels.values())
    assert (total, marker["facts"], marker["training"]) == (10, FACTS, "train")


@pytest.fixture
def quick_disk(tmp_path):
    """A folder in memory where there is one: hundreds of syncs are slow on a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield folder


@pytest.mark.parametrize("stride", [16, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scenario", ["first", "top-up", "top-up-without-exchange", "unmerge"])
def test_killed_at_any_step_it_ends_with_the_same_tree(quick_disk, scenario, stride):
    command = [sys.executable, "-m", "tests.support.balanced_fixtures", scenario, quick_disk, str(stride)]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5


def test_what_another_plan_left_behind_does_not_leak_in(tmp_path):
    class Stopped(BaseException):
        pass

    def stop(done, total):
        if done > 5:
            raise Stopped

    with pytest.raises(Stopped):
        balanced(tmp_path, 4, progress=stop)
    staging = tmp_path / ".balanced.partial"
    assert len(files(staging)) > 5
    assert not (tmp_path / "balanced").exists()
    balanced(tmp_path, 1)
    assert not staging.exists()
    assert verify(tmp_path / "balanced") == ()
    assert len([path for path in files(tmp_path / "balanced") if "syn-" in path]) == 1
