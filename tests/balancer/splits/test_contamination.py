"""Who learned from what is held out now."""

import json
from dataclasses import replace

import pytest

from balancer.collection.scan import samples, scan, with_hashes
from balancer.splits.contamination import exposed_images, learned_files
from balancer.splits.split import Split, draw_split
from tests.support.tiny_models import write_xrays

PATIENT = r"(p\d+)-"


@pytest.fixture
def learned(xrays):
    """A collection, its split, and what a model learned from it."""
    found = scan(xrays, PATIENT)
    split = draw_split(found)
    found = with_hashes(found, split.paths("train"))
    return found, split, {each.path: each.sha256 for each in samples(found.images.loc[split.paths("train")])}


def test_who_learned_from_the_training_part_alone_has_seen_nobody(learned):
    assert exposed_images(*learned).empty


def test_new_patients_and_new_folds_expose_nobody(learned, xrays):
    found, split, files = learned
    write_xrays(xrays.parent / "more", {"X": 6})
    for path in (xrays.parent / "more" / "X").iterdir():
        path.rename(xrays / "NODULE" / f"new{path.name}")
    more = scan(xrays, PATIENT, known=found)
    after = draw_split(more, earlier=split)
    assert after.sha256 != split.sha256
    assert exposed_images(more, after, files).empty
    assert exposed_images(found, replace(split, folds=split.folds.iloc[:0]), files).empty


def test_an_image_that_is_held_out_now_exposes_its_whole_patient(learned):
    found, split, files = learned
    path = split.paths("train")[0]
    patient = found.images["patient"][path]
    both = found.images.index[found.images["patient"] == patient]
    parts = split.parts.copy()
    parts[both[1]] = "test"
    assert exposed_images(found, Split(parts, "drawn", 0), files).tolist() == [both[1]]


def test_a_file_that_moved_to_the_test_part_is_known_by_its_content(learned, xrays):
    found, split, files = learned
    learned_one, tested = split.paths("train")[0], split.paths("test")[0]
    (xrays / learned_one).replace(xrays / tested)
    now = scan(xrays, PATIENT, known=found)
    assert exposed_images(now, draw_split(now, earlier=split), files).tolist()[:1] == [tested]


def test_a_learned_file_that_was_edited_still_shows_its_patient(learned, xrays):
    found, split, files = learned
    path = split.paths("train")[0]
    (xrays / path).write_bytes((xrays / path).read_bytes() + b"edited")
    now = scan(xrays, PATIENT, known=found)
    tested = Split(split.parts.mask(split.parts.index == path, "test"), "drawn", 0)
    assert exposed_images(now, tested, files).tolist() == [path]


@pytest.mark.parametrize("card", [None, "no JSON", "{}", "[1]", '{"training_files": 7}'])
def test_a_card_that_does_not_say(tmp_path, card):
    if card is not None:
        (tmp_path / "card.json").write_text(card)
    assert learned_files(tmp_path) is None
    (tmp_path / "card.json").write_text(json.dumps({"training_files": {"a/1.png": "00"}}))
    assert learned_files(tmp_path) == {"a/1.png": "00"}
