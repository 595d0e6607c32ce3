"""How large an image is by its compressed stream: a small header may lie before a stream that fills all memory."""

from __future__ import annotations

import struct

_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xF7))
_BARE = frozenset((0x01, 0xFF, *range(0xD0, 0xD9)))  # markers without a length
_J2K, _SIZ = b"\xff\x4f", 0x51
_BOX = b"\0\0\0\x0cjP  "


def stream_size(stream: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG, JPEG-LS or JPEG 2000 stream says of itself; None for any other.

    ITU-T T.81 B.2.2, T.87 C.2.2 and T.800 A.5.1.

    >>> stream_size(bytes.fromhex("ffd8 ffc0 000b 08 0010 0020 01 01 11 00"))
    (32, 16)
    """
    if stream.startswith(_BOX):
        stream = stream[max(0, stream.find(_J2K)) :]
    try:
        if stream.startswith(_J2K):
            return _of_jpeg_2000(stream)
        return _of_jpeg(stream) if stream.startswith(b"\xff\xd8") else None
    except (struct.error, IndexError):
        return None


def _of_jpeg_2000(stream: bytes) -> tuple[int, int] | None:
    marker, width, height, left, top = struct.unpack_from(">xBxxxxIIII", stream, 2)
    return (width - left, height - top) if marker == _SIZ else None


def _of_jpeg(stream: bytes) -> tuple[int, int] | None:
    at = 2
    while stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", stream, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2 if marker in _BARE else 2 + struct.unpack_from(">H", stream, at + 2)[0]
    return None
