"""What public collections of several findings hold: each is read or said, and nothing is lost."""

import pytest

from balancer import PlanSettings, ScanSettings, Workspace, plan, scan
from balancer.errors import TableError
from tests.support.tiny_models import write_xrays


def scanned(place, lines_of, **options):
    if not (place / "x").exists():
        write_xrays(place / "x", {"images": 24}, size=(16, 16))
    names = sorted(path.name for path in (place / "x" / "images").iterdir())
    lines = [f'{names[number]},"{label}",p{number}' for number, label in lines_of]
    (place / "t.csv").write_text("\n".join(["ImageID,Labels,PatientID", *lines]) + "\n")
    usual = {"columns": ("file=ImageID label=Labels patient=PatientID",), "labels": (str(place / "t.csv"),)}
    return scan(Workspace.open(place), ScanSettings(place / "x", **usual, **options))


def test_the_list_form_of_padchest_is_read(tmp_path):
    cells = ["['nodule', 'cardiomegaly']", "['normal']", "['nodule']", "['pleural effusion', 'nodule ']"] * 6
    found = scanned(tmp_path, enumerate(cells)).collection
    assert found.is_multi_label
    assert found.label_sets.counts() == {"cardiomegaly": 6, "nodule": 18, "pleural effusion": 6}
    assert (found.label_sets.nothing, int(found.label_sets.without_finding().sum())) == ("normal", 6)


def test_rows_of_one_image_that_disagree_need_a_rule_and_none_is_lost(tmp_path):
    cells = ["Effusion|Mass", "No Finding", "Effusion", "Mass"] * 6
    rows = [*enumerate(cells), (1, "Effusion")]  # the second image: no finding by one row, an effusion by another
    with pytest.raises(TableError, match="--rows any"):
        scanned(tmp_path, rows, separator="|")
    found = scanned(tmp_path, rows, separator="|", rows="any").collection
    assert found.label_sets.counts() == {"Effusion": 13, "Mass": 12}
    assert "contradicting-labels" in {each.kind for each in found.findings}
    assert len(found.images) == 24


def test_a_target_that_no_label_set_can_reach_is_said_and_the_others_are_made(tmp_path):
    place = tmp_path
    write_xrays(place / "x", {"images": 24}, size=(16, 16))
    names = sorted(path.name for path in (place / "x" / "images").iterdir())
    labels = ["Effusion|Mass", "No Finding", "Effusion", "Mass"] * 6
    parts = ["train"] * 21 + ["test"] * 3
    lines = [",".join(each) for each in zip(names, labels, parts, strict=True)]
    lines[-1] = f"{names[-1]},Fibrosis,test"
    (place / "t.csv").write_text("\n".join(["file,label,split", *lines]) + "\n")
    columns = ("file=file label=label split=split",)
    table = (str(place / "t.csv"),)
    scan(Workspace.open(place), ScanSettings(place / "x", labels=table, columns=columns, separator="|"))
    found = plan(Workspace.open(place), PlanSettings(target=("Fibrosis=20", "Mass=15")))
    assert found.findings.sets.unreachable == {"Fibrosis": 20}
    assert found.findings.sets.after["Mass"] == 15
