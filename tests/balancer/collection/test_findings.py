import shutil
import unicodedata

import pytest
from PIL import Image

from balancer.collection.deep_scan import look_inside
from balancer.collection.findings import INSIDE, KINDS, SAME_IMAGE
from balancer.collection.image_stats import read_contents
from balancer.collection.metadata_table import read_table
from balancer.collection.scan import scan
from tests.support.scan_faults import (
    PATIENT,
    PLANTS,
    copy_altered,
    every,
    first,
    framed,
    lettered,
    redraw,
    table_of,
    write_clean,
    write_table,
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return write_clean(tmp_path_factory.mktemp("drawn") / "clean")


@pytest.fixture
def clean(drawn, tmp_path):
    shutil.copytree(drawn, tmp_path / "xrays")
    return tmp_path / "xrays"


def deep(root, patient=PATIENT):
    found = scan(root, patient, table=table(root))
    return look_inside(found, read_contents(root, found.images, {}))


def table(root):
    return read_table(table_of(root)) if table_of(root).exists() else None


def kinds(found):
    return {finding.kind for finding in found.findings}


def test_nothing_is_found_in_a_clean_collection(clean):
    assert deep(clean).findings == ()
    write_table(clean)
    assert deep(clean).findings == ()


OF_SOURCES = {"several-labels", "uncertain-labels", "no-split", "rows-without-file"}
"""Kinds of tables of labels, planted in `sources/`."""
OF_LABEL_SETS = {"contradicting-labels", "not-in-training", "never-alone"}
"""Kinds of images with several findings, planted in `test_label_sets.py`."""
OF_LISTS = {"suspected-label", "excluded"}
"""Kinds of a label check and of a list, planted in `tests/analysis/labels` and `splits/test_exclusion.py`."""
OF_DICOM = {"no-pixels", "derived-image", "polarity-contradiction", "burned-in", "dicom-patient"}
"""Kinds of DICOM headers, planted in `sources/test_dicom_headers.py`."""


def test_every_kind_can_be_planted():
    assert PLANTS.keys() == KINDS.keys() - OF_SOURCES - OF_LABEL_SETS - OF_DICOM - OF_LISTS
    assert {*SAME_IMAGE, *INSIDE} <= KINDS.keys()


COMPANIONS = {
    "leak": {"no-patient"},
    "label-conflict": {"no-patient"},
    "duplicate": {"no-patient"},
    "alike-class-names": {"shortcut"},
}
"""What else a plant truly is: its file is named without a patient, for one."""


@pytest.mark.parametrize("kind", PLANTS)
def test_what_is_planted_is_found_and_nothing_else(clean, kind):
    PLANTS[kind](clean)
    found = kinds(deep(clean))
    assert kind in found
    assert found <= {kind} | COMPANIONS.get(kind, set())
    assert (kind in kinds(scan(clean, PATIENT, table=table(clean)))) == (kind not in INSIDE)


def test_unreadable_files_are_told_apart(clean):
    folder = clean / "train" / "normal"
    whole = first(clean, "train", "normal").read_bytes()
    (folder / "p1-a.png").write_bytes(b"")
    (folder / "p1-b.jpg").write_text("<html>not found</html>")
    (folder / "p1-c.png").write_bytes(whole[: len(whole) // 2])
    (folder / "p1-d.png").write_bytes(whole[:-2000] + bytes(1000) + whole[-1000:])
    found = {
        finding.message.split(":")[0]: [path.name for path in finding.paths]
        for finding in deep(clean).findings
        if finding.kind == "unreadable"
    }
    assert found == {
        "empty": ["p1-a.png"],
        "not an image": ["p1-b.jpg"],
        "truncated": ["p1-c.png"],
        "damaged": ["p1-d.png"],
    }


def test_what_cannot_be_decoded_does_not_count(clean):
    path = first(clean, "train", "normal")
    path.write_bytes(path.read_bytes()[:-3000])
    name = path.relative_to(clean).as_posix()
    assert name in scan(clean, PATIENT).images.index
    assert name not in deep(clean).images.index


def test_class_names_in_two_unicode_forms_look_alike(clean):
    for part in ("train", "test"):
        for form, label in (("NFC", "normal"), ("NFD", "nodule")):
            shutil.move(clean / part / label, clean / part / unicodedata.normalize(form, "épanchement"))
    found = scan(clean, PATIENT).findings
    assert [finding.kind for finding in found] == ["alike-class-names"]
    assert "\\xe9" in found[0].message
    assert "e\\u0301" in found[0].message


@pytest.mark.parametrize(("change", "words"), [(framed, "inside a white border"), (lettered, "with letters")])
def test_borders_and_letters_of_one_class_are_shortcuts(clean, change, words):
    redraw(every(clean, "nodule"), change)
    found = deep(clean)
    assert [finding.kind for finding in found.findings] == ["shortcut"]
    assert f"100% of nodule are {words}" in found.findings[0].message
    assert len(found.findings[0].paths) == 26
    assert scan(clean, PATIENT).findings == ()


def test_borders_and_letters_of_all_classes_are_none(clean):
    redraw(every(clean, "*"), framed)
    redraw(every(clean, "*"), lettered)
    assert deep(clean).findings == ()


def test_the_message_of_a_wrong_extension_counts_the_formats(clean):
    for path in every(clean, "normal")[:3]:
        with Image.open(path) as image:
            image.save(path, "JPEG", quality=95)
    wrong = [finding for finding in scan(clean, PATIENT).findings if finding.kind == "wrong-extension"]
    assert wrong[0].message.endswith(": 3 JPEG called .png")
    assert len(wrong[0].paths) == 3


@pytest.mark.parametrize("copy", ["exact", "brightened"])
def test_the_same_image_in_two_classes_and_two_parts_is_a_leak_too(clean, copy):
    image = first(clean, "train", "normal")
    if copy == "exact":
        shutil.copy(image, clean / "test" / "nodule" / f"{image.stem}-copy.png")
    else:
        copy_altered(image, clean / "test" / "nodule" / f"{image.stem}-copy", copy)
    near = "" if copy == "exact" else "near-"
    assert {f"{near}leak", f"{near}label-conflict"} <= kinds(deep(clean))
