"""DICOM files as devices, archives and careless programs write them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

RAMP = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
"""What every test file shows: dark at the left, bright at the right."""


def header(stored: np.ndarray[Any, Any] | None, *, bits: int = 12, inverted: bool = False, **tags: object) -> Dataset:
    """A dataset without compression; `stored` values of None make it a report. `tags` are set as they are."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.SOPClassUID = uid.BasicTextSRStorage if stored is None else uid.DigitalXRayImageStorageForPresentation
    made.SOPInstanceUID, made.StudyInstanceUID, made.SeriesInstanceUID = (uid.generate_uid() for _ in range(3))
    made.PatientID = made.PatientName = made.AccessionNumber = ""
    made.Modality = "SR" if stored is None else "DX"
    if stored is not None:
        made.ImageType, made.SamplesPerPixel = ["ORIGINAL", "PRIMARY"], 1 if stored.ndim == 2 else 3
        made.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2" if stored.ndim == 2 else "RGB"
        if stored.ndim == 3:
            made.PlanarConfiguration = 0
        made.BitsAllocated, made.BitsStored, made.HighBit = 8 * stored.dtype.itemsize, bits, bits - 1
        made.PixelRepresentation = int(stored.dtype.kind == "i")
        made.Rows, made.Columns = stored.shape[:2]
        made.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
        made["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    with pydicom.config.disable_value_validation():
        for name, value in tags.items():
            setattr(made, name, value)
    return made


def deep(grey: np.ndarray[Any, Any] = RAMP, bits: int = 12) -> np.ndarray[Any, Any]:
    """Grey levels of 8 bits as values of more."""
    return np.rint(grey.astype(float) * ((2**bits - 1) / 255)).astype(np.uint16)


def content_of(made: Dataset) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    with pydicom.config.disable_value_validation():
        made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write_dicom(path: Path, grey: np.ndarray[Any, Any] | None = RAMP, *, bits: int = 12, **options: Any) -> Path:
    """Write grey levels as a file of 12 bits in 16, turned over where it is `inverted`; None makes a report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = None if grey is None else 255 - grey if options.get("inverted") else grey
    stored = None if shown is None else shown if bits == 8 else deep(shown, bits)
    path.write_bytes(content_of(header(stored, bits=bits, **options)))
    return path


def jpeg_in_dicom(grey: np.ndarray[Any, Any], stream: bytes | None = None) -> Dataset:
    """A dataset whose pixels are packed as baseline JPEG; `stream` takes the place of theirs."""
    made, buffer = header(grey, bits=8), io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=100)
    made.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    made.PixelData = encapsulate([buffer.getvalue() if stream is None else stream])
    made["PixelData"].VR = "OB"
    return made


def draw(seed: int, side: int = 48) -> np.ndarray[Any, Any]:
    """A picture of its own for each seed: a ramp with blobs and noise."""
    chance = np.random.default_rng(seed)
    coarse = Image.fromarray(chance.integers(0, 256, (6, 6), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(coarse) // 2 + np.linspace(0, 127, side).astype(np.uint8)[None, :]
