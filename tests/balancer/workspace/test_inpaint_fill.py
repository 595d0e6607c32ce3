"""`fill --mode inpaint` from end to end: recorded, resumed, in shards, of several findings, and what it refuses."""

import shutil

import numpy as np
import pandas as pd
import pytest

import balancer
from balancer import ExplainSettings, FillSettings, NoScreen, ScanSettings, Workspace
from balancer.collection.run_lengths import from_runs, runs_from_text
from balancer.dataset.verify import verify
from balancer.dataset.xmp import read_provenance
from balancer.errors import PlanError, SettingsError, TableError
from balancer.filling.composite import faded
from balancer.imaging.decode import read_grey
from balancer.workspace.shard_run import fill_shard
from examples.phantoms import write_collection, write_table_collection
from tests.support.cli_process import tree_hash

NONE = NoScreen("of the tests")
MADE = ("xrays-balanced/train/metadata.parquet", "xrays-balanced/provenance.csv")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Phantoms of 32 px with the table of their nodules."""
    folder = tmp_path_factory.mktemp("drawn")
    counts = {"normal": 12, "nodule": 6}
    write_collection(folder / "xrays", counts, size=32, max_images=1, regions=folder / "boxes.csv")
    balancer.scan(Workspace.open(folder), ScanSettings(folder / "xrays", patient=r"(p\d+)-"))
    return folder


@pytest.fixture
def work(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / "work")


def settings(checkpoint, folder, **more):
    usual = {"target": ["nodule=9"], "model": str(checkpoint), "mode": "inpaint", "steps": 3, "batch_size": "4"}
    return FillSettings(**{**usual, "regions": folder / "boxes.csv", **more})


def fill(folder, chosen, said=None):
    progress = balancer.progress.SILENT if said is None else said
    return balancer.fill(Workspace.open(folder), chosen, screen=NONE, progress=progress)


def test_the_finding_is_painted_and_the_rest_is_the_source(work, checkpoint):
    chosen = settings(checkpoint, work)
    fill(work, chosen)
    out = work / "xrays-balanced"
    assert verify(out) == ()
    rows = pd.read_csv(out / "provenance.csv", keep_default_na=False)
    assert len(rows) == 5
    for _, row in rows.iterrows():
        assert row["source_path"].startswith("normal/")
        assert row["mask_from"].startswith("the region in nodule/")
        assert row["source_patient"] not in row["mask_from"]
        made, source = read_grey(out / row["file"]), read_grey(work / "xrays" / row["source_path"])
        mask = from_runs(runs_from_text(row["mask"].removeprefix("'")), row["height"], row["width"])
        untouched = faded(mask) == 0
        np.testing.assert_array_equal(made[untouched], source[untouched])
        assert (made != source).any()
    assert rows["source_path"].nunique() == 5
    parts = pd.read_parquet(out / "train" / "metadata.parquet")
    assert set(parts[parts["is_synthetic"]]["source"]) == set(rows["source_path"])
    file = out / rows["file"][0]
    said = read_provenance(file)
    assert said["digital_source_type"] == "compositeWithTrainedAlgorithmicMedia"
    assert said["mask"] == f"32x32 {rows['mask'][0]}".replace(" '", " ")
    assert said["mode"] == "inpaint"
    assert "mask_from" not in said
    told = balancer.explain(Workspace.open(work), ExplainSettings(file)).facts
    assert {"mask", "mask_from", "source_path", "source_patient", "strength"} <= told.keys()
    assert "those of the source" in (out / "README.md").read_text("utf-8")


@pytest.mark.slow
def test_a_fill_that_was_stopped_and_one_in_shards_end_with_the_same_tree(work, checkpoint):
    chosen = settings(checkpoint, work)
    fill(work, chosen)
    whole = tree_hash(work / "xrays-balanced")
    for path in sorted((work / ".balance" / "candidates").iterdir())[::3]:
        path.unlink()
    shutil.rmtree(work / "xrays-balanced")
    fill(work, chosen)
    assert tree_hash(work / "xrays-balanced") == whole
    shutil.rmtree(work / "xrays-balanced")
    shutil.rmtree(work / ".balance")
    balancer.scan(Workspace.open(work), ScanSettings(work / "xrays", patient=r"(p\d+)-"))
    for number in (1, 2):
        place = work / "shards"
        fill_shard(Workspace.open(work), settings(checkpoint, work, shard=f"{number}/2", shard_dir=place))
    fill(work, settings(checkpoint, work, collect=work / "shards"))
    assert tree_hash(work / "xrays-balanced") == whole


def test_without_regions_it_says_where_it_paints(work, checkpoint, capsys):
    said = []
    progress = type("Said", (), {"message": said.append, "start": lambda self, what: lambda *counts: None})()
    balancer.preview_fill(
        Workspace.open(work), settings(checkpoint, work, regions=None), screen=NONE, progress=progress
    )
    told = next(line for line in said if line.startswith("Inpaint nodule"))
    places = ("where nodule differs from normal images", "where a classifier sees nodule", "anywhere in the lungs")
    assert any(place in told for place in places)


def test_of_several_findings_the_source_has_just_the_others(tmp_path, checkpoint):
    counts = {"normal": 8, "pleural_effusion": 8, "nodule|pleural_effusion": 4, "nodule": 3}
    write_table_collection(tmp_path / "xrays", counts, size=32, max_images=1, regions=tmp_path / "boxes.csv")
    scan = ScanSettings(tmp_path / "xrays", labels=(str(tmp_path / "xrays" / "labels.csv"),), separator="|")
    balancer.scan(Workspace.open(tmp_path), scan)
    result = fill(tmp_path, settings(checkpoint, tmp_path, target=["nodule=8"]))
    rows = pd.read_csv(tmp_path / "xrays-balanced" / "provenance.csv", keep_default_na=False)
    labels = pd.read_csv(tmp_path / "xrays" / "labels.csv").set_index("image")["findings"]
    assert result.report.made
    assert set(rows["wanted_finding"]) == {"nodule"}
    assert set(rows["unknown_findings"]) == {"[]"}
    for _, row in rows.iterrows():
        rest = set(row["label"].split("|")) - {"nodule"}
        assert set(labels[row["source_path"].removeprefix("images/")].split("|")) == (rest or {"normal"})


def test_what_cannot_be_painted_is_refused(work, checkpoint):
    with pytest.raises(PlanError, match="which is what is painted into"):
        fill(work, settings(checkpoint, work, target=["20"], max_ratio=9))
    with pytest.raises(PlanError, match="no 'healthy'"):
        fill(work, settings(checkpoint, work, normal="healthy"))
    with pytest.raises(PlanError, match="--steps 1"):
        fill(work, settings(checkpoint, work, steps=1))
    with pytest.raises(SettingsError, match="--mode inpaint, for --regions"):
        settings(checkpoint, work, mode="mix")
    (work / "boxes.csv").write_text("image,x,y,width,height\nnormal/p00000-00.png,1,1,99,1\n")
    with pytest.raises(TableError, match="inside its image"):
        fill(work, settings(checkpoint, work))
    (work / "xrays" / "normal").rename(work / "xrays" / "grade1")
    balancer.scan(Workspace.open(work), ScanSettings(work / "xrays", patient=r"(p\d+)-"))
    with pytest.raises(PlanError, match="a class of normal images"):
        fill(work, settings(checkpoint, work, regions=None))
    fill(work, settings(checkpoint, work, regions=None, normal="grade1"))


def test_regions_of_other_classes_alone_are_refused(work, checkpoint):
    (work / "normal.csv").write_text("image,finding,x,y,width,height\nnormal/p00000-00.png,normal,4,4,6,6\n")
    with pytest.raises(PlanError, match="a region of nodule"):
        fill(work, settings(checkpoint, work, regions=work / "normal.csv"))
