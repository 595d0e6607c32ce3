"""Which real images others are made from: of the training part alone, and the same ones when a collection grows."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from balancer.collection.scan import scan
from balancer.filling.recipe import measure_profile
from balancer.filling.source_images import resolve_source_images
from balancer.splits.split import draw_split
from balancer.store.database import Ledger
from balancer.store.state_dir import find_or_make_state


@pytest.fixture
def settle(tmp_path, xrays):
    """Scan what is there now, with the split of the first time, and settle."""
    ledger, splits = Ledger(find_or_make_state(tmp_path, xrays)), []

    def now(remember=True):
        found = scan(xrays, r"(p\d+)-")
        splits.append(draw_split(found, earlier=splits[-1] if splits else None))
        output = measure_profile(found, splits[-1]).output
        return resolve_source_images(found, splits[-1], output, ledger, remember=remember), splits[-1]

    with ledger:
        yield now


def test_only_the_training_part_takes_part(settle):
    material, split = settle()
    paths = {sample.path for some in material.values() for sample in some}
    assert paths == set(split.paths("train"))
    assert all(len(sample.sha256) == 64 and sample.patient for some in material.values() for sample in some)


def test_a_collection_that_grows_keeps_its_choice(settle, xrays):
    before, _ = settle()
    for index in range(6):
        Image.fromarray(np.full((32, 32), index, np.uint8)).save(xrays / "NODULE" / f"p29{index:02}-0.png")
    assert settle()[0] == before


def test_what_is_gone_gives_its_place_and_no_other(settle, xrays):
    before, _ = settle()
    (xrays / before["NODULE"][1].path).unlink()
    after, _ = settle()
    same = [one == other for one, other in zip(before["NODULE"], after["NODULE"], strict=True)]
    assert same == [True, False, *[True] * (len(same) - 2)]
    assert after["NORMAL"] == before["NORMAL"]


def test_a_dry_run_remembers_nothing(settle, xrays):
    before, _ = settle(remember=False)
    Image.fromarray(np.eye(32, dtype=np.uint8)).save(xrays / "NODULE" / "p2900-0.png")
    assert len(settle()[0]["NODULE"]) == len(before["NODULE"]) + 1


def test_images_of_the_usual_format_come_first(tmp_path, xrays):
    found = scan(xrays, r"(p\d+)-")
    split, images = draw_split(found), found.images.copy()
    odd = next(path for path in split.paths("train") if path.startswith("NORMAL"))
    images.loc[odd, "bits"] = 16
    images.loc[[path for path in images.index if path.startswith("NODULE")], "bits"] = 16
    output = measure_profile(found, split).output
    with Ledger(find_or_make_state(tmp_path, xrays)) as ledger:
        material = resolve_source_images(replace(found, images=images), split, output, ledger, remember=False)
    assert odd not in {sample.path for sample in material["NORMAL"]}
    assert material["NODULE"]
