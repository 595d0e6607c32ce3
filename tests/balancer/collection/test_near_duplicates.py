import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from balancer.collection.image_stats import read_contents
from balancer.collection.near_duplicates import (
    SAME_PICTURE,
    likeness,
    likenesses_between,
    near_duplicate_groups,
    near_pairs,
)
from balancer.collection.scan import scan
from examples.phantoms import draw_radiograph
from tests.support.scan_faults import altered


def test_pairs_are_those_that_counting_all_bits_gives():
    chance = np.random.default_rng(0)
    bits = np.repeat(chance.integers(0, 2, (300, 256), np.uint8), 5, axis=0) ^ (chance.random((1500, 256)) < 0.11)
    hashes = np.packbits(bits.astype(np.uint8), axis=1).view(np.uint64)
    others = hashes[chance.permutation(len(hashes))]
    apart = np.bitwise_count(hashes[:, None] ^ others[None]).sum(axis=2)
    first, second = np.nonzero(apart <= 56)
    wanted = {(i, j) for i, j in zip(first.tolist(), second.tolist(), strict=True) if i < j}
    assert {tuple(pair) for pair in near_pairs(hashes, others, 56).tolist()} == wanted
    assert len(wanted) > 1000
    assert near_pairs(hashes[:1], others[:1], 256).tolist() == []


def grey(image):
    return np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BOX), np.float32)


@pytest.mark.parametrize("way", ["re-encoded", "resized", "brightened", "cropped"])
def test_copies_agree_and_other_patients_do_not(way):
    originals = [Image.fromarray(draw_radiograph("normal", patient, size=128, seed=9)) for patient in range(12)]
    copies = []
    for image in originals:
        buffer = io.BytesIO()
        altered(image, way).save(buffer, "JPEG", quality=50)
        copies.append(grey(Image.open(buffer)))
    left, right = np.stack([grey(image) for image in originals]), np.stack(copies)
    assert (likeness(left, right) >= SAME_PICTURE).all()
    assert (likeness(left, np.roll(right, 1, axis=0)) < SAME_PICTURE).all()


def test_groups_hold_all_copies_in_order(tmp_path):
    for number, label in enumerate(("A", "A", "A", "B", "B", "B")):
        (tmp_path / label).mkdir(exist_ok=True)
        image = Image.fromarray(draw_radiograph("normal", number, size=128, seed=9))
        image.save(tmp_path / label / f"{number}.png")
        if number == 4:
            ImageEnhance.Brightness(image).enhance(0.9).save(tmp_path / "A" / "dark.jpg", quality=60)
            altered(image, "mirrored").save(tmp_path / "A" / "mirrored.png")
            image.save(tmp_path / "A" / "same.bmp")
    for number in range(3):
        Image.new("L", (50, 50), 10).save(tmp_path / "A" / f"blank{number}.png")
    found = read_contents(tmp_path, scan(tmp_path).images, {})
    assert near_duplicate_groups(found) == [["A/dark.jpg", "A/mirrored.png", "A/same.bmp", "B/4.png"]]
    assert near_duplicate_groups({}) == []


def test_pairs_between_two_sides_are_told_with_their_likeness(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    for number in range(6):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (9, 9), np.uint8)).resize((96, 96)).save(
            tmp_path / "xy"[number % 2] / f"{number}.png"
        )
    with Image.open(tmp_path / "x" / "4.png") as image:
        altered(image, "mirrored").save(tmp_path / "y" / "copy.png")
        altered(image, "brightened").save(tmp_path / "x" / "own.png")
    contents = read_contents(tmp_path, scan(tmp_path).images, {})
    some, others = ([path for path in contents if path[0] == side] for side in "xy")
    found = likenesses_between([contents[path] for path in some], [contents[path] for path in others])
    assert {(some[i], others[j]) for i, j, alike in found if alike >= SAME_PICTURE} == {
        ("x/4.png", "y/copy.png"),
        ("x/own.png", "y/copy.png"),
    }
    assert likenesses_between([], list(contents.values())) == []


def test_where_there_are_too_many_pairs_the_nearest_are_compared(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (9, 9), np.uint8)
    for number in range(4):
        changed = picture.copy()
        changed[number, : 2 * number] = 0
        Image.fromarray(changed).resize((96, 96)).save(tmp_path / "xy"[number > 0] / f"{number}.png")
    Image.fromarray(picture).resize((96, 96)).save(tmp_path / "y" / "same.png")
    contents = read_contents(tmp_path, scan(tmp_path).images, {})
    some, others = ([path for path in contents if path[0] == side] for side in "xy")
    found = likenesses_between([contents[path] for path in some], [contents[path] for path in others], 1)
    assert [(others[j], round(alike, 3)) for _, j, alike in found] == [("y/same.png", 1.0)]
