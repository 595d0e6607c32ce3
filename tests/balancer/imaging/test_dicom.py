import io
import warnings
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from balancer.errors import ImageError, NotAnImage
from balancer.imaging.decode import Header, common_format, read_grey, read_header, read_small
from balancer.imaging.dicom import is_derived, is_dicom, read_dicom_grey, read_tags, shape_contradicts
from balancer.imaging.headers import read_headers
from balancer.imaging.reduced_decode import read_draft
from tests.support.dicom_files import RAMP, content_of, deep, draw, header, jpeg_in_dicom, write_dicom


def written(path, made):
    path.write_bytes(content_of(made))
    return path


def apart(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("inverted", [False, True])
def test_every_depth_and_polarity_shows_the_same_picture(tmp_path, bits, inverted):
    path = write_dicom(tmp_path / "a.dcm", bits=bits, inverted=inverted)
    interpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    assert read_header(path) == Header("DICOM", interpretation, bits, 256, 8)
    assert apart(read_grey(path), RAMP) <= 1


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
def test_polarity_is_that_of_the_photometric_interpretation_alone(tmp_path, inverted, shape):
    path = write_dicom(tmp_path / "a.dcm", inverted=inverted, PresentationLUTShape=shape)
    assert apart(read_grey(path), RAMP) <= 1
    assert shape_contradicts(read_tags(path)) == (inverted != (shape == "INVERSE"))


def test_signed_values_with_slope_and_intercept_are_rescaled_before_the_window(tmp_path):
    stored = (deep() - 1000.0).astype(np.int16)
    window = {"WindowCenter": 2048 * 2, "WindowWidth": 4096 * 2, "VOILUTFunction": "LINEAR_EXACT"}
    made = header(stored, bits=16, RescaleSlope=2, RescaleIntercept=2000, **window)
    assert apart(read_grey(written(tmp_path / "a.dcm", made)), RAMP) <= 1


def test_a_window_cuts_what_lies_outside_and_its_first_one_counts(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", WindowCenter=["1024", "9"], WindowWidth=["2048", "1"])
    grey = read_grey(path)
    assert (grey[:, 128:] == 255).all()
    assert apart(grey[:, :128], np.rint(RAMP[:, :128] * 2.0)) <= 1


def test_a_sigmoid_window_is_a_curve_through_its_centre(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", WindowCenter=2048, WindowWidth=2048, VOILUTFunction="SIGMOID")
    row = read_grey(path)[0].astype(int)
    assert abs(row[128] - 128) <= 1
    assert (np.diff(row) >= 0).all()
    assert row[64] == pytest.approx(255 / (1 + np.exp(2)), abs=2)  # half a width below: 4 x 0.5


@pytest.mark.parametrize("window", [{"WindowCenter": 50_000, "WindowWidth": 10}, {"WindowCenter": 5, "WindowWidth": 0}])
def test_a_window_in_which_nothing_is_to_be_seen_is_left_aside(tmp_path, window):
    assert apart(read_grey(write_dicom(tmp_path / "a.dcm", **window)), RAMP) <= 1


def test_a_table_of_interest_is_followed(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 16], [65535 - 257 * value for value in range(256)]
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    made = header(RAMP, bits=8)
    made.VOILUTSequence = Sequence([table])
    assert apart(read_grey(written(tmp_path / "a.dcm", made)), RAMP[:, ::-1]) <= 1


@pytest.mark.parametrize("inverted", [False, True])
def test_padding_is_black_and_has_no_part_in_the_window(tmp_path, inverted):
    shown = 255 - RAMP if inverted else RAMP
    stored = deep(shown)
    stored[:2] = 65535
    made = header(stored, bits=16, inverted=inverted, PixelPaddingValue=65535)
    grey = read_grey(written(tmp_path / "a.dcm", made))
    assert (grey[:2] == 0).all()
    assert apart(grey[2:], RAMP[2:]) <= 1


def test_without_a_window_deep_values_are_seen_as_in_a_png_of_16_bits(tmp_path):
    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    stored[:2, :2] = 65535
    Image.fromarray(stored).save(tmp_path / "a.png")
    grey = read_grey(written(tmp_path / "a.dcm", header(stored, bits=16)))
    np.testing.assert_array_equal(grey, read_grey(tmp_path / "a.png"))
    assert len(np.unique(grey)) >= 240


def test_colours_become_luminance(tmp_path):
    made = header(np.repeat(RAMP[:, :, None], 3, axis=2), bits=8)
    np.testing.assert_array_equal(read_grey(written(tmp_path / "a.dcm", made)), RAMP)


def test_of_several_frames_the_first_is_read(tmp_path):
    made = header(deep())
    made.PixelData, made.NumberOfFrames = made.PixelData + bytes(2 * RAMP.size), 2
    path = written(tmp_path / "a.dcm", made)
    assert apart(read_grey(path), RAMP) <= 1
    assert read_tags(path).values["NumberOfFrames"] == "2"


SYNTAXES = {
    "RLE": uid.RLELossless,
    "JPEG-LS": uid.JPEGLSLossless,
    "JPEG 2000": uid.JPEG2000Lossless,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
    "implicit": uid.ImplicitVRLittleEndian,
}


@pytest.mark.parametrize("name", SYNTAXES)
def test_what_is_packed_without_loss_is_unpacked(tmp_path, name):
    tall, syntax = np.tile(RAMP, (8, 1)), SYNTAXES[name]
    made = header(deep(tall))
    if name in ("RLE", "JPEG-LS", "JPEG 2000"):
        made.compress(syntax)
        path = written(tmp_path / "a.dcm", made)
    else:
        made.file_meta.TransferSyntaxUID = syntax
        if name == "big endian":
            made.PixelData = deep(tall).astype(">u2").tobytes()
        path = tmp_path / "a.dcm"
        options = {"implicit_vr": name == "implicit", "little_endian": name != "big endian"}
        made.save_as(path, enforce_file_format=True, **options)
    assert apart(read_grey(path), tall) <= 1
    assert read_header(path).bits == 12


def test_jpeg_and_lossless_jpeg_are_unpacked(tmp_path):
    path = written(tmp_path / "a.dcm", jpeg_in_dicom(RAMP))
    assert apart(read_grey(path), RAMP) <= 4
    gdcm = pytest.importorskip("gdcm")
    plain = write_dicom(tmp_path / "plain.dcm")
    reader, change = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax()
    reader.SetFileName(str(plain))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(tmp_path / "lossless.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    assert apart(read_grey(tmp_path / "lossless.dcm"), RAMP) <= 1


@pytest.mark.parametrize(
    ("syntax", "words"),
    [(uid.JPEGExtended12Bit, "GPL"), (uid.MPEG2MPML, "MPEG2.*no supported package decodes it")],
)
def test_what_cannot_be_unpacked_is_named_with_the_package_that_would(tmp_path, syntax, words):
    made = jpeg_in_dicom(RAMP)
    made.file_meta.TransferSyntaxUID = syntax
    if syntax == uid.JPEGExtended12Bit:
        made.PixelData = encapsulate([twelve_bit(made)])
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    with pytest.raises(ImageError, match=words):
        read_grey(written(tmp_path / "a.dcm", made))


def twelve_bit(made):
    """The stream of a dataset with 12 for 8 in its frame header."""
    from pydicom.encaps import get_frame

    stream = bytearray(get_frame(made.PixelData, 0, number_of_frames=1))
    at = stream.index(b"\xff\xc0")
    stream[at + 1], stream[at + 4] = 0xC1, 12
    return bytes(stream)


def test_a_report_is_no_image_and_is_named(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", None)
    for read in (read_header, read_grey):
        with pytest.raises(NotAnImage, match=r"a file without pixels: Basic Text SR Storage"):
            read(path)
    assert read_tags(path).is_other


def test_a_header_without_its_pixels_is_refused_before_it_is_decoded(tmp_path):
    made = header(deep())
    del made.PixelData
    with pytest.raises(ImageError, match=r"a\.dcm: no pixels"):
        read_header(written(tmp_path / "a.dcm", made))


def test_headers_are_read_as_those_of_other_files(tmp_path):
    write_dicom(tmp_path / "1.2.840.113")
    (row,) = read_headers(tmp_path, [("1.2.840.113", True)])
    assert row[:5] == ("DICOM", "MONOCHROME2", 12, 256, 8)
    assert len(row[5]) == 64


def test_a_file_without_preamble_is_dicom_too(tmp_path):
    made = header(deep())
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, made, enforce_file_format=False)
    content = buffer.getvalue()
    bare = content[content.index(b"\x08\x00\x08\x00") :]  # from the first element that is none of the file's own
    assert is_dicom(bare)
    (tmp_path / "a").write_bytes(bare)
    assert apart(read_grey(tmp_path / "a"), RAMP) <= 1


def test_what_a_header_tells_is_text_and_blanks_are_left_out(tmp_path):
    tags = {"PatientID": " 0042 ", "PatientAge": "27", "PatientSex": "", "ImageType": ["DERIVED", "SECONDARY"]}
    found = read_tags(write_dicom(tmp_path / "a.dcm", **tags, AccessionNumber="00041"), ["StationName"]).values
    assert (found["PatientID"], found["PatientAge"], found["AccessionNumber"]) == ("0042", "27", "00041")
    assert found["ImageType"] == "DERIVED\\SECONDARY"
    assert not found.keys() & {"PatientSex", "StationName", "ViewPosition"}


def test_secondary_captures_and_derived_images_are_told(tmp_path):
    kinds = {
        "original": {},
        "derived": {"ImageType": ["DERIVED", "PRIMARY"]},
        "capture": {"SOPClassUID": uid.SecondaryCaptureImageStorage},
    }
    told = {name: is_derived(read_tags(write_dicom(tmp_path / name, **tags))) for name, tags in kinds.items()}
    assert told == {"original": False, "derived": True, "capture": True}


def test_a_small_version_and_the_common_format_are_those_of_a_png(tmp_path):
    paths = [write_dicom(tmp_path / f"{seed}.dcm", draw(seed)) for seed in range(3)]
    small, frames = read_small(paths[0], 16)
    assert (small.size, small.mode, frames) == ((16, 16), "L", 1)
    assert read_draft(str(paths[0]), 16)[0].tobytes() == small.tobytes()
    found = common_format([(path.name, read_header(path)) for path in paths], tmp_path)
    assert (found.codec, found.extension, found.mode, found.bits, found.size) == ("PNG", ".png", "L", 8, (48, 48))


def test_reading_warns_of_nothing(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", PatientAge="much too long for an age", PatientBirthDate="yesterday")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_tags(path)
        read_grey(path)


def large_stream():
    buffer = io.BytesIO()
    Image.new("L", (9000, 9000)).save(buffer, "JPEG")
    return buffer.getvalue()


def bomb():
    made = header(deep())
    made.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    whole = content_of(made)
    start = 144 + int.from_bytes(whole[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return whole[:start] + b"".join(packer.compress(bytes(1 << 24)) for _ in range(9)) + packer.flush()


HOSTILE = {
    "cut in the header": (lambda: content_of(header(deep()))[:400], "truncated"),
    "cut in the pixels": (lambda: content_of(header(deep()))[:-500], "truncated: 3,6.. of 4,096 bytes"),
    "giant": (lambda: content_of(header(deep(), Rows=60000, Columns=60000)), "too large: 60,000 x 60,000"),
    "no size": (lambda: content_of(header(deep(), Rows=0)), "truncated: its header ends before the size"),
    "larger stream": (lambda: content_of(jpeg_in_dicom(RAMP, large_stream())), "9000 x 9000 in the stream"),
    "inflated": (bomb, "too large: more than"),
    "encrypted": (lambda: b"\x30\x82" + bytes(500), "no DICOM data in it, it may be encrypted"),
    "nothing behind": (lambda: bytes(128) + b"DICM", "truncated"),
    "zeros behind": (lambda: bytes(128) + b"DICM" + bytes(5000), "."),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_damaged_or_hostile_is_refused_with_a_reason(tmp_path, name):
    content, words = HOSTILE[name]
    (tmp_path / "a.dcm").write_bytes(content())
    with pytest.raises(ImageError, match=words) as caught:
        read_dicom_grey(tmp_path / "a.dcm")
    assert str(tmp_path) not in str(caught.value)
