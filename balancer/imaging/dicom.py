"""DICOM files: what headers tell, and the first frame as a grey array."""

from __future__ import annotations

import io
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from balancer.errors import ImageError, NotAnImage
from balancer.imaging.decode_limits import MAX_INFLATED_BYTES, require_scans, require_size
from balancer.imaging.dicom_display import Values, to_grey
from balancer.imaging.dicom_streams import stream_size
from balancer.imaging.grey import GreyImage, Header
from balancer.imaging.safe_open import Budget, open_plainly, unreadable

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PREAMBLE = 132
"""Bytes that tell a DICOM file."""
FORMAT = "DICOM"
KEYWORDS = (
    *("PatientID", "PatientSex", "PatientAge", "ViewPosition", "BodyPartExamined", "ImageLaterality", "Laterality"),
    *("Manufacturer", "Modality", "BurnedInAnnotation", "ImageType", "ConversionType", "SOPClassUID"),
    *("PhotometricInterpretation", "PresentationLUTShape", "NumberOfFrames", "Rows", "Columns", "BitsStored"),
    *("AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyID"),
)
"""What is read of a header unless another is asked for."""
_OF_IMAGES = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "SamplesPerPixel", "PhotometricInterpretation", "SOPClassUID"),
)
_EXPLICIT, _DEFLATED = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.1.99"
_ASN1 = b"\x30"  # what a file begins with that is encrypted as a whole (PS3.15)
_PIXEL = 8  # bytes of one at most
_EXTENDED = "1.2.840.10008.1.2.4.51"
_DECODERS = {
    "1.2.840.10008.1.2.4.50": ("pillow", "gdcm"),
    _EXTENDED: ("pillow", "gdcm"),
    "1.2.840.10008.1.2.4.57": ("gdcm", "pylibjpeg"),
    "1.2.840.10008.1.2.4.70": ("gdcm", "pylibjpeg"),
    "1.2.840.10008.1.2.4.80": ("pyjpegls", "gdcm"),
    "1.2.840.10008.1.2.4.81": ("pyjpegls", "gdcm"),
    "1.2.840.10008.1.2.4.90": ("pylibjpeg", "pillow"),
    "1.2.840.10008.1.2.4.91": ("pylibjpeg", "pillow"),
    "1.2.840.10008.1.2.4.201": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.202": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.203": ("pylibjpeg",),
    "1.2.840.10008.1.2.5": ("pydicom",),
}
"""Decoders of a compressed transfer syntax, the first that is there is taken: the same bytes on every machine."""
_PACKAGES = {
    _EXTENDED: "pylibjpeg-libjpeg for its 12 bits, which is under the GPL",
    "1.2.840.10008.1.2.4.57": "python-gdcm",
    "1.2.840.10008.1.2.4.70": "python-gdcm",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg and pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg and pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.201": "pylibjpeg and pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.202": "pylibjpeg and pylibjpeg-openjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg and pylibjpeg-openjpeg",
}
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


@dataclass(frozen=True, slots=True)
class Tags:
    """What a header tells, by keyword, as text; what is blank or absent is left out.

    `kind` is the name of what the file is, such as "Digital X-Ray Image Storage - For Presentation".
    """

    values: dict[str, str]
    kind: str
    has_pixels: bool

    @property
    def is_other(self) -> bool:
        """Whether it is of a kind that holds no image: a report, a presentation state, a PDF."""
        return "Rows" not in self.values and _holds_no_image(self.kind)


def is_dicom(head: bytes) -> bool:
    r"""Whether the first bytes of a file are those of DICOM: with a preamble, or, as old ones, without.

    >>> is_dicom(bytes(128) + b"DICM"), is_dicom(b"\x08\0\x05\0CS\x0a\0ISO_IR 100"), is_dicom(b"\x89PNG\r\n\x1a\n")
    (True, True, False)
    """
    if head[128:132] == b"DICM":
        return True
    if head[:2] not in (b"\x02\0", b"\x08\0") or len(head) < 8:
        return False
    number, length = struct.unpack_from("<H", head, 2)[0], struct.unpack_from("<I", head, 4)[0]
    is_explicit = head[4:6].isalpha() and head[4:6].isupper()
    return number < 0x100 and (is_explicit or length < PREAMBLE)


def starts_as_dicom(path: str | Path) -> bool:
    """Whether a file is DICOM by its first bytes; False where it cannot be read."""
    try:
        file = open_plainly(path)
        try:
            return is_dicom(os.read(file, PREAMBLE))
        finally:
            os.close(file)
    except (OSError, ValueError):
        return False


def read_tags(path: str | Path, keywords: Sequence[str] = ()) -> Tags:
    """What a header tells of the `KEYWORDS` and some more; its pixels are not read.

    Raises:
        ImageError: it cannot be read.
    """
    with _opened(Path(path), (*KEYWORDS, *keywords)) as (header, _, has_pixels):
        texts = ((keyword, _text(header, keyword)) for keyword in (*KEYWORDS, *keywords))
        return Tags({keyword: text for keyword, text in texts if text}, _kind(header), has_pixels)


def read_dicom_header(path: Path) -> Header:
    """Format, photometric interpretation, stored bits and size.

    Raises:
        ImageError: it cannot be read, or holds no image.
    """
    with _opened(path, _OF_IMAGES) as (header, file, has_pixels):
        width, height = _size(header)
        if not has_pixels:
            raise ValueError("no pixels: the header describes an image that the file lacks")
        _require_whole(header, file)
        bits = int(header.get("BitsStored", 8))
        return Header(FORMAT, str(header.get("PhotometricInterpretation", "")), bits, width, height)


def read_dicom_grey(path: Path) -> GreyImage:
    """The first frame as shape (rows, columns), bone bright, by rescale, window, padding and polarity.

    Raises:
        ImageError: it cannot be read, holds no image, or is packed in a way that cannot be decoded.
    """
    with _opened(path) as (header, file, _):
        _size(header)
        return to_grey(_first_frame(header, file), header)


def read_private(path: Path, group: int, creator: str, place: int) -> bytes | None:
    """The bytes of a private element; None where there is none of its creator.

    Raises:
        ImageError: the file cannot be read.
    """
    with _opened(path) as (header, _, _):
        block = next((header[group, at] for at in range(0x10, 0x100) if (group, at) in header), None)
        if block is None or block.value != creator:
            return None
        found = header.get((group, block.tag.element << 8 | place))
        return bytes(found.value) if found is not None and isinstance(found.value, bytes) else None


def shape_contradicts(tags: Tags) -> bool:
    """Whether the Presentation LUT Shape says another polarity than the photometric interpretation.

    >>> told = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}
    >>> shape_contradicts(Tags(told, "", True))
    True
    """
    interpretation, shape = (tags.values.get(name) for name in ("PhotometricInterpretation", "PresentationLUTShape"))
    wrong = {"MONOCHROME1": "IDENTITY", "MONOCHROME2": "INVERSE"}
    return shape is not None and wrong.get(interpretation or "") == shape.upper()


def is_derived(tags: Tags) -> bool:
    """Whether it is a secondary capture, or made from another image, so that its values are not the device's.

    >>> is_derived(Tags({"ImageType": "DERIVED\\\\PRIMARY"}, "", True))
    True
    """
    parts = tags.values.get("ImageType", "").upper().split("\\")
    return "Secondary Capture" in tags.kind or parts[0] == "DERIVED" or "SECONDARY" in parts[1:2]


@contextmanager
def _opened(path: Path, keywords: tuple[str, ...] = ()) -> Iterator[tuple[Dataset, Budget, bool]]:
    """The header, the file at its pixels, and whether there are any; what goes wrong meanwhile is an ImageError."""
    try:
        with os.fdopen(open_plainly(path), "rb") as raw:
            head = raw.read(4096)
            if not is_dicom(head):
                raise ValueError(f"no DICOM data in it{', it may be encrypted' if head[:1] == _ASN1 else ''}")
            raw.seek(0)
            file = Budget(_inflated(raw.read()) if _DEFLATED in head else raw, path.name)
            header = _library().dcmread(file, stop_before_pixels=True, force=True, specific_tags=_tags(keywords))
            place = file.tell()
            has_pixels = bool(file.read(1))
            file.seek(place)
            yield header, file, has_pixels
    except ImageError:
        raise
    except Exception as error:  # pydicom and its decoders raise anything on damaged files, RecursionError too
        raise unreadable(path, error) from error


@cache
def _library() -> Any:
    """pydicom, which warns of every value against the standard: files that hold such are read all the same."""
    import pydicom

    warnings.filterwarnings("ignore", module=r"pydicom|balancer\.imaging\.dicom")
    for name in ("pydicom", "pylibjpeg", "openjpeg"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return pydicom


@cache
def _tags(keywords: tuple[str, ...]) -> list[Any] | None:
    """Keywords as numbers, since to look them up takes as long as to read a header; None for all there are."""
    from pydicom.tag import Tag

    return [Tag(keyword) for keyword in keywords] or None


def _inflated(content: bytes) -> BinaryIO:
    """A deflated file as it would be without (PS3.5 A.5).

    Raises:
        ValueError: it would take too much memory.
    """
    (length,) = struct.unpack_from("<I", content, 140)  # of the file's meta information, which is not deflated
    start = 144 + length
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    rest = inflater.decompress(content[start:], MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise ValueError(f"too large: more than {MAX_INFLATED_BYTES:,} bytes when inflated")
    return io.BytesIO(content[:start].replace(_DEFLATED, _EXPLICIT.ljust(len(_DEFLATED), b"\0")) + rest)


def _size(header: Dataset) -> tuple[int, int]:
    """Width and height.

    Raises:
        NotAnImage: a file of another kind.
        ValueError: the header ends before, or says more than is decoded.
    """
    rows, columns = header.get("Rows"), header.get("Columns")
    if rows and columns:
        require_size(int(columns), int(rows))
        return int(columns), int(rows)
    kind = _kind(header)
    if not _holds_no_image(kind):
        raise ValueError("truncated: its header ends before the size of the image")
    raise NotAnImage(
        needed="a DICOM file with an image",
        found=f"a file without pixels: {kind}",
        next_step="none needed: balance scan DATA leaves such files out",
    )


def _first_frame(header: Dataset, file: Budget) -> Values:
    """The stored values of the first frame, colours as RGB.

    Raises:
        ValueError: nothing that can be decoded, or another size than the header says.
    """
    from pydicom.pixels.utils import pixel_array

    place, (width, height) = file.tell(), _size(header)
    _require_whole(header, file)
    file.allow(width * height * _PIXEL)
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        file.seek(0)
        return _of_bare_file(_library().dcmread(file, force=True))
    decoder = "" if syntax in _NATIVE else _decoder(syntax, int(header.get("BitsStored", 8)))
    if decoder:
        _require_same_size(header, file, place)
    file.seek(0)
    return pixel_array(file, index=0, decoding_plugin=decoder)  # type: ignore[arg-type]  # all that it calls is there


def _of_bare_file(header: Dataset) -> Values:
    """The first frame of a file without meta information, whose encoding was found by trying."""
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if header.is_implicit_VR else ExplicitVRLittleEndian
    return pixel_array(header, index=0)


def _require_whole(header: Dataset, file: Budget) -> None:
    """Refuse a file without compression that ends before its first frame does."""
    if header.file_meta.get("TransferSyntaxUID", _NATIVE[0]) not in _NATIVE:
        return
    place, (width, height) = file.tell(), _size(header)
    needed = width * height * int(header.get("SamplesPerPixel", 1)) * int(header.get("BitsAllocated", 8)) // 8
    there = file.seek(0, os.SEEK_END) - place
    file.seek(place)
    if there < needed:
        raise ValueError(f"truncated: {there:,} of {needed:,} bytes of pixels are there")


def _decoder(syntax: Any, bits: int) -> str:
    """The decoder of a compressed transfer syntax.

    Raises:
        ValueError: there is none; it names the package that is missing.
    """
    from pydicom.pixels.decoders.base import get_decoder

    known = ("pylibjpeg",) if syntax == _EXTENDED and bits > 8 else _DECODERS.get(syntax, ())
    there = get_decoder(syntax).available_plugins if known else ()
    for plugin in known:
        if plugin in there:
            return plugin
    package = _PACKAGES.get(syntax)
    needed = f"pip install {package}" if package else "no supported package decodes it"
    raise ValueError(f"compressed as {getattr(syntax, 'name', syntax)}, which cannot be decoded ({needed})")


def _require_same_size(header: Dataset, file: Budget, place: int) -> None:
    """Refuse a stream that is larger than the header says, or of so many passes that it would be decoded for hours."""
    from pydicom.encaps import get_frame

    file.seek(place + 12)  # tag, representation, two bytes, length: a compressed file always has these four
    frames = int(header.get("NumberOfFrames") or 1)
    frame = get_frame(file, 0, number_of_frames=frames)
    found, told = stream_size(frame), _size(header)
    if found is not None and found != told:
        raise ValueError(f"damaged: {told[0]} x {told[1]} pixels by its header, {found[0]} x {found[1]} in the stream")
    if frame.startswith(b"\xff\xd8"):
        require_scans(frame)


def _kind(header: Dataset) -> str:
    """The name of what a file is, "" where it does not say, or nothing that the standard knows."""
    name = str(getattr(header.get("SOPClassUID"), "name", ""))
    return "" if name[:1].isdigit() else name


def _holds_no_image(kind: str) -> bool:
    return bool(kind) and "Image Storage" not in kind


def _text(header: Dataset, keyword: str) -> str:
    """The value of a keyword, several with a backslash between; "" where there is none that can be read."""
    try:
        value = header.get(keyword)
        parts = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
        return "\\".join(str(part) for part in parts if part is not None).strip().strip("\0").strip()
    except Exception:  # a value that is none of its kind
        return ""
