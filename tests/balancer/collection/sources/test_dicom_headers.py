"""DICOM headers as columns of a table, on small collections that are written here, and on the layouts beside."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from balancer.collection.scan import scan
from balancer.collection.sources.dicom_headers import DicomHeaders
from balancer.collection.sources.made import make_source
from balancer.collection.sources.options import SourceOptions
from tests.support.cli_process import apart
from tests.support.dicom_files import draw, header, write_dicom
from tests.support.layouts import write_table

LAYOUTS = Path(__file__).parents[5] / "shared" / "data" / "layouts.py"


def clinic(root, per_class=6, **tags):
    """Two class folders, two images a patient; `tags` may be functions of class and number."""
    for place, label in enumerate(("mass", "normal")):
        for number in range(per_class):
            own = {name: value(label, number) if callable(value) else value for name, value in tags.items()}
            own = {"PatientID": f"P{place}{number // 2}"} | own
            write_dicom(root / label / f"{number}.dcm", draw(100 * place + number), **own)
    return root


def kinds(found):
    return {each.kind for each in found.findings if not each.kind.startswith("few-")}


def facts(found, name):
    return [json.loads(text).get(name) if text else None for text in found.images["told"]]


def test_headers_tell_patient_sex_age_view_and_more(tmp_path):
    ages = ["067Y", "018M", "27", "", "003W", "much"]
    found = scan(
        clinic(
            tmp_path / "x",
            PatientSex=lambda label, n: "FMO"[n % 3],
            PatientAge=lambda label, n: ages[n],
            ViewPosition="LL",
            BodyPartExamined="CHEST",
            Laterality="L",
            Manufacturer="Maker",
            BurnedInAnnotation="NO",
        )
    )
    images = found.images[found.images["label"] == "mass"]
    assert images["patient"].tolist() == ["P00", "P00", "P01", "P01", "P02", "P02"]
    assert images["sex"].fillna("").tolist() == ["female", "male", "", "female", "male", ""]
    assert images["age"].round(2).fillna(-1).tolist() == [67, 1.5, 27, -1, 0.06, -1]
    assert set(images["view"]) == {"lateral"}
    assert set(facts(found, "view")) == {"LL"}
    for name, value in {"body_part": "CHEST", "laterality": "L", "manufacturer": "Maker", "burned_in": "NO"}.items():
        assert set(facts(found, name)) == {value}
    assert found.patient_source == "column DICOM PatientID"
    assert kinds(found) == {"table-unreadable"}


def test_a_table_has_the_first_word_and_headers_fill_what_it_leaves_open(tmp_path):
    root = clinic(tmp_path / "x", PatientSex="F", AccessionNumber=lambda label, n: f"{label}{n // 2}")
    rows = [
        ["AccessionNumber", "finding", "sex"],
        *([f"{label}{n}", label, "M" if n else ""] for label in ("mass", "normal") for n in range(3)),
    ]
    options = SourceOptions(
        labels=(write_table(tmp_path / "t.csv", rows),),
        columns={"file": ("dicom:AccessionNumber",), "label": ("finding",), "sex": ("sex",)},
    )
    found = scan(root, source=make_source(options, str(root)))
    assert found.images["sex"].tolist() == ["female", "female", "male", "male", "male", "male"] * 2
    assert found.images["patient"].notna().all()


def test_reports_are_left_out_and_named_and_files_without_suffix_are_read(tmp_path):
    root = clinic(tmp_path / "x")
    (root / "mass" / "0.dcm").rename(root / "mass" / "1.2.840.99")
    (root / "mass" / "1.dcm").rename(root / "mass" / "IM0001")
    write_dicom(root / "mass" / "report.dcm", None)
    write_dicom(root / "normal" / "report", None)
    (root / "normal" / "notes").write_text("no DICOM")
    found = scan(root)
    assert len(found.images) == 12
    assert found.source.ignored == {"no_pixels": 2}
    assert {each.kind: each.message for each in found.findings if each.kind == "no-pixels"} == {
        "no-pixels": "2 DICOM files contain no image and are not read: 2 Basic Text SR Storage"
    }
    assert kinds(found) == {"no-pixels", "ignored-file"}


def test_what_is_odd_in_headers_is_found(tmp_path):
    root = clinic(
        tmp_path / "x",
        ImageType=lambda label, n: ["DERIVED", "PRIMARY"] if n == 0 else ["ORIGINAL", "PRIMARY"],
        PresentationLUTShape=lambda label, n: "INVERSE" if n == 1 else "IDENTITY",
        BurnedInAnnotation=lambda label, n: "YES" if n == 2 else "NO",
    )
    made = header(draw(7), bits=8)
    made.PixelData, made.NumberOfFrames, made.PatientID = made.PixelData * 2, 2, "P9"
    made.save_as(root / "mass" / "cine.dcm", enforce_file_format=True)
    found = scan(root)
    told = {each.kind: sorted(path.name for path in each.paths) for each in found.findings}
    assert told["derived-image"] == ["0.dcm", "0.dcm"]
    assert told["polarity-contradiction"] == ["1.dcm", "1.dcm"]
    assert told["burned-in"] == ["2.dcm", "2.dcm"]
    assert told["several-frames"] == ["cine.dcm"]


@pytest.mark.parametrize(
    ("patient", "known", "words"),
    [
        ("ANON", None, "have the same PatientID"),
        (lambda label, n: f"{label}{n}", 12, "a different PatientID"),
    ],
)
def test_patient_numbers_that_tell_no_patients_apart_are_said(tmp_path, patient, known, words):
    found = scan(clinic(tmp_path / "x", PatientID=patient))
    assert (found.images["patient"].nunique() or None) == known
    assert [words in each.message for each in found.findings if each.kind == "dicom-patient"] == [True]


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("Manufacturer", "of the manufacturer Maker"),
        ("BodyPartExamined", "of the body part Maker"),
    ],
)
def test_what_goes_with_a_class_is_a_shortcut(tmp_path, tag, words):
    patients = {"PatientID": lambda label, n: f"{label}{n}"}
    root = clinic(tmp_path / "x", 14, **patients, **{tag: lambda label, n: "Maker" if label == "mass" else "Other"})
    found = [each.message for each in scan(root).findings if each.kind == "shortcut"]
    assert len(found) == 1
    assert words in found[0]
    assert "100% of mass" in found[0]


def test_polarity_that_goes_with_a_class_is_a_shortcut(tmp_path):
    patients = {"PatientID": lambda label, n: f"{label}{n}"}
    root = clinic(tmp_path / "x", 14, **patients, inverted=lambda label, n: label == "mass")
    assert any("MONOCHROME1" in each.message for each in scan(root).findings if each.kind == "shortcut")


def test_a_damaged_file_of_a_class_is_unreadable_and_named(tmp_path):
    root = clinic(tmp_path / "x")
    whole = (root / "mass" / "0.dcm").read_bytes()
    (root / "mass" / "0.dcm").write_bytes(whole[: len(whole) // 2])
    (root / "mass" / "1.dcm").write_bytes(bytes(128) + b"DICM")
    found = scan(root)
    assert len(found.images) == 10
    paths = [str(path) for each in found.findings if each.kind == "unreadable" for path in each.paths]
    assert paths == ["mass/0.dcm", "mass/1.dcm"]


def test_each_header_is_read_once(tmp_path, monkeypatch):
    root = clinic(tmp_path / "x", AccessionNumber="7")
    headers = DicomHeaders(str(root))
    paths = ["mass/0.dcm", "mass/1.dcm"]
    first = headers.of(paths)
    (root / "mass" / "0.dcm").unlink()
    assert headers(paths, ["AccessionNumber"])["AccessionNumber"].tolist() == ["7", "7"]
    assert headers.of(paths) == first


def test_class_folders_of_dicom_are_scanned_by_the_command(tmp_path):
    clinic(tmp_path / "x", PatientSex="F")
    done = apart(tmp_path, "scan", "x", "--json", "--deep")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["images"], told["sexes"], told["patients"]["count"]) == (12, {"F": 12}, 6)
    assert "Warning" not in done.stderr


@pytest.mark.skipif(not LAYOUTS.is_file(), reason="the layouts are not beside the checkout")
@pytest.mark.parametrize("name", ["hospital-dicom", "vindr-cxr", "rsna-pneumonia"])
def test_the_layouts_are_read_right(tmp_path, name):
    subprocess.run([sys.executable, str(LAYOUTS), str(tmp_path), name], check=True, capture_output=True)
    wanted = json.loads((tmp_path / f"{name}.expected.json").read_text())
    root = tmp_path / name / wanted["point_at"]
    by_table = ["--labels", str(root / "labels.csv"), "--columns", "file=dicom:AccessionNumber label=label"]
    done = apart(
        tmp_path, "scan", str(root), "--json", *(by_table if name.startswith("hospital") else ["--preset", name])
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    counts = {label: each["images"]["all"] for label, each in told["classes"].items() if each["images"]["all"]}
    assert sorted(counts.values()) == sorted(wanted["classes"].values())
    assert told["patients"]["count"] == wanted["patients"]
    for key in ("images", "splits", "views", "ignored", "unreadable", "multi_label"):
        assert told[key] == wanted[key], key
    if wanted["sexes"]:
        assert told["sexes"] == wanted["sexes"]
