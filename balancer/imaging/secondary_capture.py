"""Grey images to DICOM secondary captures that name no patient, and what such a file says of its own origin."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from balancer.imaging.dicom import read_private
from balancer.imaging.grey import GreyImage

CREATOR, _GROUP, _PLACE = "XRAY-BALANCER", 0x0099, 0x01
"""The private block that holds the XMP packet, as other formats do."""
_SYNTHETIC, _FROM_FILE = "SYN", "WSD"
_BLANK = (
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID", "PatientBirthDate"),
    *("PatientSex", "SeriesNumber", "PatientOrientation", "Laterality"),
)
"""What the standard wants to be there, empty where it is not to be known."""


def secondary_capture(grey: GreyImage, *, name: str, patient: str | None, xmp: bytes | None) -> bytes:
    """The bytes of a DICOM file of 8 bits, shape (rows, columns); the same for the same arguments.

    `name` is what its unique identifiers are made from, `patient` a pseudonym. With `xmp` it is synthetic, and says so
    (PS3.3 C.12.1: Synthetic Data); without, it is an image of a patient without anything that says whose.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = SecondaryCaptureImageStorage
    made.SOPInstanceUID, made.SeriesInstanceUID = unique_id("image", name), unique_id("series", name)
    made.StudyInstanceUID = unique_id("study", patient or name)
    for keyword in _BLANK:
        setattr(made, keyword, "")
    made.PatientID = patient or unique_id("patient", name)[-16:]
    made.PatientName = f"{made.PatientID}^"
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = "Header left out; identifiers are keyed pseudonyms"
    made.Modality, made.ConversionType, made.InstanceNumber = "OT", _SYNTHETIC if xmp else _FROM_FILE, 1
    made.ImageType, made.SyntheticData = ["DERIVED", "SECONDARY"], "YES" if xmp else "NO"
    made.Manufacturer = "balance"
    _set_pixels(made, grey)
    if xmp:
        made.private_block(_GROUP, CREATOR, create=True).add_new(_PLACE, "OB", xmp + b" " * (len(xmp) % 2))
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def read_capture_xmp(path: Path) -> bytes | None:
    """The XMP packet of a secondary capture that was made here; None where there is none.

    Raises:
        ImageError: the file cannot be read.
    """
    return read_private(path, _GROUP, CREATOR, _PLACE)


def unique_id(kind: str, name: str) -> str:
    """A unique identifier from a name (PS3.5 B.2): always the same, and it tells nothing of the name.

    >>> unique_id("image", "a") == unique_id("image", "a") != unique_id("series", "a")
    True
    >>> unique_id("image", "a").startswith("2.25.")
    True
    """
    digest = hashlib.sha256(f"balance\\0{kind}\\0{name}".encode(errors="replace")).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"


def _set_pixels(made: Any, grey: GreyImage) -> None:
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = grey.shape
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = grey.tobytes() + b"\0" * (grey.size % 2)
    made["PixelData"].VR = "OB"
