import numpy as np
import pytest
from PIL import Image

from balancer.collection.scan import scan
from balancer.filling.collection_pixels import collection_pixel_hashes
from balancer.imaging.decode import read_grey
from balancer.imaging.pixel_hash import pixel_digest
from balancer.store.database import Ledger
from balancer.store.state_dir import find_or_make_state


@pytest.fixture
def ledger(tmp_path, xrays):
    with Ledger(find_or_make_state(tmp_path, xrays)) as ledger:
        yield ledger


def test_the_same_grey_values_in_any_file_are_the_same(tmp_path):
    grey = np.random.default_rng(0).integers(10, 250, (9, 7), np.uint8)
    files = {
        "a.png": Image.fromarray(grey),
        "b.tif": Image.fromarray(np.stack([grey] * 3, -1)),
        "c.bmp": Image.fromarray(grey),
        "d.png": Image.fromarray(grey.astype(np.uint16) * 200),
    }
    for name, image in files.items():
        image.save(tmp_path / name)
    assert len({pixel_digest(read_grey(tmp_path / name)) for name in files}) == 1
    assert pixel_digest(grey) == pixel_digest(grey - 5)
    assert pixel_digest(grey) != pixel_digest(grey[::-1])


def test_real_images_of_all_parts_are_found_by_their_pixels(xrays, ledger):
    found = scan(xrays)
    real = collection_pixel_hashes(found, {(32, 32)}, ledger)
    assert sorted(real.values()) == sorted(found.images.index)
    assert real[pixel_digest(read_grey(xrays / "NORMAL" / "p0000-0.png"))] == "NORMAL/p0000-0.png"
    assert collection_pixel_hashes(found, {(31, 32)}, ledger) == {}


def test_what_was_decoded_once_is_remembered_until_the_file_changes(xrays, ledger):
    seen = []
    found = scan(xrays)
    first = collection_pixel_hashes(found, {(32, 32)}, ledger, lambda done, total: seen.append((done, total)))
    assert seen == [(72, 72)]
    assert collection_pixel_hashes(found, {(32, 32)}, ledger, lambda done, total: seen.append((done, total))) == first
    assert len(seen) == 1
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(xrays / "NORMAL" / "p0000-0.png")
    again = collection_pixel_hashes(scan(xrays), {(32, 32)}, ledger, lambda done, total: seen.append((done, total)))
    assert seen[1:] == [(1, 1)]
    assert again[pixel_digest(np.zeros((32, 32), np.uint8))] == "NORMAL/p0000-0.png"


def test_a_real_image_that_cannot_be_decoded_is_passed_over(xrays, ledger):
    found = scan(xrays)
    (xrays / "NODULE" / "p2000-0.png").write_bytes(b"no")
    assert len(collection_pixel_hashes(found, {(32, 32)}, ledger)) == 71
