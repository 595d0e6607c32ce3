"""A collection that came as a table goes out in class folders, and as the same table with what is synthetic."""

import csv
import json
from collections import Counter

import pytest
from torchvision.datasets import ImageFolder

from balancer.collection.scan import scan
from balancer.dataset.labels_table import LABELS, OURS
from balancer.dataset.layout import class_folder, plan_layout
from balancer.dataset.merge import merge, unmerge
from balancer.dataset.metadata_files import PROVENANCE
from balancer.dataset.verify import verify
from balancer.errors import OutputError
from balancer.progress import SILENT
from balancer.splits.split import draw_split
from balancer.workspace.scan_source import scan_source
from balancer.workspace.settings import ScanSettings
from tests.support.balanced_fixtures import FACTS, accepted
from tests.support.layouts import archive, draw, studies, write_table

COLUMNS = "file='Image Index' label='Finding Labels' patient='Patient ID' sex='Patient Gender' view='View Position'"


def read(root, patient=None, **options):
    where = scan_source(ScanSettings(root, **options), None, SILENT)
    return scan(root, patient, source=where.source, options=where.options)


def of_archive(root, **choice):
    """Labels joined by bars, lists of splits, a patient for each two images."""
    archive(root)
    lists = (f"train={root / 'train_list.txt'}", f"test={root / 'test_list.txt'}")
    named = {"labels": (str(root / "entries.csv"),), "separator": "|", "columns": (COLUMNS,)}
    return read(root, **named, split_list=lists, **choice)


def rows_of(folder):
    with (folder / LABELS).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_loads_as_any_balanced_folder(tmp_path, load_dataset):
    found = of_archive(tmp_path / "x", primary="Mass,Effusion,No Finding")
    report = merge(found, draw_split(found), accepted(tmp_path / "store", "Effusion", 3), tmp_path / "out", facts=FACTS)
    assert verify(tmp_path / "out") == ()
    classes = {"Effusion": 0, "Mass": 1, "No Finding": 2}
    train = ImageFolder(report.training)
    assert train.class_to_idx == classes
    loaded = load_dataset(tmp_path / "out")
    assert loaded["train"].features["label"].names == list(classes)
    assert Counter(loaded["train"]["label"]) == Counter(train.targets)
    assert sum(loaded["train"]["is_synthetic"]) == 3
    assert len(loaded["test"]) == (found.images["part"] == "test").sum()
    assert set(loaded["test"]["patient"]) == set(found.images.loc[found.images["part"] == "test", "patient"])


def test_the_table_says_what_the_collections_own_said(tmp_path):
    found = of_archive(tmp_path / "x", primary="Mass,Effusion,No Finding")
    merge(found, draw_split(found), accepted(tmp_path / "store", "Effusion", 2), tmp_path / "out", facts=FACTS)
    rows = rows_of(tmp_path / "out")
    assert list(rows[0]) == [
        *("Image Index", "Finding Labels", "Patient ID", "split", "Patient Age", "Patient Gender", "View Position"),
        *("balanced_class", "is_synthetic", "provenance", "source_file"),
    ]
    real = {row["source_file"]: row for row in rows if row["is_synthetic"] == "0"}
    assert real.keys() == set(found.images.index)
    for path, (label, part, patient, labels, told) in zip(
        found.images.index, found.images[["label", "part", "patient", "labels", "told"]].to_numpy(), strict=True
    ):
        row = real[path]
        assert row["balanced_class"] == label
        assert (row["Patient ID"], row["Finding Labels"].split("|")) == (patient, json.loads(labels))
        assert part == row["split"] or (part, row["split"]) == ("train", "val")  # validation is drawn from training
        assert (row["Patient Gender"], row["View Position"]) == tuple(
            json.loads(told)[each] for each in ("sex", "view")
        )
        assert (tmp_path / "out" / row["Image Index"]).read_bytes() == (found.root / path).read_bytes()


def test_synthetic_rows_lead_to_their_provenance(tmp_path):
    found = of_archive(tmp_path / "x", target_label="Mass")
    merge(found, draw_split(found), accepted(tmp_path / "store", "no Mass", 2), tmp_path / "out", facts=FACTS)
    made = [row for row in rows_of(tmp_path / "out") if row["is_synthetic"] == "1"]
    assert [(row["Finding Labels"], row["balanced_class"], row["split"]) for row in made] == [
        ("no Mass",) * 2 + ("train",)
    ] * 2
    with (tmp_path / "out" / PROVENANCE).open(encoding="utf-8", newline="") as file:
        known = {row["sha256"]: row["file"] for row in csv.DictReader(file)}
    assert {row["provenance"]: row["Image Index"] for row in made} == known


def test_it_is_read_back_as_it_was(tmp_path):
    """Same classes, patients and splits, from the folder that went out, by the table that went out."""
    found = of_archive(tmp_path / "x", primary="Mass,Effusion,No Finding")
    merge(found, draw_split(found), accepted(tmp_path / "store", "Effusion", 2), tmp_path / "out", facts=FACTS)
    columns = (COLUMNS.replace("Finding Labels", "balanced_class"),)
    again = read(tmp_path / "out", labels=(str(tmp_path / "out" / LABELS),), columns=columns)
    assert Counter(again.images["label"]) == Counter(found.images["label"]) + Counter(Effusion=2)
    assert set(again.images["patient"].dropna()) == set(found.images["patient"])
    assert (again.images["part"] == "test").sum() == (found.images["part"] == "test").sum()


def test_a_column_for_each_label_stays_one(tmp_path):
    root = studies(tmp_path / "x")
    names = ("Edema", "Fracture", "No Finding")
    tables = tuple(str(root / f"{part}.csv") for part in ("train", "valid"))
    found = read(root, r"patient\d+", labels=tables, labels_in_columns=",".join(names), target_label="Edema")
    merge(found, draw_split(found), accepted(tmp_path / "store", "Edema", 2), tmp_path / "out", facts=FACTS)
    rows = rows_of(tmp_path / "out")
    assert list(rows[0])[:6] == ["Path", *names, "patient", "split"]
    for name in names:
        assert sum(row[name] == "1" for row in rows) == 4 - 2 * (name == "Fracture") + 2 * (name == "Edema")
    assert {row[name] for row in rows for name in names} == {"1", ""}


def test_what_may_tell_who_somebody_is_stays_behind(tmp_path):
    """Numbers of studies, dates and UIDs are no attributes of a class, whoever named their columns."""
    rows = [["file", "label", "date", "study", "ward"]]
    for number in range(24):
        draw(tmp_path / "x" / f"{number}.png")
        rows.append(
            [f"{number}.png", "ab"[number % 2], f"2019-03-{1 + number:02}", f"S{number}", "ER" if number % 3 else "ICU"]
        )
    table = str(write_table(tmp_path / "t.csv", rows))
    found = read(tmp_path / "x", labels=(table,), columns=("file=file label=label date=date study=study ward=ward",))
    merge(found, draw_split(found), [], tmp_path / "out", facts=FACTS)
    out = rows_of(tmp_path / "out")
    assert list(out[0]) == ["file", "label", "patient", "split", "ward", *OURS]
    assert "2019-03" not in (tmp_path / "out" / LABELS).read_text("utf-8")


def test_a_folder_collection_has_no_such_table(tmp_path):
    draw(tmp_path / "x" / "A" / "1.png")
    draw(tmp_path / "x" / "B" / "2.png")
    found = scan(tmp_path / "x")
    merge(found, None, [], tmp_path / "out", facts=FACTS)
    assert not (tmp_path / "out" / LABELS).exists()


def test_unmerge_leaves_the_originals_alone(tmp_path):
    found = of_archive(tmp_path / "x", primary="Mass,Effusion,No Finding")
    merge(found, draw_split(found), accepted(tmp_path / "store", "Effusion", 2), tmp_path / "out", facts=FACTS)
    assert unmerge(tmp_path / "out") == 2
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(path.read_bytes() for path in left) == sorted(
        (found.root / path).read_bytes() for path in found.images.index
    )


def test_files_of_one_name_stay_apart_and_none_is_named_like_a_split(tmp_path):
    """view1.png of every patient; the folders above it come into the name, but for those called like splits."""
    root = studies(tmp_path / "x")
    tables = tuple(str(root / f"{part}.csv") for part in ("train", "valid"))
    found = read(root, r"patient\d+", labels=tables, labels_in_columns="Edema", map=("=none",))
    paths = [entry.path for entry in plan_layout(found, draw_split(found), []).entries]
    assert len(set(paths)) == len(found.images)
    assert not any(part in path.rpartition("/")[2] for path in paths for part in ("train", "valid"))


def test_classes_whose_folders_would_be_one_are_refused(tmp_path):
    for number in range(4):
        draw(tmp_path / "x" / f"{number}.png")
    labels = ["Nodule/Mass", "Nodule:Mass"]
    table = write_table(tmp_path / "t.csv", [["file", "label"], *([f"{n}.png", labels[n % 2]] for n in range(4))])
    found = read(tmp_path / "x", labels=(str(table),))
    with pytest.raises(OutputError, match="--map 'Nodule:Mass=NEW'"):
        plan_layout(found, None, [])


@pytest.mark.parametrize(
    ("label", "folder"), [("Nodule/Mass", "Nodule_Mass"), ("..", "_"), ("a\x00b", "a_b"), (".hidden", "hidden")]
)
def test_a_class_folder_has_a_name_that_any_system_takes(label, folder):
    assert class_folder(label) == folder
