import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from balancer.collection.deep_scan import look_inside
from balancer.collection.image_stats import read_contents
from balancer.collection.scan import patient_groups, samples, scan, with_hashes
from balancer.collection.walk import canonical_part
from balancer.errors import CollectionError
from balancer.imaging.decode import read_grey
from tests.support.tiny_models import write_xrays

PATIENT = r"(p\d+)-"


def told(collection):
    """The findings, without those of small classes: the drawn ones are small on purpose."""
    return [finding for finding in collection.findings if not finding.kind.startswith("few-")]


def kinds(collection):
    return [finding.kind for finding in told(collection)]


def test_a_flat_folder(xrays):
    found = scan(xrays, PATIENT)
    assert found.labels == ["EFFUSION", "NODULE", "NORMAL"]
    assert found.images["label"].value_counts().to_dict() == {"NORMAL": 40, "EFFUSION": 24, "NODULE": 8}
    assert not found.has_parts
    assert kinds(found) == []
    row = found.images.loc["NODULE/p2000-0.png"]
    assert (row.patient, row.format, row["mode"], row.bits, row.width, row.height) == ("p2000", "PNG", "L", 8, 32, 32)
    assert (row["size"], row.mtime_ns) == (lambda s: (s.st_size, s.st_mtime_ns))((xrays / row.name).stat())


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "validation", "TESTING"), ("trn", "dev", "eval")]
)
def test_a_split_folder_by_its_usual_names(tmp_path, names):
    for name in names:
        write_xrays(tmp_path / "data" / name, {"A": 3, "B": 2})
    found = scan(tmp_path / "data")
    assert found.images["part"].value_counts().to_dict() == dict.fromkeys(names, 5)
    assert [canonical_part(name) for name in names] == ["train", "val", "test"]
    assert kinds(found).count("leak") == 5  # the same images in all three


def test_classes_that_are_called_like_parts_are_classes_where_the_user_says_so(tmp_path):
    root = write_xrays(tmp_path / "d", {"test": 2, "train": 2})
    assert scan(root, as_is=True).labels == ["test", "train"]
    with pytest.raises(CollectionError, match="named like splits"):
        scan(root)


def test_nested_folders_belong_to_their_class(xrays):
    (xrays / "NODULE" / "more" / "deep").mkdir(parents=True)
    shutil.move(xrays / "NODULE" / "p2000-0.png", xrays / "NODULE" / "more" / "deep" / "p2000-0.png")
    assert scan(xrays).images.loc["NODULE/more/deep/p2000-0.png"].label == "NODULE"


def test_a_link_that_leads_back_is_walked_once(xrays):
    (xrays / "NODULE" / "again").symlink_to(xrays / "NODULE")
    assert len(scan(xrays).images) == 72


def test_the_patient_is_the_first_group_or_the_whole_match_below_the_class(xrays):
    assert scan(xrays, r"p(\d)\d+").images["patient"].unique().tolist() == ["1", "2", "0"]
    assert scan(xrays, r"^p\d{4}").images["patient"].nunique() == 36


def test_groups_show_whether_the_expression_is_right(xrays):
    groups = patient_groups(scan(xrays, PATIENT).images)
    assert [size for _, size, _ in groups] == [2] * 4
    assert groups[0][2] == ("NORMAL/p0000-0.png", "NORMAL/p0000-1.png")
    assert patient_groups(scan(xrays, r"(p\d)").images)[0][:2] == ("p0", 40)


def test_files_without_a_patient_are_a_finding(xrays):
    found = scan(xrays, r"(p2\d+)")
    assert kinds(found) == ["no-patient"]
    assert len(told(found)[0].paths) == 64


def test_exact_duplicates_are_found_and_told_apart(tmp_path):
    root = tmp_path / "d"
    write_xrays(root / "train", {"A": 4, "B": 4})
    write_xrays(root / "test", {"C": 1, "A": 4}, size=(30, 32))
    shutil.copy(root / "train/A/p0000-0.png", root / "train/A/copy.png")
    shutil.copy(root / "train/A/p0000-1.png", root / "train/B/copy.png")
    shutil.copy(root / "train/A/p0001-0.png", root / "test/A/copy.png")
    assert [(f.kind, [str(path) for path in f.paths]) for f in told(scan(root))] == [
        ("leak", ["test/A/copy.png", "train/A/p0001-0.png"]),
        ("duplicate", ["train/A/copy.png", "train/A/p0000-0.png"]),
        ("label-conflict", ["train/A/p0000-1.png", "train/B/copy.png"]),
    ]


def test_a_patient_in_two_parts_is_a_leak(tmp_path):
    write_xrays(tmp_path / "d" / "train", {"A": 4, "B": 4})
    write_xrays(tmp_path / "d" / "test", {"C": 2, "A": 4, "B": 6}, size=(30, 32))
    found = [f for f in scan(tmp_path / "d", PATIENT).findings if f.kind == "patient-leak"]
    assert len(found) == 1
    assert found[0].message.startswith("3 patients are in more than one split")


def test_unreadable_files_are_findings_and_not_counted(xrays):
    (xrays / "NODULE" / "empty.png").write_bytes(b"")
    (xrays / "NODULE" / "text.jpg").write_text("hello")
    whole = (xrays / "NODULE" / "p2000-0.png").read_bytes()
    (xrays / "NODULE" / "cut.png").write_bytes(whole[: len(whole) // 2])
    found = scan(xrays)
    assert [str(f.paths[0]) for f in found.findings if f.kind == "unreadable"] == [
        "NODULE/empty.png",
        "NODULE/text.jpg",
    ]
    assert "NODULE/cut.png" in found.images.index  # its header is sound
    assert [f.message.split(":")[0] for f in told(found)] == ["empty", "not an image"]


def test_what_is_not_read_is_said(xrays):
    (xrays / "NODULE" / "scan.gif").write_bytes(b"GIF89a")
    (xrays / "EMPTY").mkdir()
    (xrays / ".cache").mkdir()
    (xrays / "notes.txt").write_text("beside the classes")
    found = scan(xrays)
    assert {f.kind: str(f.paths[0]) for f in told(found)} == {
        "hidden-folder": ".cache",
        "empty-class": "EMPTY",
        "ignored-file": "NODULE/scan.gif",
    }


def test_a_folder_beside_the_parts_is_said(tmp_path):
    for part in ("train", "test", "old"):
        write_xrays(tmp_path / "d" / part, {"A": 2, "B": 2})
    assert [f.kind for f in scan(tmp_path / "d").findings if "old" in map(str, f.paths)] == ["ignored-folder"]


def test_unchanged_files_are_not_read_again(xrays):
    first = with_hashes(scan(xrays), scan(xrays).images.index)
    path = xrays / "NODULE" / "p2000-0.png"
    stat = path.stat()
    path.write_bytes(b"x" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = scan(xrays, known=first)
    pd.testing.assert_frame_equal(again.images, first.images)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert kinds(scan(xrays, known=first)) == ["unreadable"]


def turn(path, orientation=6):
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(path) as image:
        image.save(path, exif=exif)


def test_files_that_exif_turns_are_told_and_kept_in_mind(xrays):
    """Loaders disagree about them: torchvision takes the pixels as they are stored, Hugging Face's turns them."""
    for name in ("p2000-0.png", "p2001-0.png"):
        turn(xrays / "NODULE" / name)
    turn(xrays / "NODULE" / "p2002-0.png", 1)
    first = scan(xrays)
    (told,) = (finding for finding in first.findings if finding.kind == "turned-by-exif")
    assert sorted(map(str, told.paths)) == ["NODULE/p2000-0.png", "NODULE/p2001-0.png"]
    assert "Hugging Face's loader turns them, torchvision's ImageFolder and balance take the pixels" in told.message
    turn(xrays / "NODULE" / "p2001-0.png", 1)
    again = scan(xrays, known=first)
    (told,) = (finding for finding in again.findings if finding.kind == "turned-by-exif")
    assert list(map(str, told.paths)) == ["NODULE/p2000-0.png"]


def test_the_loaders_disagree_about_them_indeed(xrays):
    """As the finding says."""
    import datasets
    import torchvision

    path = xrays / "NODULE" / "p2000-0.png"
    Image.new("L", (40, 20)).save(path)
    turn(path)
    stored = torchvision.datasets.folder.default_loader(str(path))
    turned = datasets.Image().decode_example({"path": str(path), "bytes": None})
    assert (stored.size, turned.size) == ((40, 20), (20, 40))
    assert read_grey(path).shape == (20, 40)


def test_folders_of_dicom_files_alone_are_named(tmp_path):
    for number in range(5):
        file = tmp_path / "d" / ("A" if number % 2 else "B") / f"{number}.dcm"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(128) + b"DICM")
    with pytest.raises(CollectionError, match=r"5 files cannot be read, for example A/1\.dcm") as caught:
        scan(tmp_path / "d")
    assert "DICOM" in caught.value.needed


def test_the_same_image_in_two_classes_may_have_both_labels(tmp_path):
    write_xrays(tmp_path / "d", {"A": 12, "B": 12})
    shutil.copy(tmp_path / "d" / "A" / "p0000-0.png", tmp_path / "d" / "B" / "copy.png")
    (told,) = (finding for finding in scan(tmp_path / "d").findings if finding.kind == "label-conflict")
    assert "if both are, the collection has several labels on an image" in told.fix
    assert "leave the files where they are (balance scan FOLDER --labels TABLE --separator '|')" in told.fix


def test_samples_carry_their_hashes(xrays):
    found = with_hashes(scan(xrays, PATIENT), ["NODULE/p2000-0.png"])
    sample = samples(found.images.loc[["NODULE/p2000-0.png"]])[0]
    assert (sample.label, sample.patient, len(sample.sha256)) == ("NODULE", "p2000", 64)


def test_a_file_that_changed_since_the_scan_is_refused(xrays):
    found = scan(xrays)
    (xrays / "NODULE" / "p2000-0.png").write_bytes(b"x")
    with pytest.raises(CollectionError, match="1 bytes"):
        with_hashes(found, ["NODULE/p2000-0.png"])
    (xrays / "NODULE" / "p2000-0.png").unlink()
    with pytest.raises(CollectionError, match="no such file"):
        with_hashes(found, ["NODULE/p2000-0.png"])


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda root: None, "nothing there"),
        (lambda root: root.write_text(""), "a file"),
        (lambda root: root.mkdir(), "no class folder"),
        (lambda root: write_xrays(root, {"ONE": 3}), "only the class 'ONE'"),
        (lambda root: write_xrays(root / "test", {"A": 1, "B": 1}), "test"),
        (lambda root: [write_xrays(root / p, {"A": 1, "B": 1}) for p in ("train", "training")], "train, training"),
    ],
)
def test_what_is_no_labelled_collection_is_a_message(tmp_path, make, found):
    make(tmp_path / "x")
    with pytest.raises(CollectionError) as caught:
        scan(tmp_path / "x")
    assert found in caught.value.found


def test_a_bad_expression_is_a_message(xrays):
    with pytest.raises(CollectionError, match="regular expression"):
        scan(xrays, "(p")


def test_names_that_are_no_text_are_passed_over(xrays):
    shutil.copy(xrays / "NODULE/p2000-0.png", os.fsencode(xrays / "NODULE") + b"/\xff.png")
    assert kinds(scan(xrays)) == ["ignored-file"]


def test_folders_whose_names_are_no_text_are_passed_over(xrays):
    shutil.copytree(xrays / "NODULE", xrays / os.fsdecode(b"\xfe"))
    found = scan(xrays)
    assert found.labels == ["EFFUSION", "NODULE", "NORMAL"]
    assert "ignored-folder" in kinds(found)


def test_a_link_to_itself_is_passed_over(xrays):
    (xrays / "NODULE" / "loop.png").symlink_to(xrays / "NODULE" / "loop.png")
    (xrays / "round").symlink_to(xrays / "round")
    assert [str(f.paths[0]) for f in told(scan(xrays))] == ["NODULE/loop.png"]


def test_names_that_a_loader_takes_for_parts_are_a_finding(xrays):
    shutil.move(xrays / "NODULE" / "p2000-0.png", xrays / "NODULE" / "test-p2000-0.png")
    assert kinds(scan(xrays)) == ["named-like-a-part"]


def test_the_collection_is_not_touched(xrays):
    before = {p: (p.stat().st_mtime_ns, p.stat().st_mode) for p in sorted(xrays.rglob("*"))}
    found = scan(xrays, PATIENT)
    look_inside(found, read_contents(xrays, found.images, {}))
    assert {p: (p.stat().st_mtime_ns, p.stat().st_mode) for p in sorted(xrays.rglob("*"))} == before


def test_sixteen_bits_are_seen(tmp_path):
    root = write_xrays(tmp_path / "d", {"A": 2, "B": 2})
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(root / "A" / "deep.png")
    assert scan(root).images.loc["A/deep.png", "bits"] == 16


def test_real_xrays(real_xrays):
    pattern = r"(person\d+_(?:bacteria|virus)|(?:NORMAL2-)?IM-\d+)"
    found = scan(real_xrays / "pediatric-cxr-224", pattern)
    patients = found.images.groupby("part")["patient"].nunique().to_dict()
    assert (len(found.images), patients) == (5840, {"train": 3654, "test": 428})
    assert "patient-leak" not in kinds(found)
    careless = scan(real_xrays / "pediatric-cxr-224", r"(person\d+|IM-\d+)", known=found)
    assert [f.message[:12] for f in careless.findings if f.kind == "patient-leak"] == ["264 patients"]
