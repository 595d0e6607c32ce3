"""A silent misreading is worse than a refusal: what looks like no class stops a scan, what may be one does not."""

from itertools import combinations

import pytest

from balancer.collection.guard import doubts
from balancer.collection.scan import scan
from balancer.errors import CollectionError
from tests.support.cli_process import run
from tests.support.tiny_models import write_xrays

ORDINARY = (
    *("NORMAL", "PNEUMONIA", "BACTERIAL_PNEUMONIA", "COVID-19", "Tuberculosis", "Pleural Effusion", "No Finding"),
    *("Non_fractured", "Fractured", "Grade 1", "KL-3", "BI-RADS 4", "Stage 2", "benign", "malignant", "T1"),
    *("Left Lower Lobe Collapse", "Hip Dysplasia", "rib fracture", "Part-solid nodule", "Test positive", "Type 2"),
    *("trained athlete heart", "Mask artefact", "PA enlargement", "Support Devices", "Case control mix", "label_0"),
    *("Patient rotated", "Foreign body", "wrist_fracture_left", "study_quality_poor", "Data error", "TR", "0", "1"),
)
"""Names that classes may have, though some hold a word that is suspicious elsewhere."""
WRONG = {
    "archive": ("images_001", "images_002"),
    "parts of an archive": ("images_part1", "images_part2", "images_part3"),
    "patients": ("patient00001", "patient00002"),
    "short patients": ("p10", "p11", "p12"),
    "studies": ("study1_positive", "study2_negative"),
    "numbers of patients": ("00000013", "00000014"),
    "dates": ("2019-01-02", "2019-02-05"),
    "years": ("2018", "2019", "2020"),
    "identifiers": ("1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"),
    "hexadecimal": ("0a1b2c3d4e5f", "f00dbabe1234"),
    "sides": ("left", "right"),
    "knees": ("knee_left", "knee_right"),
    "body parts": ("XR_ELBOW", "XR_HAND", "XR_WRIST"),
    "views": ("PA", "AP", "Lateral"),
    "sexes": ("male", "female"),
    "splits": ("train", "test"),
    "long splits": ("stage_2_train_images", "stage_2_test_images"),
    "a split beside classes": ("health", "sick", "tb", "test"),
    "weak splits": ("trn", "dev", "eval"),
    "masks": ("COVID", "masks"),
    "annotations": ("CXR_png", "Annotations-2"),
    "a folder of images": ("images", "NORMAL"),
    "numbers": ("0", "12", "37"),
}


@pytest.mark.parametrize("names", WRONG.values(), ids=WRONG)
def test_what_looks_like_no_class_is_doubted(names):
    assert list(doubts(dict.fromkeys(names, 30)))


def test_ordinary_names_are_not_doubted():
    assert len(ORDINARY) >= 30
    assert {pair: found for pair in combinations(ORDINARY, 2) if (found := list(doubts(dict.fromkeys(pair, 30))))} == {}
    assert list(doubts(dict.fromkeys(ORDINARY, 30))) == []


def test_grades_are_not_doubted_but_told(tmp_path):
    root = write_xrays(tmp_path / "knees", dict.fromkeys("01234", 12))
    assert list(doubts(dict.fromkeys("01234", 12))) == []
    found = [each for each in scan(root).findings if each.kind == "numbered-classes"]
    assert [each.fix.count("--pack") for each in found] == [1]


@pytest.mark.parametrize(
    "counts", [dict.fromkeys("ABCDE", 1), dict.fromkeys(map(str.__mul__, "A" * 60, range(1, 61)), 2)]
)
def test_one_image_in_nearly_every_class_is_doubted(counts):
    assert list(doubts(counts))


def test_masks_inside_a_class_and_splits_inside_a_class_are_doubted():
    counts = {"COVID": 20, "NORMAL": 20}
    assert list(doubts(counts, {"COVID": ["images", "masks"]}))
    assert list(doubts(counts, {"COVID": ["train", "test"]}))
    assert not list(doubts(counts, {"COVID": ["images", "2019"]}))


def test_the_message_shows_what_was_taken_why_not_and_what_to_type(tmp_path):
    root = write_xrays(tmp_path / "d" / "nih" / "x", {"images_001": 3, "images_002": 2}).parent
    (root / "x").rename(root.with_name("set"))
    (root.with_name("set") / "meta.csv").write_text("file,label\n")
    code, output = run(tmp_path, "scan", "d/set")
    assert code == 2
    assert "images_001 (3), images_002 (2)" in output
    assert "called like parts of an archive" in output
    assert "balance scan d/set --labels d/set/meta.csv --columns 'file=COLUMN label=COLUMN'" in output
    assert "balance scan d/set --as-is" in output
    assert not list(tmp_path.glob("**/.balance/ledger.sqlite-wal"))


def test_as_is_overrides_and_is_remembered(tmp_path):
    write_xrays(tmp_path / "d", {"images_001": 3, "images_002": 2})
    assert run(tmp_path, "scan", "d", "--as-is")[0] == 0
    assert run(tmp_path, "scan", "d")[0] == 0


@pytest.mark.parametrize("name", ["TR", "dev", "eval"])
def test_a_class_called_like_a_split_is_none_of_its_patients(tmp_path, name):
    """TR is tricuspid regurgitation, dev a deviation, for instance, with a folder for each patient."""
    write_xrays(tmp_path / "d" / name, {"p1": 4, "p2": 4})
    write_xrays(tmp_path / "d" / "NORMAL", {"p3": 4, "p4": 4}, size=(30, 30))
    assert scan(tmp_path / "d").labels == ["NORMAL", name]


def test_splits_below_their_classes_are_doubted(tmp_path):
    for label in ("A", "B"):
        write_xrays(tmp_path / "d" / label, {"train": 4, "test": 4})
    with pytest.raises(CollectionError, match="of its own, which would be mixed"):
        scan(tmp_path / "d")


def test_a_second_copy_is_left_out_and_named(tmp_path):
    for place in (tmp_path / "d", tmp_path / "d" / "d"):
        for number, part in enumerate(("train", "test")):
            write_xrays(place / part, {"A": 3, "B": 3}, size=(30 + number, 30))
    found = scan(tmp_path / "d")
    assert len(found.images) == 12
    assert [str(each.paths[0]) for each in found.findings if "once more" in each.message] == ["d"]


def test_the_real_pediatric_set_is_not_doubted(real_xrays):
    assert len(scan(real_xrays / "pediatric-cxr-224").labels) == 3
    assert len(scan(real_xrays / "pediatric-cxr-native").labels) == 3
