"""Wrong labels planted among drawn radiographs are listed, kept, shown and left out."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.labels.service import check_labels
from analysis.labels.suspects import label_quality, suspects
from balancer.cli.app import app
from balancer.errors import CollectionError, OutputError
from balancer.progress import Silent
from balancer.workspace.judging_settings import CheckLabelsSettings, ReportSettings
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import ScanSettings
from balancer.workspace.workspace import Workspace
from examples.phantoms import write_collection

QUICK = CheckLabelsSettings(folds=3, steps=30, size=32)
OF_QUICK = f"labels-*-{QUICK.folds}.npz"
EACH, FLIPPED = 50, 5


class Halting(Silent):
    """Notes the training steps that it is told, and is interrupted at one of them."""

    def __init__(self, at):
        self.at, self.steps = at, []

    def start(self, what, done=0):
        def tell(done, total, made=None, note=""):
            self.steps.append(done)
            if done == self.at:
                raise KeyboardInterrupt

        return tell if what == "Training" else super().start(what, done)


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A scanned collection in which five images of each class lie in the other's folder, and what was found in it."""
    folder = tmp_path_factory.mktemp("labels")
    root = folder / "xrays"
    write_collection(root, {"normal": EACH, "pleural_effusion": EACH}, size=32, seed=3, max_images=1)
    other = {"normal": "pleural_effusion", "pleural_effusion": "normal"}
    moved = [file for label in other for file in sorted((root / label).iterdir())[:FLIPPED]]
    wrong = {f"{other[file.parent.name]}/moved-{file.name}" for file in moved}
    for file in moved:
        file.rename(root / other[file.parent.name] / f"moved-{file.name}")
    workspace = Workspace.open(folder)
    scan(workspace, ScanSettings(root))
    return workspace, wrong, check_labels(workspace, QUICK)


def test_half_of_the_first_ones_are_wrong_at_least(checked):
    _, wrong, found = checked
    first = {each.image for each in found.suspected[: len(wrong)]}
    assert len(first & wrong) >= len(wrong) / 2
    assert [each.quality for each in found.suspected] == sorted(each.quality for each in found.suspected)
    assert all(each.given != each.suggested for each in found.suspected)
    assert found.checked == 2 * EACH


def test_stopped_it_goes_on_with_the_next_fold(checked):
    workspace, _, found = checked
    kept = sorted(workspace.state.cache.glob(OF_QUICK))
    assert len(kept) == QUICK.folds
    first = kept[0].read_bytes()
    for each in kept:
        each.unlink()
    fresh = Halting(QUICK.steps + 1)
    with pytest.raises(KeyboardInterrupt):
        check_labels(workspace, QUICK, progress=fresh)
    assert fresh.steps[-1] == QUICK.steps + 1  # in the second fold
    (left,) = workspace.state.cache.glob(OF_QUICK)
    assert left == kept[0]
    resumed = Halting(None)
    again = check_labels(workspace, QUICK, progress=resumed)
    assert resumed.steps[0] == QUICK.steps + 1
    assert (left.read_bytes(), again.suspected) == (first, found.suspected)
    check_labels(workspace, replace(QUICK, steps=1))
    assert len(list(workspace.state.cache.glob(OF_QUICK))) == 2 * QUICK.folds  # other settings, other files
    check_labels(workspace, QUICK)  # the list of the other tests


def test_they_are_kept_as_a_table_a_finding_and_for_the_report(checked):
    workspace, _, found = checked
    with found.table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [each.image for each in found.suspected]
    again = scan(workspace, ScanSettings(workspace.home / "xrays"))
    (said,) = [each for each in again.collection.findings if each.kind == "suspected-label"]
    assert [str(path) for path in said.paths] == [each.image for each in found.suspected]
    kept = json.loads((workspace.state.reports / "labels.json").read_text("utf-8"))
    assert kept == found.to_json()


def test_the_report_shows_them_and_in_private_only_counts_them(checked, tmp_path):
    from analysis.report.service import write_report

    workspace, _, found = checked
    worst = found.suspected[0].image
    page = write_report(workspace, ReportSettings(out=tmp_path / "a.html")).page.read_text("utf-8")
    section = page.partition('id="labels"')[2].partition('id="sheets"')[0]
    assert worst in section
    assert section.count("data:image/jpeg") >= 2
    private = write_report(workspace, ReportSettings(out=tmp_path / "b.html", private=True)).page.read_text("utf-8")
    section = private.partition('id="labels"')[2].partition('id="sheets"')[0]
    assert worst not in private
    assert "data:image" not in section
    assert str(len(found.suspected)) in section


def test_the_command_prints_them_and_its_table_is_a_list_for_exclude(checked, monkeypatch):
    workspace, _, _ = checked
    monkeypatch.chdir(workspace.home)

    def typed(*words):
        done = CliRunner().invoke(app, words)
        return done.exit_code, f"{done.output}{done.exception or ''}"

    options = ("labels", "--folds", "2", "--steps", "20", "--size", "32", "--out", "mine.csv")
    assert "Next: copy the rows" in typed(*options)[1]
    assert "it exists" in typed(*options)[1]
    code, output = typed("scan", "xrays", "--exclude", "mine.csv")
    assert (code, "left out of training and validation:" in output and "of mine.csv" in output) == (0, True)
    code, output = typed("scan", "xrays", "--exclude", "")
    assert (code, "left out of training" in output) == (0, False)


def test_too_few_patients_are_named(tmp_path):
    write_collection(tmp_path / "xrays", {"normal": 12, "nodule": 4}, size=32, max_images=1)
    workspace = Workspace.open(tmp_path)
    scan(workspace, ScanSettings(tmp_path / "xrays"))
    with pytest.raises(CollectionError, match=r"nodule \(4\), normal \(12\)"):
        check_labels(workspace, QUICK)


def test_a_table_inside_the_collection_is_refused(checked):
    workspace, _, _ = checked
    with pytest.raises(OutputError, match="outside the collection"):
        check_labels(workspace, CheckLabelsSettings(out=workspace.home / "xrays" / "list.csv"))


def test_labels_that_all_agree_are_not_suspected():
    targets = np.repeat([0, 1, 2], 20)
    agreed = np.full((60, 3), 0.1)
    agreed[np.arange(60), targets] = 0.8
    assert suspects(targets, agreed, ["a", "b", "c"]) == []
    assert label_quality(targets, agreed).tolist() == [0.8] * 60
