"""Presets on miniatures of public collections; without one each is read right, or refused with the preset offered."""

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec

import jsonschema
import pytest
from typer.testing import CliRunner

from balancer.cli.app import app
from balancer.collection.presets import find_preset
from balancer.collection.walk import canonical_part
from balancer.errors import BalanceError
from tests.conftest import XRAYS
from tests.support.cli_process import ROOT
from tests.support.layouts import draw
from tests.support.public_layouts import MINIATURES

SCHEMA = json.loads((ROOT / "balancer" / "cli" / "scan.schema.json").read_text("utf-8"))
READS_DICOM = find_spec("balancer.imaging.dicom") is not None


@dataclass(frozen=True)
class Done:
    """What the command gave: exit code, what it printed for programs, and for people."""

    returncode: int
    stdout: str
    stderr: str


def command(folder, *arguments):
    """`balance` in this process, which costs a tenth of a process of its own."""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, BalanceError):
        return Done(2, "", f"{done.stderr}{done.exception}\n")
    assert done.exception is None, done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def counts(found):
    return {label: each["images"]["all"] for label, each in found["classes"].items() if each["images"]["all"]}


@pytest.mark.parametrize("name", MINIATURES)
def test_a_preset_reads_its_collection(tmp_path, name):
    root = tmp_path / "collection"
    right = MINIATURES[name](root)
    done = command(tmp_path, "scan", "collection", "--preset", name, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    assert counts(found) == right.classes
    assert (found["patients"]["count"], found["splits"]) == (right.patients, right.splits)
    assert found["ignored"] == right.ignored
    assert found["source"]["preset"] == name


@pytest.mark.parametrize("name", MINIATURES)
def test_without_it_the_collection_is_read_right_or_the_preset_is_offered(tmp_path, name):
    right = MINIATURES[name](tmp_path / "collection")
    done = command(tmp_path, "scan", "collection", "--json")
    if done.returncode == 0:
        found = json.loads(done.stdout)
        assert (counts(found), found["splits"]) == (right.classes, right.splits)
    else:
        assert done.returncode == 2
        assert f"--preset {find_preset(name).name}\n" in done.stderr


def test_a_layout_that_is_read_right_is_recognised_too(tmp_path):
    """And the test above cannot pass by refusing everything."""
    MINIATURES["kermany"](tmp_path / "kermany")
    MINIATURES["fracatlas"](tmp_path / "fracatlas")
    for name, folder in (("kermany", "kermany"), ("fracatlas", "fracatlas/images")):
        done = command(tmp_path, "scan", folder)
        code, output = done.returncode, done.stdout + done.stderr
        assert (code, f"--preset {name} also reads" in output) == (0, True)
        assert "also reads" not in command(tmp_path, "scan", folder).stderr  # said once


def test_files_named_like_those_of_a_collection_in_other_classes_are_not_taken_for_it(tmp_path):
    for number in range(4):
        draw(tmp_path / "x" / "train" / "NORMAL" / f"IM-{number:04}-0001.jpeg")
        draw(tmp_path / "x" / "train" / "VIRAL" / f"person{number}_virus_1.jpeg")
    done = command(tmp_path, "scan", "x")
    code, output = done.returncode, done.stdout + done.stderr
    assert (code, "looks like" in output) == (0, False)


def test_a_preset_is_remembered_and_said(tmp_path):
    MINIATURES["nih"](tmp_path / "x")
    first = command(tmp_path, "scan", "x", "--preset", "nih", "--json")
    again = command(tmp_path, "scan", "x", "--json")
    assert again.stdout == first.stdout
    assert "Labels as in the last scan: --preset 'nih' (" in again.stderr
    chosen = json.loads(command(tmp_path, "scan", "x", "--target-label", "Mass", "--json").stdout)
    assert counts(chosen) == {"Mass": 6, "no Mass": 6}
    assert chosen["source"]["preset"] == "nih"


def test_lists_that_are_not_there_are_named_and_a_table_that_is_not_there_is_needed(tmp_path):
    MINIATURES["nih"](tmp_path / "x")
    (tmp_path / "x" / "test_list.txt").unlink()
    done = command(tmp_path, "scan", "x", "--preset", "nih", "--json")
    assert "would also read test_list.txt, which is not there" in done.stderr
    assert json.loads(done.stdout)["splits"] is None
    (tmp_path / "x" / "Data_Entry_2017_v2020.csv").unlink()
    done = command(tmp_path, "scan", "x", "--preset", "nih")
    code, output = done.returncode, done.stdout + done.stderr
    assert (code, "Data_Entry_2017*.csv or sample_labels.csv of NIH ChestX-ray14, in x" in output) == (2, True)


def test_what_a_preset_decides_is_said(tmp_path):
    MINIATURES["siim"](tmp_path / "x")
    said = command(tmp_path, "scan", "x", "--preset", "siim", "--json").stderr
    assert "SIIM-ACR Pneumothorax Segmentation: any mask is a pneumothorax, -1 is none;" in said


def test_presets_are_listed(tmp_path):
    listed = command(tmp_path, "presets").stdout
    known = json.loads(command(tmp_path, "presets", "--json").stdout)
    assert all(name in listed and each["title"] in listed for name, each in known.items())
    assert known["shenzhen-tb"]["aliases"] == ["shenzhen", "montgomery"]
    assert known["nih"]["options"]["separator"] == "|"


def test_a_preset_of_the_users_own(tmp_path):
    MINIATURES["nih"](tmp_path / "x")
    (tmp_path / "x" / "Data_Entry_2017_v2020.csv").rename(tmp_path / "x" / "labels.csv")
    (tmp_path / "mine.yaml").write_text(
        "mine:\n  labels: [labels.csv]\n  columns: ['file=Image Index label=Finding Labels patient=Patient ID']\n"
        "  separator: '|'\n"
    )
    done = command(tmp_path, "scan", "x", "--preset", "./mine.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert counts(json.loads(done.stdout)) == {"Effusion": 6, "Mass": 6, "No Finding": 3}


def test_numbered_folders_beside_a_table_are_no_grades(tmp_path):
    MINIATURES["padchest"](tmp_path / "x")
    (tmp_path / "x" / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv").rename(tmp_path / "x" / "all.csv")
    done = command(tmp_path, "scan", "x")
    code, output = done.returncode, done.stdout + done.stderr
    assert (code, "they are numbers, and a table beside them" in output, "--labels x/all.csv" in output) == (
        2, True, True,
    )  # fmt: skip
    assert command(tmp_path, "scan", "x", "--as-is").returncode == 0


# What follows reads the layouts of ../shared/data/layouts.py, which are larger and made by another hand.

NAMES = (
    *("nih", "chexpert", "mimic-cxr-jpg", "vindr-cxr", "rsna-pneumonia", "mura", "kermany", "fracatlas"),
    *("shenzhen-tb", "knee-oa", "covid-radiography", "hospital-dicom"),
)
DICOM = ("vindr-cxr", "rsna-pneumonia", "hospital-dicom")


@pytest.fixture(scope="session")
def layouts(tmp_path_factory):
    """The twelve layouts, as their script writes them."""
    script = XRAYS / "layouts.py"
    if not script.is_file() or find_spec("pydicom") is None:
        pytest.skip("needs ../shared/data/layouts.py, and pydicom to write its DICOM files")
    folder = tmp_path_factory.mktemp("layouts")
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return folder


def expected(layouts, name):
    return json.loads((layouts / f"{name}.expected.json").read_text("utf-8"))


def point_at(layouts, name):
    return str(layouts / name / expected(layouts, name)["point_at"])


def with_hints(layouts, name):
    if name != "hospital-dicom":
        return point_at(layouts, name), "--preset", name
    columns = "file=dicom:AccessionNumber label=label"
    return str(layouts / name), "--labels", str(layouts / name / "labels.csv"), "--columns", columns


def is_right(found, right, read):
    """Whether images, labels and what is known of them are as expected; where it is not told, it may be unknown."""
    unread = 0 if found["unreadable"] else len(right["unreadable"])  # a reading of headers may count such a file
    assert abs(found["images"] - right["images"]) in {0, unread}
    several = [right["classes"], *right.get("also_right", {}).values()]
    names = counts(found)
    digits = all(label.isdecimal() for label in right["classes"])
    assert any(_alike(names, each, digits, unread) for each in several)
    assert found["patients"]["count"] in ({right["patients"]} if read else {right["patients"], None})
    splits = {canonical_part(part): count for part, count in (right["splits"] or {}).items()}
    assert (found["splits"] or {}) == splits
    assert found["multi_label"] == right["multi_label"]
    if read:
        assert found["ignored"] == right["ignored"]


def _alike(names, each, digits, unread):
    if sum(names.values()) - sum(each.values()) not in {0, unread}:
        return False
    if digits:
        return sorted(names.values()) == sorted(each.values())
    return names.keys() == each.keys() and all(0 <= names[label] - each[label] <= unread for label in each)


@pytest.mark.parametrize("name", NAMES)
def test_a_layout_is_read_right_with_its_preset(layouts, tmp_path, name):
    done = command(tmp_path, "scan", *with_hints(layouts, name), "--json")
    if name in DICOM and not READS_DICOM:
        assert (done.returncode, "DICOM" in done.stderr) == (2, True)
        return
    assert done.returncode == 0, done.stderr
    is_right(json.loads(done.stdout), expected(layouts, name), read=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_layout_is_never_silently_misread(layouts, tmp_path, name):
    done = command(tmp_path, "scan", point_at(layouts, name), "--json")
    if done.returncode == 0:
        is_right(json.loads(done.stdout), expected(layouts, name), read=False)
        return
    assert done.returncode == 2
    assert "--" in done.stderr if name not in DICOM or READS_DICOM else "DICOM" in done.stderr


def test_a_deep_scan_leaves_out_what_cannot_be_decoded(layouts, tmp_path):
    right = expected(layouts, "fracatlas")
    done = command(tmp_path, "scan", *with_hints(layouts, "fracatlas"), "--deep", "--json")
    found = json.loads(done.stdout)
    assert (found["images"], counts(found), found["views"]) == (right["images"], right["classes"], right["views"])
    assert [f"FracAtlas/images/{path}" for path in found["unreadable"]] == right["unreadable"]


@pytest.mark.parametrize("name", ["vindr-cxr", "rsna-pneumonia"])
def test_columns_and_policy_of_a_dicom_collection_that_was_exported_as_png(layouts, tmp_path, name):
    """The same names with another picture behind each: all that the tables tell is as expected."""
    for table in (layouts / name).rglob("*.csv"):
        copy = tmp_path / "x" / table.relative_to(layouts / name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(table.read_bytes())
    for path in [*(layouts / name).rglob("*.dcm"), *(layouts / name).rglob("*.dicom")]:
        draw((tmp_path / "x" / path.relative_to(layouts / name)).with_suffix(".png"))
    done = command(tmp_path, "scan", "x", "--preset", name, "--json")
    assert done.returncode == 0, done.stderr
    is_right(json.loads(done.stdout), expected(layouts, name), read=True)
