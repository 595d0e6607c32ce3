"""A hospital's DICOM from scan to unmerge, and no patient's identifier in anything that leaves the state folder."""

import json
import re

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from tests.support.cli_process import apart, tree_hash
from tests.support.dicom_files import draw, write_dicom
from tests.support.layouts import write_table
from tests.support.tiny_models import write_pipeline

pytestmark = pytest.mark.slow
COUNTS = {"normal": 36, "mass": 14}
PLANTED = re.compile(
    rb"zebra|ANNA|77\d\d0042|19991224|1999-12-24|19530417|1\.2\.826\.99887766|MRN-\d+|Streifen", re.IGNORECASE
)
SCAN = ("scan", "xrays", "--labels", "labels.csv", "--columns", "file=dicom:AccessionNumber label=label mrn=MRN")
FILL = ("fill", "--target", "mass=14", "--model", "base", "--steps", "2", "--batch-size", "2", "--size", "32")
STEPS = {
    "scan": SCAN,
    "deep": ("scan", "xrays", "--deep"),
    "json": ("scan", "xrays", "--json"),
    "split": ("split", "--test", "0.2", "--json"),
    "fill": (*FILL, "--mode", "text=0.5,mix=0.5", "--accept-unscreened"),
    "merge": ("merge",),
    "verify": ("verify", "xrays-balanced", "--json"),
    "verify-dicom": ("verify", "xrays-balanced-dicom", "--json"),
    "compare": ("compare", "--quick", "--seeds", "2", "--steps", "2", "--size", "16", "--force"),
    "report": ("report",),
}


def hospital(root):
    """Files without a word of whom they show, in folders by number; two images a patient and a report for some."""
    rows, number = [["AccessionNumber", "StudyDate", "MRN", "label"]], 0
    for label, count in COUNTS.items():
        for _ in range(count):
            patient, accession = f"ZEBRA{number // 2:04}", f"77{number:02}0042"
            tags = {
                **{"PatientID": patient, "PatientName": f"ZEBRA^ANNA{number // 2}", "PatientBirthDate": "19530417"},
                **{"AccessionNumber": accession, "StudyDate": "19991224", "InstitutionName": "Streifen Hospital"},
                **{"PatientSex": "FM"[number // 2 % 2], "PatientAge": "046Y", "ViewPosition": "PA"},
                **{name: f"1.2.826.99887766.{kind}.{number}" for kind, name in enumerate(UIDS, start=1)},
            }
            picture = draw(number) if label == "normal" else np.flipud(draw(number))
            write_dicom(root / f"{number // 10}" / f"IM{number:04}", picture, inverted=number % 3 == 0, **tags)
            rows.append([accession, "1999-12-24", f"MRN-{number}", label])
            number += 1
    write_dicom(root / "0" / "SR0001", None, AccessionNumber="77000042", PatientID="ZEBRA0000")
    write_table(root.parent / "labels.csv", rows)


UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hospital")
    hospital(folder / "xrays")
    write_pipeline(folder / "base")
    return folder


@pytest.fixture(scope="module")
def done(work):
    before, found = tree_hash(work / "xrays"), {}
    for name, arguments in STEPS.items():
        found[name] = apart(work, *arguments)
        assert found[name].returncode == 0, (name, found[name].stderr[-2000:])
    assert tree_hash(work / "xrays") == before
    train = work / "xrays-balanced" / "train"
    for name, pattern in {"explain": "syn-*.png", "explain-real": "IM*.png"}.items():
        found[name] = apart(work, "explain", str(next(train.rglob(pattern)).relative_to(work)))
    return found


def test_the_collection_is_read_with_its_headers(done):
    found = json.loads(done["json"].stdout)
    assert {label: each["images"]["all"] for label, each in found["classes"].items()} == COUNTS
    assert (found["patients"]["count"], found["ignored"]) == (25, {"no_pixels": 1})
    assert found["sexes"] == {"F": 26, "M": 24}


def test_the_balanced_folder_holds_png_that_loaders_read(work, done):
    out = work / "xrays-balanced"
    assert {path.suffix for path in out.rglob("*") if path.is_file()} == {".png", ".parquet", ".csv", ".md", ".json"}
    images = list(out.rglob("*.png"))
    assert {Image.open(path).mode for path in images} == {"L"}
    assert len(images) == sum(COUNTS.values()) + synthetic_of(out)
    assert json.loads(done["verify"].stdout) == []


def synthetic_of(out):
    return int(sum(pd.read_parquet(path)["is_synthetic"].sum() for path in out.rglob("metadata.parquet")))


def test_the_same_lies_beside_it_as_secondary_captures(work, done):
    out = work / "xrays-balanced-dicom"
    found = {path: pydicom.dcmread(path) for path in out.rglob("*.dcm")}
    assert len(found) == len(list((work / "xrays-balanced").rglob("*.png")))
    assert {each.SyntheticData for path, each in found.items() if path.name.startswith("syn-")} == {"YES"}
    assert {each.SyntheticData for path, each in found.items() if not path.name.startswith("syn-")} == {"NO"}
    assert len({each.SOPInstanceUID for each in found.values()}) == len(found)
    for path, each in found.items():
        png = work / "xrays-balanced" / path.relative_to(out).with_suffix(".png")
        np.testing.assert_array_equal(each.pixel_array, np.asarray(Image.open(png)))
    assert json.loads(done["verify-dicom"].stdout) == []


def test_explain_says_that_a_real_image_is_no_copy_of_its_file(done):
    assert "its pixels alone, as PNG of 8 bits" in done["explain-real"].stdout
    assert "synthetic" in done["explain"].stdout


def test_no_identifier_is_in_any_output(done):
    told = {name: PLANTED.findall((each.stdout + each.stderr).encode()) for name, each in done.items()}
    assert {name: found for name, found in told.items() if found} == {}


def test_no_identifier_is_in_any_file_or_name_outside_the_state_folder(work, done):
    tops = ("xrays-balanced", "xrays-balanced-dicom", ".balance/reports", ".balance/candidates")
    files = [path for top in tops for path in (work / top).rglob("*") if path.is_file()]
    assert len(files) > 100
    told = {str(path.relative_to(work)): PLANTED.findall(plain(path)) for path in files}
    assert {path: found for path, found in told.items() if found} == {}
    assert not [path for path in files if PLANTED.search(str(path.relative_to(work)).encode())]


def plain(path):
    return pd.read_parquet(path).to_csv().encode() if path.suffix == ".parquet" else path.read_bytes()


def test_pseudonyms_hold_the_patients_together_and_are_the_same_everywhere(work, done):
    rows = pd.concat(pd.read_parquet(path) for path in (work / "xrays-balanced").rglob("metadata.parquet"))
    real = rows[~rows["is_synthetic"]]
    assert real["patient"].str.fullmatch(r"anon-[0-9a-f]{16}").all()
    assert sorted(real["patient"].value_counts()) == [2] * 25
    captures = [pydicom.dcmread(path) for path in (work / "xrays-balanced-dicom").rglob("IM*.dcm")]
    assert {each.PatientID for each in captures} == set(real["patient"])
    again = apart(work, *SCAN, "--json")
    assert again.stdout == done["json"].stdout


def test_everything_made_comes_out_again(work, done):
    for name in ("xrays-balanced", "xrays-balanced-dicom"):
        assert apart(work, "unmerge", name).returncode == 0
        left = [path for path in (work / name).rglob("*") if path.is_file()]
        assert len(left) == sum(COUNTS.values())
        assert not [path for path in left if path.name.startswith("syn-")]
