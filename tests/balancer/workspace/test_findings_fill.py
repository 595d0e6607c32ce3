"""A fill of several findings: what the dry run promised is there, in every table, and can be taken out again."""

import csv
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from balancer import FillSettings, NoScreen, ScanSettings, UnmergeSettings, Workspace, fill, plan, scan, unmerge, verify
from balancer.workspace.settings import VerifySettings
from examples.phantoms import write_table_collection

COUNTS = {
    **{"normal": 24, "pleural_effusion": 20, "cardiomegaly|pleural_effusion": 8, "cardiomegaly": 6},
    **{"nodule": 4, "nodule|pleural_effusion": 5, "consolidation|pleural_effusion": 5},
}
SETTINGS = FillSettings(target=("24",), model="noise:8", max_ratio=20)
FINDINGS = ("cardiomegaly", "consolidation", "nodule", "pleural_effusion")


def collection(place, **options):
    table = write_table_collection(place / "x", COUNTS, size=16)
    columns = ("file=image label=findings patient=patient",)
    scan(Workspace.open(place), ScanSettings(place / "x", labels=(str(table),), columns=columns, separator="|"))
    return Workspace.open(place)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    workspace = collection(tmp_path_factory.mktemp("filled"))
    promised = plan(workspace, SETTINGS)
    return workspace, promised, fill(workspace, SETTINGS, screen=NoScreen("a test"))


def test_every_finding_counts_what_the_dry_run_promised(filled):
    _, promised, found = filled
    rows = pq.read_table(found.merged.training / "metadata.parquet").to_pylist()
    after = Counter({finding: sum(row[finding] or 0 for row in rows) for finding in FINDINGS})
    assert after == Counter(promised.findings.sets.after)
    assert sum(row["is_synthetic"] for row in rows) == promised.wanted
    assert found.short == {}


def test_the_table_has_a_list_of_classes_and_a_column_for_each_finding(filled):
    _, _, found = filled
    table = pq.read_table(found.merged.training / "metadata.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    names = features["labels"]["feature"]["names"]
    assert names == list(FINDINGS)
    for row in table.to_pylist():
        assert [names[number] for number in row["labels"]] == [name for name in FINDINGS if row[name] == 1]
        assert row["file_name"].startswith("images/")


def test_the_source_table_goes_out_in_its_own_form(filled):
    _, promised, found = filled
    with (found.merged.folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    made = [row for row in rows if row["is_synthetic"] == "1"]
    assert Counter(row["findings"] for row in made) == Counter(promised.findings.sets.sets)
    real = Counter("|".join(sorted(row["findings"].split("|"))) for row in rows if row["is_synthetic"] == "0")
    assert real == Counter(COUNTS)


def test_the_folder_loads_with_no_flags(filled, tmp_path):
    datasets = pytest.importorskip("datasets")
    _, promised, found = filled
    loaded = datasets.load_dataset(str(found.merged.folder), cache_dir=str(tmp_path))["train"]
    assert loaded.features["label_set"].names == sorted(loaded.features["label_set"].names)
    assert Counter(loaded["nodule"])[1] == promised.findings.sets.after["nodule"]
    assert loaded.features["labels"].feature.names == list(FINDINGS)


def test_it_is_verified_and_what_was_added_can_be_taken_out(tmp_path):
    workspace = collection(tmp_path)
    found = fill(workspace, SETTINGS, screen=NoScreen("a test"))
    folder = found.merged.folder
    assert list(verify(workspace, VerifySettings(folder)).findings) == []
    removed = unmerge(workspace, UnmergeSettings(folder)).removed
    assert removed == found.planned.wanted
    assert len(list(folder.rglob("*.png"))) == sum(COUNTS.values())


def test_a_second_fill_makes_nothing_again(tmp_path):
    workspace = collection(tmp_path)
    first = fill(workspace, SETTINGS, screen=NoScreen("a test"))
    again = fill(workspace, SETTINGS, screen=NoScreen("a test"))
    assert (again.report.made, again.merged.rebuilt) == (0, False)
    assert again.merged.synthetic == first.merged.synthetic


def test_the_card_counts_findings(filled):
    _, _, found = filled
    text = Path(found.merged.folder / "README.md").read_text()
    assert "| folder | finding | real | synthetic |" in text
    assert "An image may have several findings" in text
