"""Hostile files are accepted or set aside with a reason, in bounded time and memory, and never crash a scan."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.files import hostile_files, huge_files, special_files
from tests.hostile.reading import BYTES, SECONDS
from tests.kills import balance
from tests.tiny import write_xrays

ROOT = Path(__file__).parents[2]


def read_all(paths):
    """What each reader said of each file, with its seconds and bytes."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.hostile.reading"]
    names = "\n".join(map(str, paths))
    done = subprocess.run(command, input=names, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def misdeeds(rows):
    """What must not be: a crash, a reader that takes too long or too much, a file set aside without a reason."""
    for row in rows:
        name = Path(row["path"]).name
        yield from (f"{name}: {said}" for said in row["said"].values() if "CRASH" in said)
        yield from (
            f"{name}: no reason" for said in row["said"].values() if said.rpartition("aside: ")[2] in ("", name)
        )
        if row["seconds"] > SECONDS or row["bytes"] > BYTES:
            yield f"{name}: {row['seconds']} s, {row['bytes'] >> 20} MiB"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A class full of hostile files beside two sound ones."""
    root = write_xrays(tmp_path_factory.mktemp("hostile") / "xrays", {"NORMAL": 12, "NODULE": 12})
    (root / "HOSTILE").mkdir()
    for name, content in hostile_files():
        (root / "HOSTILE" / name).write_bytes(content)
    huge_files(root / "HOSTILE")
    return root


def test_every_file_is_accepted_or_set_aside_within_limits(folder):
    paths = sorted((folder / "HOSTILE").iterdir())
    rows = read_all(paths)
    assert len(rows) == len(paths) > 300
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
    process = balance(tmp_path, "scan", str(folder), "--json", *options)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output[-2000:]
    assert "Traceback" not in output
    assert "Warning:" not in output
    found = json.loads(output[output.index("{\n") : output.rindex("}") + 1])
    aside = {path for each in found["findings"] if each["kind"] == "unreadable" for path in each["paths"]}
    there = {path.relative_to(folder).as_posix() for path in (folder / "HOSTILE").iterdir()}
    ignored = {path for each in found["findings"] if each["kind"] == "ignored-file" for path in each["paths"]}
    counted = found["classes"]["HOSTILE"]["images"]
    assert aside | ignored <= there
    assert counted + len(aside) + len(ignored) == len(there)
    assert {"HOSTILE/giant-header.png", "HOSTILE/huge-1.png", "HOSTILE/tags.tif"} <= aside


def test_what_is_no_plain_file_is_set_aside(tmp_path):
    root = write_xrays(tmp_path / "xrays", {"NORMAL": 12, "NODULE": 12})
    paths = special_files(root / "NODULE")
    assert list(misdeeds(read_all([path for path in paths if path.suffix in (".png", ".jpg")]))) == []
    process = balance(tmp_path, "scan", str(root), "--deep")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "NODULE" in output
    assert "pipe.png" in output or "ignored-file" in output
    (root / "NODULE" / "closed").chmod(0o700)
