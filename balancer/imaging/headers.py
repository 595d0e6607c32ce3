"""Headers of many files: a quick look at the usual PNG and JPEG, Pillow for all others."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from balancer.errors import ImageError
from balancer.imaging.decode import Header, read_header
from balancer.imaging.decode_limits import is_too_large
from balancer.imaging.dicom import is_dicom, read_dicom_header
from balancer.imaging.safe_open import open_plainly, unreadable

_HEAD = 4_096  # bytes; the header of most files ends long before
_PNG_MODES = {(1, 0): "1", (8, 0): "L", (8, 2): "RGB", (8, 3): "P", (8, 4): "LA", (8, 6): "RGBA", (16, 0): "I;16"}
_IHDR = struct.Struct(">4sIIBBBBBI")
_JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_UPRIGHT, _ORIENTATION = 1, 0x0112
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


Row = tuple[str, str, int, int, int, str | None, int]
"""The fields of a `Header`, where asked for the SHA-256 of the content, and the orientation (`orientation_of`)."""


def read_headers(root: Path, wanted: Iterable[tuple[str, bool]]) -> Iterator[Row | ImageError]:
    """Read files in the order of `wanted`: a path relative to `root`, and whether its content is to be hashed too.

    A file that is no image gives its error. One thread: on a local disk, most of the time is Python's own work.
    """
    folder = str(root)
    return (_read(f"{folder}/{path}", hashed) for path, hashed in wanted)


def quick_header(head: bytes) -> Header | None:
    """The header of a usual PNG or JPEG from its first bytes; `None` for all that needs a closer look.

    It says what Pillow says, in a tenth of the time (PNG: ISO/IEC 15948; JPEG: ITU-T T.81, annex B).

    >>> quick_header(b"no image") is None
    True
    """
    found = _quick_look(head)
    return found and found[0]


def _quick_look(head: bytes) -> tuple[Header, int] | None:
    """The header, and where EXIF's fields start; -1 where there are none before the pixels."""
    try:
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            found = _png(head)
        else:
            found = _jpeg(head) if head.startswith(b"\xff\xd8\xff") else None
        return None if found is None or is_too_large(found[0].width, found[0].height) else found
    except (struct.error, IndexError):  # it goes on beyond these bytes
        return None


def _png(head: bytes) -> tuple[Header, int] | None:
    name, width, height, bits, colour, *rest, checksum = _IHDR.unpack_from(head, 12)
    mode = _PNG_MODES.get((bits, colour))
    if name != b"IHDR" or not (mode and width and height) or zlib.crc32(head[12:29]) != checksum or any(rest[:2]):
        return None
    at, exif = 33, -1
    while (kind := head[at + 4 : at + 8]) != b"IDAT":
        if kind in (b"acTL", b"IEND") or not kind.isalpha():  # several frames, or none
            return None
        exif = at + 8 if kind == b"eXIf" else exif
        at += 12 + int.from_bytes(head[at : at + 4])
    return Header("PNG", mode, bits, width, height), exif


def _jpeg(head: bytes) -> tuple[Header, int] | None:
    at, exif = 2, -1
    while True:
        start, marker, length = struct.unpack_from(">BBH", head, at)
        if start != 0xFF or not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xDA:
            return None
        if marker == 0xE2 and head[at + 4 : at + 8] == b"MPF\0":  # several pictures in one file
            return None
        if marker in _JPEG_FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", head, at + 4)
            mode = _JPEG_MODES.get(channels)
            return (Header("JPEG", mode, 8, width, height), exif) if mode and bits == 8 and width and height else None
        if marker == 0xE1 and head[at + 4 : at + 10] == b"Exif\0\0":
            exif = at + 10
        at += 2 + length


def orientation_of(head: bytes) -> int:
    """How EXIF says that a JPEG or PNG is to be turned (1 to 8), from its first bytes; 1 where it says nothing.

    >>> field = bytes([1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0])
    >>> orientation_of(b"\\xff\\xd8\\xff\\xe1..Exif\\0\\0II*\\0\\x08\\0\\0\\0" + field)
    6
    """
    mark = b"eXIf" if head.startswith(b"\x89PNG") else b"Exif\0\0"
    start = head.find(mark) if head.startswith((b"\x89PNG", b"\xff\xd8\xff")) else -1
    return _UPRIGHT if start < 0 else _orientation_in(head[start + len(mark) :])


def _orientation_in(told: bytes) -> int:
    order = _BYTE_ORDERS.get(told[:4])
    if order is None:
        return _UPRIGHT
    try:
        (at,) = struct.unpack_from(f"{order}I", told, 4)
        (count,) = struct.unpack_from(f"{order}H", told, at)
        fields = (struct.unpack_from(f"{order}HHIH", told, at + 2 + 12 * number) for number in range(count))
        value: int = next((value for tag, _, _, value in fields if tag == _ORIENTATION), _UPRIGHT)
    except struct.error:  # it goes on beyond these bytes
        return _UPRIGHT
    return value if _UPRIGHT <= value <= 8 else _UPRIGHT


def _read(path: str, hashed: bool) -> Row | ImageError:
    try:
        file = open_plainly(path)  # `open` takes half as long again
        try:
            head = os.read(file, _HEAD)
            header, exif = _quick_look(head) or (None, 0)
            sha256 = _digest(head, file) if hashed else None
        finally:
            os.close(file)
        if header is None:
            header = (read_dicom_header if is_dicom(head) else read_header)(Path(path))
            orientation = orientation_of(head)
        else:
            orientation = _UPRIGHT if exif < 0 else _orientation_in(head[exif:])
    except ImageError as error:
        return error
    except ValueError as error:
        return unreadable(Path(path), error)
    except OSError as error:
        return ImageError(
            needed="a file that you have permission to read",
            found=f"{Path(path).name}: {error.strerror}",
            next_step="correct its permissions, or remove it from the collection, then: balance scan FOLDER",
        )
    return header.format, header.mode, header.bits, header.width, header.height, sha256, orientation


def _digest(piece: bytes, file: int) -> str:
    digest = hashlib.sha256(piece)
    while len(piece) >= _HEAD and (piece := os.read(file, 1 << 20)):
        digest.update(piece)
    return digest.hexdigest()
