"""Files that attack whoever reads them as an X-ray, all written by code."""

from __future__ import annotations

import io
import os
import socket
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.dicom_files import content_of, deep, header, jpeg_in_dicom

SIDE = 48
GREY = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), np.uint8)
CODECS = {"png": "PNG", "jpg": "JPEG", "tif": "TIFF", "bmp": "BMP", "webp": "WEBP"}
Bytes = Callable[[], bytes]


def saved(image: Image.Image, codec: str, **options: object) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, codec, **options)
    return buffer.getvalue()


def hostile_files(every: int = 24) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every file that can be written as bytes; one byte in `every` of the structure is turned."""
    for suffix, codec in CODECS.items():
        yield from _truncated(suffix, saved(Image.fromarray(GREY), codec))
        yield from _flipped(suffix, saved(Image.fromarray(GREY), codec), every)
    yield from _dicoms(every)
    yield from _wrong_names()
    yield from _pngs()
    yield from _jpegs()
    yield from _tiffs()
    yield from _others()
    yield from _extremes()


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files of many pixels, some just within what is decoded, some beyond; they take a minute to make."""
    yield "bomb-L.png", bomb(13_000, 13_000)
    yield "bomb-rgba-16.png", bomb(9_000, 9_000, 16, 6)
    yield "endless-idat.png", png(SIDE, SIDE, rows=bytes(200_000_000))
    yield "bomb-fax.tif", saved(Image.new("1", (60_000, 60_000)), "TIFF", compression="group4")
    for side in (7_071, 7_072):
        yield f"rgba-{side}.png", bomb(side, side, 8, 6)
        yield f"rgba-16-{side}.png", bomb(side, side, 16, 6)
        yield f"deep-{side}.png", bomb(side, side, 16)
        yield f"la-{side}.png", bomb(side, side, 8, 4)
        zeros = Image.fromarray(np.zeros((side, side), np.float32))
        yield f"float-{side}.tif", saved(zeros, "TIFF", compression="tiff_deflate")
        yield f"lzw-{side}.tif", saved(Image.new("RGB", (side, side)), "TIFF", compression="tiff_lzw")
        yield f"cmyk-{side}.tif", saved(Image.new("CMYK", (side, side)), "TIFF", compression="tiff_lzw")
        yield f"rgb-{side}.webp", saved(Image.new("RGB", (side, side)), "WEBP", lossless=True, method=0)
        yield f"rgba-{side}.webp", saved(Image.new("RGBA", (side, side)), "WEBP", lossless=True, method=0)
        yield f"colour-{side}.jpg", saved(Image.new("RGB", (side, side)), "JPEG", progressive=True)


def huge_files(folder: Path) -> list[Path]:
    """Files of gigabytes that take no room: two of one size, so that both would be hashed."""
    found = []
    for name, size in (
        ("huge-1.png", 20 << 30),
        ("huge-2.png", 20 << 30),
        ("huge.tif", 3 << 30),
        ("huge.jpg", 8 << 30),
    ):
        path = folder / name
        with path.open("wb") as file:
            file.write(saved(Image.fromarray(GREY), CODECS[path.suffix[1:]]))
            file.truncate(size)
        found.append(path)
    path = folder / "tags.tif"  # half a gigabyte of one tag
    with path.open("wb") as file:
        file.write(_tiff([(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (273, 4, 120_000_000, 4096)]))
        file.truncate(500_000_000)
    return [*found, path]


def special_files(folder: Path) -> list[Path]:
    """Names behind which there is no plain file: links, loops, pipes, sockets, devices, what may not be read."""
    links = {
        "loop.png": "loop.png",
        "one.png": "other.png",
        "other.png": "one.png",
        "nowhere.png": "no-such-file",
        "zero.png": "/dev/zero",
        "tty.png": "/dev/tty",
        "random.jpg": "/dev/urandom",
        "stdin.png": "/dev/stdin",
        "self.png": "/proc/self/mem",
        "up": "..",
        "folder.png": "folder.png.d",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    (folder / "folder.png.d").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "to-pipe.png").symlink_to("pipe.png")
    _socket(folder / "socket.png")
    (folder / "closed.png").write_bytes(saved(Image.fromarray(GREY), "PNG"))
    (folder / "closed.png").chmod(0)
    (folder / "closed").mkdir(0)
    deep = folder
    for _ in range(60):
        deep = deep / "deep"
        deep.mkdir()
    return [each for each in folder.iterdir() if each.name not in ("up", "deep", "closed")]


def _socket(path: Path) -> None:
    """A socket's address has about a hundred letters: it is made elsewhere and moved."""
    with tempfile.TemporaryDirectory(dir=path.parent.parent.parent) as short:
        place = os.path.join(short, "s")  # noqa: PTH118
        with socket.socket(socket.AF_UNIX) as listener:
            here = Path.cwd()
            os.chdir(short)
            listener.bind("s")
            os.chdir(here)
        os.rename(place, path)  # noqa: PTH104


def _truncated(suffix: str, whole: bytes) -> Iterator[tuple[str, bytes]]:
    """Cut at every section, and within it."""
    for at in sorted({0, 1, 2, 4, 7, 8, 9, 12, 20, 26, 33, 34, 37, 54, *range(64, len(whole), 499), len(whole) - 1}):
        yield f"cut-{at}.{suffix}", whole[:at]


def _flipped(suffix: str, whole: bytes, every: int) -> Iterator[tuple[str, bytes]]:
    """One byte of the structure is another."""
    for at in range(0, min(len(whole), 600), every):
        yield f"flip-{at}.{suffix}", whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]


def _dicoms(every: int) -> Iterator[tuple[str, bytes]]:
    """Plain and packed files, cut and turned; pixels larger than the header says; sequences in sequences."""
    from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

    plain = header(deep(GREY), WindowCenter=2048, WindowWidth=4096)
    packed = {"plain": plain, "jpeg": jpeg_in_dicom(GREY)}
    for name, syntax in {"j2k": JPEG2000Lossless, "jls": JPEGLSLossless, "rle": RLELossless}.items():
        packed[name] = header(deep(GREY))
        packed[name].compress(syntax)
    for name, made in packed.items():
        whole = content_of(made)
        for at in (8, 131, 140, 300, 600, len(whole) - 700, len(whole) - 1):
            yield f"{name}-cut-{at}.dcm", whole[:at]
        for at in range(132, len(whole), max(every // 3, len(whole) // (2400 // every))):
            yield f"{name}-flip-{at}.dcm", whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
    whole = content_of(plain)
    yield "giant.dcm", content_of(header(deep(GREY), Rows=65535, Columns=65535))
    yield "frames.dcm", content_of(header(deep(GREY), NumberOfFrames=2_000_000_000))
    yield "minus.dcm", content_of(header(deep(GREY), NumberOfFrames=-1))
    yield "samples.dcm", content_of(header(deep(GREY), SamplesPerPixel=3, PlanarConfiguration=1))
    yield "no-window.dcm", content_of(header(deep(GREY), WindowCenter=["1"] * 4000, WindowWidth=["0"] * 4000))
    yield "slope.dcm", content_of(header(deep(GREY), RescaleSlope="1E300", RescaleIntercept="-1E300"))
    stream = saved(Image.new("L", (12_000, 12_000)), "JPEG")
    yield "large-stream.dcm", content_of(jpeg_in_dicom(GREY, stream))
    item, end = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
    at = whole.index(b"\x10\x00\x10\x00PN")
    yield "nested.dcm", whole[:at] + (end + item) * 20_000 + whole[at:]
    yield "million.dcm", whole[:at] + b"\x09\x00\x10\x00LO\0\0" * 2_000_000 + whole[at:]
    yield "longest.dcm", whole[:at] + b"\x09\x00\x10\x00OB\0\0\xfe\xff\xff\xff" + whole[at:]
    yield "bare", whole[whole.index(b"\x08\x00\x05\x00") if b"\x08\x00\x05\x00" in whole else 132 :]


def _wrong_names() -> Iterator[tuple[str, bytes]]:
    for suffix, codec in CODECS.items():
        yield f"is-{suffix}.{'png' if suffix != 'png' else 'jpg'}", saved(Image.fromarray(GREY), codec)
    contents = {
        "gif": saved(Image.fromarray(GREY), "GIF"),
        "pdf": b"%PDF-1.7\n" + bytes(200),
        "zip": b"PK\3\4" + bytes(200),
        "elf": b"\x7fELF" + bytes(200),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch /tmp/canary) (w) file\n",
        "dicom": bytes(128) + b"DICM" + bytes(100),
        "php": b"<?php system('id');",
        "nothing": bytes(5000),
        "text": b"no image\n" * 100,
        "pickle": b"\x80\x04cos\nsystem\n",
    }
    for name, content in contents.items():
        yield f"{name}-inside.png", content
        yield f"{name}-inside.tif", content


def _chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    right = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", right)


def png(width: int, height: int, bits: int = 8, colour: int = 0, rows: bytes = b"", before: bytes = b"") -> bytes:
    """A PNG of these raw rows, packed."""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head)
    return start + before + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")


def bomb(width: int, height: int, bits: int = 8, colour: int = 0) -> bytes:
    """A small PNG of so many black pixels."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    packer, row = zlib.compressobj(9), bytes(1 + width * channels * bits // 8)
    data = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _pngs() -> Iterator[tuple[str, bytes]]:
    rows = b"".join(b"\0" + row.tobytes() for row in GREY)
    zeros = zlib.compress(bytes(80_000_000), 9)
    yield "giant-header.png", png(100_000, 100_000)
    yield "giant-header-16.png", png(100_000, 100_000, 16)
    yield "largest-header.png", png(2**31 - 1, 2**31 - 1)
    yield "beyond-header.png", png(2**32 - 1, 2**32 - 1)
    yield "no-width.png", png(0, 10)
    yield "text-bomb.png", png(SIDE, SIDE, rows=rows, before=_chunk(b"zTXt", b"a\0\0" + zeros))
    yield "itext-bomb.png", png(SIDE, SIDE, rows=rows, before=_chunk(b"iTXt", b"a\0\1\0\0\0" + zeros))
    yield "xmp-bomb.png", png(SIDE, SIDE, rows=rows, before=_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros))
    yield "profile-bomb.png", png(SIDE, SIDE, rows=rows, before=_chunk(b"iCCP", b"a\0\0" + zeros))
    many = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000), 9)) * 200
    yield "many-texts.png", png(SIDE, SIDE, rows=rows, before=many)
    yield "million-texts.png", png(SIDE, SIDE, rows=rows, before=_chunk(b"tEXt", b"a\0b") * 300_000)
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)
    )
    packet = laughs + b"]><x>&j;</x>"
    yield (
        "laughing-xmp.png",
        png(SIDE, SIDE, rows=rows, before=_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)),
    )
    deep = b"<a>" * 200_000
    yield "deep-xmp.png", png(SIDE, SIDE, rows=rows, before=_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + deep))
    yield "bad-crc.png", png(SIDE, SIDE, rows=rows).replace(b"IDAT", b"IDAt")
    whole = png(SIDE, SIDE, rows=rows)
    yield "bad-head-crc.png", whole[:29] + b"\0\0\0\0" + whole[33:]
    yield "bad-data-crc.png", whole[:-16] + b"\0\0\0\0" + whole[-12:]
    yield "long-chunk.png", whole[:33] + b"\x7f\xff\xff\xff" + whole[37:]
    yield "chunk-beyond.png", whole[:33] + b"\xff\xff\xff\xff" + whole[37:]
    yield "two-heads.png", png(SIDE, SIDE, rows=rows, before=whole[8:33])
    yield "no-data.png", whole[:33] + _chunk(b"IEND", b"")
    yield "no-palette.png", png(SIDE, SIDE, colour=3, rows=rows)
    yield "bits-7.png", png(SIDE, SIDE, bits=7, rows=rows)
    yield "colour-9.png", png(SIDE, SIDE, colour=9, rows=rows)
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    yield "animated.png", saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield "frames-beyond.png", png(SIDE, SIDE, rows=rows, before=_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    yield "transparent.png", png(SIDE, SIDE, rows=rows, before=_chunk(b"tRNS", b"\0\0"))


def _jpegs() -> Iterator[tuple[str, bytes]]:
    plain, turns = saved(Image.fromarray(GREY), "JPEG"), saved(Image.fromarray(GREY), "JPEG", progressive=True)
    yield "cmyk.jpg", saved(Image.fromarray(GREY).convert("CMYK"), "JPEG")
    yield "progressive.jpg", turns
    frame = plain.index(b"\xff\xc0")
    for name, height, width in (("giant", 65_500, 65_500), ("thin", 65_500, 1), ("flat", 1, 65_500), ("none", 0, 0)):
        yield f"{name}-header.jpg", plain[: frame + 5] + struct.pack(">HH", height, width) + plain[frame + 9 :]
    yield "comments.jpg", plain[:2] + (b"\xff\xfe\xff\xff" + bytes(65_533)) * 1000 + plain[2:]
    yield "million-markers.jpg", plain[:2] + b"\xff\xfe\0\2" * 500_000 + plain[2:]
    yield "fill-bytes.jpg", plain[:2] + b"\xff" * 3_000_000 + plain[2:]
    yield "scans.jpg", scans(turns, 8192, 5_000)
    yield "many-small-scans.jpg", scans(turns, 512, 20_000)
    yield "no-tables.jpg", plain.replace(b"\xff\xdb", b"\xff\xfe")
    yield "channels-9.jpg", plain[: frame + 9] + b"\x09" + plain[frame + 10 :]
    yield "arithmetic.jpg", plain.replace(b"\xff\xc0", b"\xff\xc9")
    yield "lossless.jpg", plain.replace(b"\xff\xc0", b"\xff\xc3")
    yield "exif-bomb.jpg", saved(Image.fromarray(GREY), "JPEG", exif=b"Exif\0\0" + _tiff([(274, 3, 2**31, 8)] * 2000))
    yield "two.jpg", saved(Image.fromarray(GREY), "MPO", save_all=True, append_images=[Image.fromarray(GREY)])
    yield "mpo-beyond.jpg", plain[:2] + b"\xff\xe2\0\x20MPF\0" + _tiff([(0xB001, 4, 1, 2**31)])[:26] + plain[2:]


def scans(turns: bytes, side: int, count: int) -> bytes:
    """A progressive JPEG of one black picture and so many passes over it, each of a few bytes."""
    frame = turns.index(b"\xff\xc2")
    start = turns.index(b"\xff\xda")
    length = int.from_bytes(turns[start + 2 : start + 4])
    head = turns[: frame + 5] + struct.pack(">HH", side, side) + turns[frame + 9 : start]
    one = turns[start : start + 2 + length] + b"\0" * 8
    return head + one * count + b"\xff\xd9"


def _tiff(entries: list[tuple[int, int, int, int]], after: int = 0, data: bytes = b"") -> bytes:
    """A TIFF of one folder of (tag, kind, count, value or place)."""
    rows = b"".join(struct.pack("<HHII", tag, kind, count, value % 2**32) for tag, kind, count, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + rows + struct.pack("<I", after) + data


def _plain_tags(
    width: int, height: int, bits: int = 8, kind: int = 1, place: int = 8
) -> list[tuple[int, int, int, int]]:
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(273, 4, 1, place), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, width * height * bits // 8)]
    return [*tags, (339, 3, 1, kind)]


def _tiffs() -> Iterator[tuple[str, bytes]]:
    pixels = GREY.tobytes()
    plain = _tiff(_plain_tags(SIDE, SIDE, place=150), data=bytes(12) + pixels)
    yield "plain.tif", plain
    yield "giant.tif", _tiff(_plain_tags(100_000, 100_000))
    yield "giant-float.tif", _tiff(_plain_tags(2**31, 2**31, 32, 3))
    yield "negative.tif", _tiff(_plain_tags(2**32 - 1, 1))
    yield (
        "loop.tif",
        plain[:8] + plain[8:].replace(struct.pack("<I", 0) + bytes(12), struct.pack("<I", 8) + bytes(12), 1),
    )
    yield "many-tags.tif", _tiff(_plain_tags(SIDE, SIDE) * 6000)
    yield "count.tif", _tiff([*_plain_tags(SIDE, SIDE), (305, 2, 2**32 - 1, 8)])
    yield "count-own.tif", _tiff([*_plain_tags(SIDE, SIDE), (305, 4, 2**30, 8)])
    yield "strips.tif", _tiff([(256, 4, 1, SIDE), (257, 4, 1, 2**31), (273, 4, 2**29, 8), (278, 4, 1, 1)])
    million = np.arange(3_000_000, dtype="<u4").tobytes()
    yield (
        "million-strips.tif",
        _tiff([*_plain_tags(SIDE, SIDE)[:5], (273, 4, 3_000_000, 200)], data=bytes(200) + million),
    )
    yield "kind-99.tif", _tiff([(tag, 99, count, value) for tag, _, count, value in _plain_tags(SIDE, SIDE)])
    yield "bits-77.tif", _tiff(_plain_tags(SIDE, SIDE, 77))
    yield "compression-999.tif", _tiff([(259, 3, 1, 999) if tag[0] == 259 else tag for tag in _plain_tags(SIDE, SIDE)])
    yield "chain.tif", _chain(50_000)
    yield "round.tif", _chain(100, back=True)
    yield "folder-beyond.tif", b"II*\0\xff\xff\xff\x7f"
    yield "folder-at-itself.tif", b"II*\0\0\0\0\0"
    yield "tiles.tif", _tiff([*_plain_tags(8000, 8000)[:5], (322, 4, 1, 1), (323, 4, 1, 1), (324, 4, 64_000_000, 8)])
    yield "text-for-xmp.tif", _tiff([*_plain_tags(SIDE, SIDE, place=170), (700, 4, 1, 77)], data=bytes(40) + pixels)
    yield "number-for-width.tif", _tiff([(256, 2, 4, 0x41414141), *_plain_tags(SIDE, SIDE)[1:]])
    yield "float-for-width.tif", _tiff([(256, 11, 1, 0x7FC00000), *_plain_tags(SIDE, SIDE)[1:]])
    yield "no-resolution.tif", _tiff([*_plain_tags(SIDE, SIDE, place=170), (282, 5, 1, 160)], data=bytes(40) + pixels)
    for name, value in (("nan", np.nan), ("inf", np.inf), ("minus-inf", -np.inf), ("largest", 3.4e38), ("tiny", 1e-45)):
        floats = np.full((SIDE, SIDE), value, np.float32)
        floats[0, 0] = 0
        yield f"{name}.tif", saved(Image.fromarray(floats), "TIFF")
    both = np.full((SIDE, SIDE), 3.4e38, np.float32)
    both[0] = -3.4e38
    yield "widest.tif", saved(Image.fromarray(both), "TIFF")
    yield "pages.tif", saved(Image.fromarray(GREY), "TIFF", save_all=True, append_images=[Image.fromarray(GREY)] * 3)


def _chain(count: int, *, back: bool = False) -> bytes:
    """One small folder after the other, up to the end or back to the first."""
    tags = _plain_tags(4, 4)
    size = 2 + 12 * len(tags) + 4
    found = bytearray(b"II*\0" + struct.pack("<I", 8))
    rows = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    for number in range(count):
        last = number == count - 1
        found += rows + struct.pack("<I", (8 if back else 0) if last else 8 + (number + 1) * size)
    return bytes(found)


def _others() -> Iterator[tuple[str, bytes]]:
    frames = [Image.fromarray(GREY).convert("RGB"), Image.fromarray(255 - GREY).convert("RGB")]
    yield "animated.gif.png", saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield "animated.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    bitmap = saved(Image.fromarray(GREY), "BMP")
    for name, width, height in (
        ("giant", 2**30, 2**30),
        ("negative", -SIDE, SIDE),
        ("upside", SIDE, -SIDE),
        ("none", 0, 0),
    ):
        yield f"{name}.bmp", bitmap[:18] + struct.pack("<ii", width, height) + bitmap[26:]
    yield "lowest.bmp", bitmap[:18] + struct.pack("<ii", SIDE, -(2**31)) + bitmap[26:]
    yield "rle.bmp", bitmap[:30] + struct.pack("<I", 1) + bitmap[34:]
    yield "colours.bmp", bitmap[:46] + struct.pack("<I", 2**31) + bitmap[50:]
    large = bytearray(bitmap[:18] + struct.pack("<ii", 8000, 8000) + bitmap[26:])
    large[30:34] = struct.pack("<I", 1)
    yield "rle-bomb.bmp", bytes(large[:1078]) + b"\0\1" * 10


def _extremes() -> Iterator[tuple[str, bytes]]:
    for name, shape in (("tall", (65_535, 1)), ("wide", (1, 65_535)), ("dot", (1, 1))):
        yield (
            f"{name}.png",
            saved(Image.fromarray(np.arange(shape[0] * shape[1]).reshape(shape).astype(np.uint8)), "PNG"),
        )
    yield "tall.jpg", saved(Image.new("L", (1, 65_500), 9), "JPEG")
    for name, low, high in (("full", 0, 65_535), ("top", 65_535, 65_535), ("step", 65_534, 65_535), ("none", 0, 0)):
        deep = np.full((SIDE, SIDE), low, np.uint16)
        deep[:, : SIDE // 2] = high
        yield f"deep-{name}.png", saved(Image.fromarray(deep), "PNG")
        yield f"deep-{name}.tif", saved(Image.fromarray(deep), "TIFF")
    ends = np.array([[-(2**31), 2**31 - 1]] * 2, np.int32)
    yield "whole-range.tif", saved(Image.fromarray(ends), "TIFF")
