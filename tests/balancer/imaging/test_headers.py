import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from balancer.errors import ImageError
from balancer.files import sha256_of
from balancer.imaging.decode import Header, read_header
from balancer.imaging.headers import orientation_of, quick_header, read_headers

MODES = {"PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), "JPEG": ("L", "RGB", "CMYK"), "TIFF": ("L", "I;16")}
CASES = [(codec, mode) for codec, modes in MODES.items() for mode in modes]


def encoded(codec: str, mode: str = "L", size: tuple[int, int] = (13, 7), **options) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(np.arange(size[0] * size[1], dtype=np.uint16).reshape(size[::-1]) * 500)
    (image if mode == "I;16" else image.convert("L").convert(mode)).save(buffer, codec, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("codec", "mode"), CASES)
def test_the_quick_look_says_what_pillow_says_or_nothing(tmp_path, codec, mode):
    file = tmp_path / "image"
    file.write_bytes(encoded(codec, mode))
    assert quick_header(file.read_bytes()[:4096]) in (read_header(file), None)


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (encoded("PNG"), Header("PNG", "L", 8, 13, 7)),
        (encoded("PNG", "I;16"), Header("PNG", "I;16", 16, 13, 7)),
        (encoded("PNG", pnginfo=PngImagePlugin.PngInfo()), Header("PNG", "L", 8, 13, 7)),
        (encoded("JPEG", "RGB", progressive=True), Header("JPEG", "RGB", 8, 13, 7)),
        (encoded("JPEG", exif=b"Exif\0\0" + bytes(500)), Header("JPEG", "L", 8, 13, 7)),
    ],
)
def test_usual_files_need_no_closer_look(content, header):
    assert quick_header(content[:4096]) == header


def test_what_is_unusual_gets_a_closer_look():
    animated = io.BytesIO()
    frames = [Image.new("L", (4, 4), level) for level in (0, 255)]
    frames[0].save(animated, "PNG", save_all=True, append_images=frames[1:])
    damaged = bytearray(encoded("PNG"))
    damaged[20] ^= 1  # the width: its checksum no longer fits
    long_comment = encoded("JPEG", comment=b"x" * 5000)
    for content in (
        animated.getvalue(),
        bytes(damaged),
        long_comment[:4096],
        encoded("PNG")[:33],
        b"",
        b"\xff\xd8\xff",
    ):
        assert quick_header(content) is None


@given(st.sampled_from([encoded("PNG"), encoded("JPEG"), encoded("PNG", "RGB")]), st.data())
def test_damage_never_crashes_the_quick_look(content, data):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(content)))])
    assert quick_header(cut) is None or isinstance(quick_header(cut), Header)


def test_rows_are_headers_hashes_and_errors_in_order(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    (tmp_path / "b.png").write_bytes(b"no image")
    (tmp_path / "c.jpg").write_bytes(encoded("JPEG", "RGB", (200, 200)) + bytes(9000))  # longer than one read
    wanted = [("a.png", False), ("b.png", True), ("c.jpg", True), ("gone.png", False)]
    first, second, third, fourth = read_headers(tmp_path, wanted)
    assert first == ("PNG", "L", 8, 13, 7, None, 1)
    assert isinstance(second, ImageError)
    assert third == ("JPEG", "RGB", 8, 200, 200, sha256_of(tmp_path / "c.jpg"), 1)
    assert isinstance(fourth, ImageError)
    assert "gone.png" in json.dumps(fourth.found)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("codec", ["PNG", "JPEG"])
def test_the_orientation_that_exif_tells_is_found_as_pillow_finds_it(tmp_path, codec, order):
    exif = Image.Exif()
    exif.endian = order
    exif[0x010E], exif[0x0112] = "a description before it", 6
    content = encoded(codec, exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        assert image.getexif()[0x0112] == 6
    assert orientation_of(content[:4096]) == 6
    (tmp_path / "turned").write_bytes(content)
    (found,) = read_headers(tmp_path, [("turned", False)])
    assert found[-1] == 6
    assert {orientation_of(content[:end]) for end in range(len(content))} <= {1, 6}


def test_a_file_without_orientation_is_upright():
    for content in (
        encoded("PNG"),
        encoded("JPEG"),
        b"",
        b"GIF89aExif\0\0II*\0",
        encoded("JPEG", exif=b"Exif\0\0II*\0"),
    ):
        assert orientation_of(content) == 1
