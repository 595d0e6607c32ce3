"""Hostile files are accepted or set aside with a reason, in bounded time and memory, and never crash a scan."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from balancer.errors import ImageError
from balancer.imaging.decode import read_grey, read_header, read_xmp
from balancer.imaging.decode_limits import MAX_PIXELS
from balancer.imaging.headers import quick_header
from balancer.imaging.safe_open import opened
from tests.hostile.files import CODECS, GREY, hostile_files, huge_files, png, saved, special_files
from tests.hostile.reading import BYTES
from tests.support.cli_process import apart, run
from tests.support.dicom_files import content_of, deep, header, jpeg_in_dicom
from tests.support.tiny_models import write_xrays

ROOT = Path(__file__).parents[2]


def read_all(paths):
    """What each reader said of each file, with its seconds and bytes."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.hostile.reading"]
    names = "\n".join(map(str, paths))
    done = subprocess.run(command, input=names, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def misdeeds(rows):
    """What must not be: a crash, a reader that hangs or takes too much memory, a file set aside without a reason."""
    for row in rows:
        name = Path(row["path"]).name
        yield from (f"{name}: {said}" for said in row["said"].values() if "CRASH" in said)
        yield from (
            f"{name}: no reason" for said in row["said"].values() if said.rpartition("aside: ")[2] in ("", name)
        )
        if row["bytes"] > BYTES:
            yield f"{name}: {row['bytes'] >> 20} MiB"


@pytest.fixture(scope="module", params=[2000, pytest.param(24, marks=pytest.mark.slow)])
def folder(tmp_path_factory, request):
    """A class full of hostile files beside two sound ones; one byte in so many is turned."""
    root = write_xrays(tmp_path_factory.mktemp("hostile") / "xrays", {"NORMAL": 12, "NODULE": 12})
    (root / "HOSTILE").mkdir()
    for name, content in hostile_files(every=request.param):
        (root / "HOSTILE" / name).write_bytes(content)
    huge_files(root / "HOSTILE")
    return root


def test_every_file_is_accepted_or_set_aside_within_limits(folder):
    paths = sorted((folder / "HOSTILE").iterdir())
    rows = read_all(paths)
    assert len(rows) == len(paths) > 150
    assert list(misdeeds(rows)) == []
    said = {Path(row["path"]).name: row["said"]["grey"] for row in rows}
    assert said["cmyk.jpg"] == said["tall.png"] == said["animated.png"] == said["deep-full.tif"] == "accepted"
    for name in (
        "giant-header.png",
        "scans.jpg",
        "huge-1.png",
        "tags.tif",
        "fill-bytes.jpg",
        "nan.tif",
        "no-palette.png",
    ):
        assert said[name].startswith("aside: "), (name, said[name])


@pytest.mark.parametrize("options", [(), ("--deep",)])
def test_a_scan_over_all_of_them_says_what_became_of_each(folder, tmp_path, options):
    done = apart(tmp_path, "scan", str(folder), "--json", *options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Warning:" not in done.stderr
    found = json.loads(done.stdout)
    aside = {path for each in found["findings"] if each["kind"] == "unreadable" for path in each["paths"]}
    there = {path.relative_to(folder).as_posix() for path in (folder / "HOSTILE").iterdir()}
    ignored = {path for each in found["findings"] if each["kind"] == "ignored-file" for path in each["paths"]}
    counted = found["classes"]["HOSTILE"]["images"]["all"]
    assert aside | ignored <= there
    assert counted + len(aside) + len(ignored) == len(there)
    assert {"HOSTILE/giant-header.png", "HOSTILE/huge-1.png", "HOSTILE/tags.tif"} <= aside


def test_what_is_no_plain_file_is_set_aside(tmp_path):
    root = write_xrays(tmp_path / "xrays", {"NORMAL": 12, "NODULE": 12})
    paths = special_files(root / "NODULE")
    assert list(misdeeds(read_all([path for path in paths if path.suffix in (".png", ".jpg")]))) == []
    code, output = run(tmp_path, "scan", str(root), "--deep")
    assert code == 0, output
    assert "NODULE" in output
    assert "pipe.png" in output or "ignored-file" in output
    (root / "NODULE" / "closed").chmod(0o700)


SOUND = {suffix: saved(Image.fromarray(GREY), codec) for suffix, codec in CODECS.items()}
SOUND |= {"dcm": content_of(header(deep(GREY))), "jpeg.dcm": content_of(jpeg_in_dicom(GREY))}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(sorted(SOUND)),
    place=st.integers(0, 600),
    cut=st.integers(0, 12),
    content=st.binary(max_size=12),
)
def test_any_damage_leaves_an_image_or_a_message(tmp_path, suffix, place, cut, content):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(SOUND[suffix][:place] + content + SOUND[suffix][place + cut :])
    for read in (read_header, read_grey, read_xmp):
        try:
            found = read(path)
        except ImageError as error:
            found = error.found
        assert found is None or isinstance(found, str | bytes | np.ndarray) or found.width * found.height <= MAX_PIXELS


@settings(max_examples=300, deadline=None)
@given(
    head=st.binary(max_size=100), begin=st.sampled_from([b"", b"\xff\xd8\xff", SOUND["png"][:16], SOUND["jpg"][:150]])
)
def test_any_head_is_a_header_or_none(head, begin):
    found = quick_header(begin + head)
    assert found is None or 0 < found.width * found.height <= MAX_PIXELS


def test_the_largest_image_is_decoded_and_one_pixel_more_is_not(tmp_path):
    for width, readable in ((MAX_PIXELS, True), (MAX_PIXELS + 1, False)):
        (tmp_path / "a.png").write_bytes(png(width, 1))
        assert (quick_header(png(width, 1)) is not None) == readable
    with pytest.raises(ImageError, match=r"a\.png: too large: 50,000,001 x 1 pixels"):
        read_header(tmp_path / "a.png")


def test_a_pipe_is_no_image_and_nobody_waits_for_it(tmp_path):
    import os

    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png: not a regular file"), opened(tmp_path / "a.png"):
        pass
