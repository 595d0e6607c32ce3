"""Balanced folders of DICOM collections, without a generator: what is made of the originals alone."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from balancer.collection.scan import scan
from balancer.dataset.merge import merge, unmerge
from balancer.dataset.metadata_files import read_rows, require_manifest
from balancer.dataset.verify import verify
from balancer.errors import CollectionError, OutputError
from balancer.files import sha256_of
from balancer.imaging.decode import read_grey
from balancer.workspace.output_forms import output_forms
from tests.support.dicom_files import draw, write_dicom
from tests.support.tiny_models import write_xrays


@pytest.fixture
def clinic(tmp_path):
    """Two classes of DICOM; in one a PNG has the name of a DICOM file but for its suffix."""
    root = tmp_path / "x"
    for place, label in enumerate(("mass", "normal")):
        for number in range(4):
            tags = {"PatientID": f"ZEBRA{place}{number // 2}", "AccessionNumber": "770042"}
            write_dicom(root / label / f"{number}.dcm", draw(10 * place + number), **tags)
    write_dicom(root / "mass" / "1.2.840", draw(30), PatientID="ZEBRA00")
    Image.fromarray(draw(40)).save(root / "mass" / "0.png")
    return scan(root)


NAMES = {
    "png": ["mass/0.dcm.png", "mass/0.png", "mass/1.2.840.png", "mass/1.png", "mass/2.png", "mass/3.png"],
    "dicom": ["mass/0.dcm.dcm", "mass/0.png.dcm", "mass/1.2.840.dcm", "mass/1.dcm", "mass/2.dcm", "mass/3.dcm"],
}


@pytest.mark.parametrize("form", NAMES)
def test_pixels_stay_and_headers_do_not(clinic, tmp_path, form):
    out = tmp_path / "out"
    report = merge(clinic, None, [], out, facts={}, form=form)
    assert (report.originals, report.rebuilt) == (10, True)
    rows = read_rows(out, require_manifest(out))
    assert sorted(path for path in rows if path.startswith("mass")) == NAMES[form]
    by_hash = {sha256_of(clinic.root / path): clinic.root / path for path in clinic.images.index}
    for path, row in rows.items():
        np.testing.assert_array_equal(read_grey(out / path), read_grey(by_hash[row.collection_sha256]))
        assert b"770042" not in (out / path).read_bytes()
    assert verify(out) == ()


@pytest.mark.parametrize("form", NAMES)
def test_a_merge_that_changes_nothing_writes_nothing_and_can_be_undone(clinic, tmp_path, form):
    out = tmp_path / "out"
    merge(clinic, None, [], out, facts={}, form=form)
    assert not merge(clinic, None, [], out, facts={}, form=form).rebuilt
    assert unmerge(out) == 0
    assert len([path for path in out.rglob("*") if path.is_file()]) == 10


def test_secondary_captures_of_real_images_say_that_they_are_not_synthetic(clinic, tmp_path):
    merge(clinic, None, [], tmp_path / "out", facts={}, form="dicom")
    found = [pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    assert {each.SyntheticData for each in found} == {"NO"}
    assert len({each.SOPInstanceUID for each in found}) == 10
    assert len({each.StudyInstanceUID for each in found if each.PatientID.startswith("ZEBRA")}) == 4


def test_an_original_that_cannot_be_decoded_any_more_stops_the_merge(clinic, tmp_path):
    path = clinic.root / "mass" / "1.dcm"
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes(len(content) - 200))
    with pytest.raises(CollectionError, match=r"mass/1\.dcm"):
        merge(clinic, None, [], tmp_path / "out", facts={})


def test_dicom_is_written_in_both_forms_and_others_as_they_are(clinic, tmp_path):
    place = Path("out")
    both = [(place, "png"), (Path("out-dicom"), "dicom")]
    assert output_forms(clinic, place, None) == output_forms(clinic, place, "both") == both
    assert output_forms(clinic, place, "dicom") == [(place, "dicom")]
    others = scan(write_xrays(tmp_path / "y", {"A": 2, "B": 2}))
    assert output_forms(others, place, None) == [(place, "png")]
    with pytest.raises(OutputError, match="a DICOM collection for --format both"):
        output_forms(others, place, "both")
