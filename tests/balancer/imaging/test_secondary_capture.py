import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from balancer.dataset.xmp import make_xmp, read_provenance
from balancer.imaging.decode import Header, read_grey, read_header, read_xmp
from balancer.imaging.secondary_capture import secondary_capture
from tests.support.dicom_files import draw, write_dicom

GREY = draw(3, side=33)
XMP = make_xmp("nodule", None)


@pytest.fixture(params=[XMP, None], ids=["synthetic", "real"])
def made(request, tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(secondary_capture(GREY, name="train/x/a", patient="anon-0123456789abcdef", xmp=request.param))
    return path, request.param


def test_pixels_and_provenance_come_back(made):
    path, xmp = made
    np.testing.assert_array_equal(read_grey(path), GREY)
    assert read_header(path) == Header("DICOM", "MONOCHROME2", 8, 33, 33)
    assert (read_xmp(path) or b"").strip() == (xmp or b"").strip()
    assert (read_provenance(path) is not None) == (xmp is not None)


def test_it_says_whether_it_is_synthetic_and_names_nobody(made):
    path, xmp = made
    found = pydicom.dcmread(path)
    assert (found.SyntheticData, found.PatientIdentityRemoved) == ("YES" if xmp else "NO", "YES")
    assert found[0x0008, 0x001C].keyword == "SyntheticData"
    assert (found.PatientID, found.ConversionType) == ("anon-0123456789abcdef", "SYN" if xmp else "WSD")
    for keyword in ("PatientBirthDate", "StudyDate", "AccessionNumber", "ReferringPhysicianName"):
        assert not found[keyword].value


def test_identifiers_are_new_and_the_bytes_always_the_same(made):
    path, xmp = made
    again = secondary_capture(GREY, name="train/x/a", patient="anon-0123456789abcdef", xmp=xmp)
    assert path.read_bytes() == again
    other = pydicom.dcmread(path)
    beside = path.with_name("b.dcm")
    beside.write_bytes(secondary_capture(GREY, name="train/x/b", patient="anon-0123456789abcdef", xmp=xmp))
    found = pydicom.dcmread(beside)
    assert found.SOPInstanceUID != other.SOPInstanceUID
    assert found.StudyInstanceUID == other.StudyInstanceUID  # of one patient


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy of dicom3tools is not installed")
def test_it_conforms_to_the_standard(made):
    done = subprocess.run(["dciodvfy", str(made[0])], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Error" not in done.stdout + done.stderr


def test_other_dicom_says_nothing_of_its_origin(tmp_path):
    assert read_provenance(write_dicom(tmp_path / "a.dcm")) is None
