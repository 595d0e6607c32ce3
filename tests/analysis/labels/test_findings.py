"""Wrong marks planted among drawn radiographs of several findings are listed; what is unknown is never suspected."""

import csv

import pytest

from analysis.labels.service import check_labels
from balancer.errors import CollectionError
from balancer.workspace.judging_settings import CheckLabelsSettings, ReportSettings
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import ScanSettings
from balancer.workspace.workspace import Workspace
from examples.phantoms import write_table_collection

COUNTS = {"normal": 40, "pleural_effusion": 30, "cardiomegaly|pleural_effusion": 20, "nodule": 3}
QUICK = CheckLabelsSettings(folds=2, steps=25, size=24)
FINDINGS = ("cardiomegaly", "nodule", "pleural_effusion")
FLIPPED, UNKNOWN = range(0, 93, 15), range(1, 93, 6)


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A scanned collection whose marks of effusion are wrong in some images and unknown in others; what was found."""
    place = tmp_path_factory.mktemp("marks")
    table = write_table_collection(place / "x", COUNTS, size=32, max_images=1, seed=5)
    lines, wrong, unknown = ["image,patient," + ",".join(FINDINGS)], set(), set()
    for at, row in enumerate(csv.DictReader(table.read_text().splitlines())):
        marks = {name: "1" if name in row["findings"].split("|") else "0" for name in FINDINGS}
        if at in FLIPPED:
            marks["pleural_effusion"] = "10"[int(marks["pleural_effusion"])]
            wrong.add(f"images/{row['image']}")
        if at in UNKNOWN:
            marks["pleural_effusion"] = ""
            unknown.add(f"images/{row['image']}")
        lines.append(",".join((row["image"], row["patient"], *marks.values())))
    table.write_text("\n".join(lines) + "\n")
    columns = ("file=image patient=patient",)
    workspace = Workspace.open(place)
    scan(
        workspace,
        ScanSettings(place / "x", labels=(str(table),), columns=columns, labels_in_columns=",".join(FINDINGS)),
    )
    return workspace, wrong, unknown, check_labels(workspace, QUICK)


def test_wrong_marks_are_among_the_first_and_unknown_ones_are_not_suspected(checked):
    _, wrong, unknown, found = checked
    of_effusion = [each for each in found.suspected if each.given.removeprefix("no ") == "pleural_effusion"]
    first = {each.image for each in of_effusion[: len(wrong)]}
    assert len(first & wrong) >= len(wrong) / 2
    assert not {each.image for each in of_effusion} & unknown
    assert {each.suggested for each in of_effusion} <= {"pleural_effusion", "no pleural_effusion"}
    assert [each.quality for each in found.suspected] == sorted(each.quality for each in found.suspected)
    assert found.notes[0].startswith("not checked: nodule, 3 patients with it")


@pytest.mark.slow
def test_the_report_shows_them_while_the_mark_is_as_it_was(checked, tmp_path):
    from analysis.report.service import write_report

    workspace, _, _, found = checked
    page = write_report(workspace, ReportSettings(out=tmp_path / "a.html")).page.read_text("utf-8")
    section = page.partition('id="labels"')[2].partition('id="training"')[0].partition('id="sheets"')[0]
    assert found.suspected[0].image in section
    assert found.suspected[0].suggested in section
    with workspace.session(write=False, several=True) as session:
        (finding,) = (each for each in session.collection.findings if each.kind == "suspected-label")
    assert len(finding.paths) == len({each.image for each in found.suspected})


def test_findings_of_too_few_patients_are_named(tmp_path):
    write_table_collection(tmp_path / "x", {"normal": 6, "nodule|pleural_effusion": 4}, size=32, max_images=1)
    workspace = Workspace.open(tmp_path)
    scan(workspace, ScanSettings(tmp_path / "x", labels=(str(tmp_path / "x" / "labels.csv"),), separator="|"))
    with pytest.raises(CollectionError, match=r"nodule \(4 patients with it, 6 without\)"):
        check_labels(workspace, QUICK)
