from collections import Counter

import pytest

from balancer.collection.scan import scan
from balancer.splits.split import draw_split, no_split, training_counts
from tests.support.tiny_models import write_xrays

PATIENT = r"(p\d+)-"


@pytest.fixture
def flat(tmp_path):
    return scan(write_xrays(tmp_path / "d", {"A": 120, "B": 60, "C": 6}), PATIENT)


def patients_of(collection, split):
    return {part: set(collection.images.loc[split.paths(part), "patient"]) for part in split.parts.unique()}


def test_every_image_is_in_one_part_and_every_patient_too(flat):
    split = draw_split(flat)
    assert split.parts.index.equals(flat.images.index)
    groups = list(patients_of(flat, split).values())
    assert sum(map(len, groups)) == len(set.union(*groups)) == 93


def test_shares_hold_in_every_class(flat):
    split = draw_split(flat)
    counts = Counter(zip(flat.images["label"], split.parts, strict=True))
    assert {part: counts["A", part] for part in ("train", "holdout", "val", "test")} == {
        "train": 70,
        "holdout": 8,
        "val": 18,
        "test": 24,
    }
    assert (counts["C", "test"], counts["C", "val"], counts["C", "train"], counts["C", "holdout"]) == (2, 2, 2, 0)


def test_the_same_seed_draws_the_same_split_and_another_another(flat):
    assert draw_split(flat).sha256 == draw_split(flat).sha256 != draw_split(flat, seed=1).sha256


def test_without_patients_each_image_stands_for_itself(flat):
    unknown = scan(flat.root)
    split = draw_split(unknown)
    assert split.parts.value_counts()["test"] == 24 + 12 + 1


def test_exact_duplicates_stay_together(tmp_path):
    root = write_xrays(tmp_path / "d", {"A": 60, "B": 60})
    for index in range(30):
        (root / "B" / f"copy{index}.png").write_bytes((root / "A" / f"p0{index // 2:03}-{index % 2}.png").read_bytes())
    found = scan(root)
    split = draw_split(found)
    for _, rows in found.images[found.images["sha256"].notna()].groupby("sha256"):
        assert split.parts[rows.index].nunique() == 1


def test_a_collections_own_parts_are_kept(tmp_path):
    for part in ("Training", "testing"):
        write_xrays(tmp_path / "d" / part, {"A": 60, "B": 10}, size=(30 + len(part), 30))
    found = scan(tmp_path / "d", PATIENT)
    split = draw_split(found)
    assert split.origin == "collection"
    assert set(split.parts[found.images["part"] == "testing"]) == {"test"}
    assert set(split.parts[found.images["part"] == "Training"]) == {"train", "holdout"}
    assert training_counts(found, split) == {"A": 60, "B": 10}


def test_new_images_do_not_move_the_old_ones(flat):
    before = draw_split(flat)
    write_xrays(flat.root / "new", {"X": 1}, size=(30, 30))
    (flat.root / "new" / "X" / "p0000-0.png").rename(flat.root / "A" / "p9999-0.png")
    test_patient = flat.images.loc[before.paths("test")[0], "patient"]
    (flat.root / "A" / f"{test_patient}-9.png").write_bytes((flat.root / "A" / "p9999-0.png").read_bytes() + b"\0")
    (flat.root / "new" / "X").rmdir()
    (flat.root / "new").rmdir()
    after = draw_split(scan(flat.root, PATIENT), earlier=before)
    assert after.parts[before.parts.index].equals(before.parts)
    assert after.parts["A/p9999-0.png"] == "train"
    assert after.parts[f"A/{test_patient}-9.png"] == "test"


def test_no_split_is_all_training(flat):
    assert training_counts(flat, no_split(flat)) == {"A": 120, "B": 60, "C": 6}


def test_a_patient_in_two_parts_does_not_move_when_drawn_again(tmp_path):
    for part in ("train", "val"):
        write_xrays(tmp_path / "d" / part, {"A": 60, "B": 60}, size=(30 + len(part), 30))
    found = scan(tmp_path / "d", PATIENT)
    first = draw_split(found)
    assert (first.parts == "holdout").sum() == 12
    assert draw_split(found, earlier=first).sha256 == first.sha256


def test_known_patients_join_what_was_apart_on_the_side_of_the_test(flat):
    apart = draw_split(scan(flat.root))
    joined = draw_split(flat, earlier=apart)
    groups = list(patients_of(flat, joined).values())
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert set(apart.paths("test")) <= set(joined.paths("test"))
