import io
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from balancer.errors import ImageError
from balancer.imaging import safe_open
from balancer.imaging.decode import (
    EXTENSIONS,
    Header,
    OutputFormat,
    common_format,
    encode,
    read_grey,
    read_header,
    read_xmp,
)

RAMP = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


def save(path, image, **options):
    image.save(path, **options)
    return path


def test_a_jpeg_is_opened_once_and_what_is_decoded_is_what_was_checked(tmp_path):
    """So a file that is exchanged meanwhile cannot escape the check of its passes."""
    path = save(tmp_path / "a.jpg", Image.fromarray(RAMP))
    opened, noting = [], [True]

    def note(event, arguments):
        if noting and event == "open" and str(arguments[0]) == str(path):
            opened.append(arguments)

    sys.addaudithook(note)
    with safe_open.opened(path) as image:
        image.load()
    noting.clear()
    assert len(opened) == 1


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_grey_content_survives_any_8_bit_mode(tmp_path, mode):
    path = save(tmp_path / "a.png", Image.fromarray(RAMP).convert(mode))
    np.testing.assert_array_equal(read_grey(path), RAMP)


@pytest.mark.parametrize("top", [4095, 65535])
def test_16_bits_are_rescaled_not_clipped(tmp_path, top):
    deep = np.rint(RAMP.astype(float) * top / 255).astype(np.uint16)
    path = save(tmp_path / "deep.png", Image.fromarray(deep))
    assert read_header(path) == Header("PNG", "I;16", 16, 256, 8)
    assert np.abs(read_grey(path).astype(int) - RAMP).max() <= 1


def ramp_of_12_bits(side=64):
    return np.arange(side * side, dtype=np.uint16).reshape(side, side)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("corner", ["white", "black"])
def test_a_burnt_in_letter_leaves_the_image_its_grey_levels(tmp_path, suffix, corner):
    deep = ramp_of_12_bits() + np.uint16(2000)
    deep[:2, :2] = 65535 if corner == "white" else 0
    grey = read_grey(save(tmp_path / f"deep.{suffix}", Image.fromarray(deep)))
    assert len(np.unique(grey)) >= 240
    assert 110 < np.median(grey) < 145
    assert (grey[:2, :2] == (255 if corner == "white" else 0)).all()


def test_what_is_nearly_empty_keeps_what_is_in_it(tmp_path):
    deep = np.zeros((64, 64), np.uint16)
    deep[10, 10:14] = 900
    assert np.unique(read_grey(save(tmp_path / "deep.png", Image.fromarray(deep)))).tolist() == [0, 255]


def test_16_bit_colour_is_told_by_its_header(tmp_path):
    raw = np.zeros((4, 4, 3), np.uint16)
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in raw)
    head = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "c.png").write_bytes(data)
    assert read_header(tmp_path / "c.png") == Header("PNG", "RGB", 16, 4, 4)


def test_transparency_is_laid_on_black(tmp_path):
    pixels = np.full((4, 4, 4), 255, np.uint8)
    pixels[:2, :, 3] = 0
    path = save(tmp_path / "t.png", Image.fromarray(pixels))
    assert read_grey(path).tolist() == [[0] * 4] * 2 + [[255] * 4] * 2


def test_float_tiff_and_cmyk_jpeg_are_read(tmp_path):
    tiff = save(tmp_path / "f.tiff", Image.fromarray(RAMP.astype(np.float32) / 255))
    np.testing.assert_array_equal(read_grey(tiff), RAMP)
    jpeg = save(tmp_path / "c.jpg", Image.fromarray(RAMP).convert("CMYK"), quality=100)
    assert np.abs(read_grey(jpeg).astype(int) - RAMP).max() < 6


def test_values_that_are_no_numbers_are_refused(tmp_path):
    path = save(tmp_path / "nan.tiff", Image.fromarray(np.full((4, 4), np.nan, np.float32)))
    with pytest.raises(ImageError, match=r"nan\.tiff: it contains values that are not finite"):
        read_grey(path)


@pytest.mark.parametrize("content", [b"", b"not an image", b"GIF89a" + b"\0" * 50])
def test_what_is_no_image_is_named_without_its_folder(tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read_header(path)
    assert "x.png" in caught.value.found
    assert str(tmp_path) not in str(caught.value)


def test_a_truncated_file_is_refused_when_decoded(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(whole, "PNG")
    path = tmp_path / "cut.png"
    path.write_bytes(whole.getvalue()[:2000])
    assert read_header(path).width == 64
    with pytest.raises(ImageError, match=r"cut\.png"):
        read_grey(path)


@pytest.mark.parametrize(
    ("codec", "extension", "mode", "bits"),
    [
        ("PNG", ".png", "L", 8),
        ("PNG", ".png", "RGB", 8),
        ("PNG", ".png", "I;16", 16),
        ("JPEG", ".jpeg", "L", 8),
        ("JPEG", ".jpg", "RGB", 8),
        ("TIFF", ".tif", "L", 8),
        ("TIFF", ".tiff", "I;16", 16),
        ("TIFF", ".tiff", "F", 32),
        ("BMP", ".bmp", "L", 8),
        ("WEBP", ".webp", "RGB", 8),
    ],
)
def test_encoded_files_have_the_collections_format_and_carry_xmp(tmp_path, codec, extension, mode, bits):
    levels = (0.0, 255.0) if bits == 8 else (10.0, 4095.0)
    path = tmp_path / f"a{extension}"
    path.write_bytes(encode(RAMP, OutputFormat(codec, extension, mode, bits, None, levels), XMP))
    assert read_header(path) == Header(codec, mode, bits, 256, 8)
    assert np.abs(read_grey(path).astype(int) - RAMP).max() <= 3
    assert read_xmp(path) == (None if codec == "BMP" else XMP)
    if bits > 8:
        values = np.asarray(Image.open(path))
        assert (values.min(), values.max()) == levels


def test_the_common_format_is_what_most_files_have(tmp_path):
    headers = []
    for number, quality in enumerate([60, 60, 60, 90]):
        path = save(tmp_path / f"{number}.jpg", Image.fromarray(RAMP), quality=quality)
        headers.append((path.name, read_header(path)))
    path = save(tmp_path / "4.png", Image.fromarray(RAMP[:4]))
    headers.append((path.name, read_header(path)))
    found = common_format(headers, tmp_path)
    assert (found.codec, found.extension, found.mode, found.bits, found.size) == (
        "JPEG",
        ".jpg",
        "L",
        8,
        (256, 8),
    )
    again = tmp_path / "again.jpg"
    again.write_bytes(encode(RAMP, found, XMP))
    assert Image.open(again).quantization == Image.open(tmp_path / "0.jpg").quantization


def test_no_size_is_common_when_none_holds_a_half(tmp_path):
    headers = [
        (p.name, read_header(p)) for p in (save(tmp_path / f"{n}.png", Image.fromarray(RAMP[:n])) for n in (2, 3, 4))
    ]
    assert common_format(headers, tmp_path).size is None


def test_extensions_cover_the_codecs():
    assert set(EXTENSIONS.values()) == {"PNG", "JPEG", "TIFF", "BMP", "WEBP", "DICOM"}


def test_reading_raises_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_grey(save(tmp_path / "p.png", Image.fromarray(RAMP).convert("P")))
