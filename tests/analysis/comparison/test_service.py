"""The comparison as a function of Python, on a collection that is drawn here and filled by a tiny real pipeline."""

import os
import signal

import numpy as np
import psutil
import pytest
from PIL import Image

from analysis import CompareSettings, compare, comparison_figures, preview_compare
from analysis.comparison.inference.bootstrap import measure_arms
from analysis.comparison.inference.by_finding import judge_findings
from analysis.comparison.predictions import read_predictions
from analysis.comparison.service import _kept_grounds
from analysis.data.minimums import ADVISED_SEEDS
from balancer import (
    FillSettings,
    NoScreen,
    ScanSettings,
    SplitSettings,
    Workspace,
    fill,
    scan,
    split,
)
from balancer.errors import ComparisonError, SettingsError, TableError
from balancer.workspace.fill_origin import fold_key
from balancer.workspace.reports import METRICS
from tests.benchmarks.simulations_findings import NAMED, drawn_findings
from tests.support.cli_process import tree_hash
from tests.support.tiny_models import write_xrays

PATIENT = r"(p\d+)-"
FEW = {"seeds": 2, "steps": "2", "size": 16, "arm": ("oversampling", "synthetic-all"), "workers": 1}


class Listener:
    """Hears every message."""

    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)

    def start(self, what, done=0):
        return lambda done, total, made=None, note="": self.step(what, done)

    def step(self, what, done):
        pass


class Killer(Listener):
    """Kills the child process as it has kept its first images."""

    def step(self, what, done):
        if what == "Generating" and done:
            (child,) = [
                each for each in psutil.Process().children() if "balancer.workspace.child" in str(each.cmdline())
            ]
            os.kill(child.pid, signal.SIGKILL)


def filled(folder, **changes):
    """A scanned collection of two folds, filled up to 60 images of the rare class."""
    write_xrays(folder / "xrays", {"NORMAL": 110, "NODULE": 60}, (24, 24))
    workspace = Workspace.open(folder)
    scan(workspace, ScanSettings(folder / "xrays", patient=PATIENT))
    split(workspace, SplitSettings(folds=2))
    fill(workspace, FillSettings(target="60", no_screen=True, **changes), screen=NoScreen())
    return workspace


@pytest.fixture(scope="module")
def work(tmp_path_factory, checkpoint):
    return filled(tmp_path_factory.mktemp("service"), steps=2, model=str(checkpoint))


def openings(workspace):
    with workspace.session(write=False) as session:
        return session.ledger.openings(session.collection, session.split.sha256)


def test_validation_first_then_the_test_split_is_opened_once_and_nothing_is_trained_twice(work):
    heard = Listener()
    closed = compare(work, CompareSettings(**FEW, validation_only=True), progress=heard)
    assert (closed.comparison, closed.place, closed.primary) == (None, None, "auprc:NODULE")
    assert set(closed.to_json()["validation"]) == {"real", "oversampling", "strong-augmentation", "synthetic-all"}
    assert openings(work) == 0
    assert any(text.startswith("every arm trains for 2 steps; learning rates chosen") for text in heard.messages)
    runs = sorted((work.home / ".balance" / "comparisons").rglob("*.npy"))
    before = [path.stat().st_mtime_ns for path in runs]
    assert len(runs) == (4 * 2 + 2 * 2) * 2  # arms and seeds, two more rates for the arms of the verdict; parts
    for _ in range(2):
        result = compare(work, CompareSettings(**FEW))
    assert [path.stat().st_mtime_ns for path in runs] == before
    assert result.place == work.state.reports / METRICS
    found = result.to_json()
    assert (found["openings"], openings(work)) == (1, 1)
    assert found["settings"]["command"] == (
        "balance compare --arm oversampling --arm synthetic-all --seeds 2 --steps 2 --size 16 --workers 1"
    )
    assert set(found["arms"]) == {"real", "oversampling", "strong-augmentation", "synthetic-all"}
    judged = found["like_for_like"]["synthetic"], found["like_for_like"]["arm"]
    assert judged == ("synthetic-all", "strong-augmentation")
    assert found["endpoint"] == {"primary": "auprc:NODULE", "secondary": "macro_f1"}
    assert found["test"]["NODULE"] == {"images": 12, "patients": 6}
    assert {"weak baseline"} <= set(found["stamps"])
    assert any("few arms without synthetic images were compared" in stamp for stamp in found["stamps"])
    assert any("generator exposure unknown" in stamp for stamp in found["stamps"])
    assert found["verdict"].startswith(found["sentence"])
    assert len(found["sentence"].split()) <= 30
    assert {each["arm"] for each in found["trainings"]} == set(found["arms"])
    assert all(each["steps"] == 2 for each in found["trainings"])

    figures = comparison_figures(work).to_json()
    assert figures["openings"] == 2  # it counts as a look, and trains nothing
    assert {arm: {name: each["mean"] for name, each in some.items()} for arm, some in figures["arms"].items()} == {
        arm: {name: each["mean"] for name, each in some.items()} for arm, some in found["arms"].items()
    }


def test_another_collection_has_a_table_of_its_own_and_changes_no_verdict(work):
    """The arms are trained again for it once: networks are not kept."""
    chance = np.random.default_rng(5)
    for label in ("NODULE", "NORMAL", "OTHER"):
        (work.home / "hospital-b" / label).mkdir(parents=True)
        for number in range(8):
            grey = Image.fromarray(chance.integers(0, 256, (8, 8), np.uint8)).resize((24, 24), Image.Resampling.BICUBIC)
            grey.save(work.home / "hospital-b" / label / f"q{label}{number}.png")
    for name in ("hospital-b", "xrays"):
        scan(work, ScanSettings(work.home / name, patient=PATIENT if name == "xrays" else r"(q\w+)"))
    before, looks = compare(work, CompareSettings(**FEW)).to_json(), openings(work)
    found = compare(work, CompareSettings(**FEW, external="hospital-b")).to_json()
    assert before["external"] is None
    assert found["external"]["sentence"].startswith("On hospital-b (8 patients with NODULE): ")
    assert found["external"]["left_out"] == {"of other classes": 8}
    assert found["external"]["test"] == {label: {"images": 8, "patients": 8} for label in ("NODULE", "NORMAL")}
    assert set(found["external"]["arms"]) == set(found["arms"])
    assert {each: found[each] for each in ("sentence", "judgement", "arms")} == {
        each: before[each] for each in ("sentence", "judgement", "arms")
    }
    assert openings(work) == looks
    (kept,) = (work.home / ".balance" / "comparisons").glob("*/predictions-external.parquet")
    assert len(read_predictions(kept).targets) == 16
    runs = sorted((work.home / ".balance" / "comparisons").rglob("*.npy"))
    times = [path.stat().st_mtime_ns for path in runs]
    assert compare(work, CompareSettings(**FEW, external="hospital-b")).to_json() == found
    assert [path.stat().st_mtime_ns for path in runs] == times


@pytest.mark.slow
def test_each_fold_is_filled_in_a_child_process_and_one_that_is_killed_goes_on(tmp_path, capfd):
    """Every patient is tested once; stdout is left to the caller, and the balanced folder as it is."""
    work = filled(tmp_path, model="noise:2", batch_size="2")
    before, asked = tree_hash(work.home / "xrays-balanced"), CompareSettings(**FEW, cross_fit=2)
    with pytest.raises(ComparisonError, match="a completed balance fill in fold 1 of 2") as caught:
        compare(work, asked, progress=Killer())
    assert "then run again: balance compare --arm oversampling" in caught.value.next_step
    kept = {path: path.stat().st_mtime_ns for path in images_of_folds(work.home)}
    assert kept
    heard = Listener()
    found = compare(work, asked, progress=heard).to_json()
    again = [path for path, time in kept.items() if path.stat().st_mtime_ns != time]
    assert len(again) <= 2  # the batch that the kill interrupted, if it had begun one
    assert len(again) < len(kept)
    assert found["test"] == {"NODULE": {"images": 60, "patients": 30}, "NORMAL": {"images": 110, "patients": 55}}
    assert [set(each) for each in found["chosen"]["folds"]] == [{"free", "synthetic"}] * 2
    assert found["chosen"]["sentence"] == "Both arms were named beforehand."
    assert found["chosen"]["sentence"] in found["verdict"]
    assert {each["leg"] for each in found["trainings"]} == {"fold 1 of 2", "fold 2 of 2"}
    assert " cross-fitted (60 images of 30 patients)" in found["power"]["sentence"]
    assert (found["settings"]["folds"], found["settings"]["refitted"]) == (2, ["fill"])
    assert not any("tested in other folds" in stamp for stamp in found["stamps"])
    said = "\n".join(heard.messages)
    assert "Cost: 2 times fill" in said
    assert "and 28 trainings of about" in said  # 4 arms, 2 seeds, 2 folds, and rates that are tried
    assert "Fold 2 of 2: balance fill" in said
    assert said.count("Model: noise:noise, 32 x 32 px") == 2  # as the children said
    assert capfd.readouterr().out == ""
    assert tree_hash(work.home / "xrays-balanced") == before
    with work.session(write=False) as session:
        assert fold_key(session) == found["settings"]["repeats"]  # the report calls another one stale


def images_of_folds(home):
    """Whole images: what a killed write has left is swept away by the next run."""
    found = (home / ".balance" / "folds").rglob(".balance/candidates/**/*.png")
    return [path for path in found if not path.name.startswith(".tmp-")]


def test_without_synthetic_images_the_other_arms_are_compared(tmp_path):
    write_xrays(tmp_path / "xrays", {"NORMAL": 80, "NODULE": 60}, (24, 24))
    workspace, heard = Workspace.open(tmp_path), Listener()
    scan(workspace, ScanSettings(tmp_path / "xrays", patient=PATIENT))
    preview = preview_compare(workspace, CompareSettings(**FEW))
    assert preview.to_json()["refits"] == []
    (tmp_path / "boxes.csv").write_text("image,x,y,width,height\nnone.png,1,1,4,4\n")
    with pytest.raises(TableError, match="images of the collection"):
        preview_compare(workspace, CompareSettings(**FEW, regions=tmp_path / "boxes.csv"))
    assert not (tmp_path / ".balance" / "comparisons").exists()
    found = compare(workspace, CompareSettings(**FEW), progress=heard).to_json()
    assert "Left out: synthetic-all: there are no synthetic images." in heard.messages
    assert found["chosen"]["synthetic"] is None
    assert found["sentence"].startswith("No synthetic images were compared: use strong-augmentation")


def test_folds_of_few_patients_are_refused_before_anything_else(tmp_path):
    """S1: with fewer folds, which the message names, the same patients are enough."""
    write_xrays(tmp_path / "xrays", {"NORMAL": 60, "NODULE": 24}, (24, 24))
    workspace = Workspace.open(tmp_path)
    scan(workspace, ScanSettings(tmp_path / "xrays", patient=PATIENT))
    split(workspace, SplitSettings(folds=4))
    with pytest.raises(ComparisonError, match="5 test patients of NODULE") as caught:
        preview_compare(workspace, CompareSettings(cross_fit=4))
    assert caught.value.found == ("3 test patients of NODULE in fold 1 of 4; conclusions are still possible for NORMAL")
    assert "number of folds that fits 12 patients is 2: balance split --folds 2, then:" in caught.value.next_step
    split(workspace, SplitSettings(folds=2))
    with pytest.raises(ComparisonError, match="a completed balance fill to repeat"):
        preview_compare(workspace, CompareSettings(cross_fit=2))


@pytest.mark.slow
def test_redraws_have_images_of_their_own(work):
    found = compare(work, CompareSettings(**FEW, redraw=2)).to_json()
    assert found["seeds"] == 2
    folders = {path.parent.name for path in (work.home / ".balance" / "comparisons").rglob("synthetic-all-*/*.npy")}
    assert len(folders) > 1


def test_the_usual_number_of_seeds_is_the_advised_one():
    assert len(CompareSettings().training_seeds) == ADVISED_SEEDS


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"steps": "many"}, "auto, or a number of steps"),
        ({"steps": "0"}, "auto, or a number of steps"),
        ({"recipe": "weak"}, "strong or plain"),
        ({"extra": "more"}, "NAME=FOLDER"),
        ({"extra": ("a=b", "a=c")}, "two folders named 'a'"),
    ],
)
def test_values_that_there_are_not_are_refused(settings, told):
    with pytest.raises(SettingsError, match=told):
        CompareSettings(**settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"cross_fit": 2, "redraw": 5}, "either --cross-fit"),
        ({"redraw": 3}, "as many redraws as seeds"),
        ({"cross_fit": 2, "folder": "xrays-balanced"}, "each fold makes its own"),
    ],
)
def test_what_cannot_be_asked_for_together_is_refused(settings, told):
    with pytest.raises(ComparisonError, match=told):
        CompareSettings(**settings)


@pytest.mark.parametrize(
    "kept",
    [{"unfinished": ["pretraining"]}, {"baseline_failed": True}, {"stamps": ["INVALID: a leak"]}, {"seeds": 1}],
    ids=lambda kept: next(iter(kept)),
)
def test_figures_that_are_computed_later_tell_no_more_of_a_finding_than_the_comparison(kept):
    outcomes = drawn_findings(0, gain={"B": 1.5})
    measured = measure_arms(outcomes, times=200)
    told = [
        judge_findings(outcomes, measured, NAMED, _kept_grounds({"seeds": 3, **more}, NAMED))["B"].told
        for more in ({}, kept)
    ]
    assert told == ["helped", "cannot tell"]
