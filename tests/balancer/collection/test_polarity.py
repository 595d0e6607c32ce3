import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from balancer.collection.deep_scan import look_inside
from balancer.collection.image_stats import read_contents
from balancer.collection.polarity import inverted
from balancer.collection.scan import scan
from examples.phantoms import write_collection

XRAYS = Path(__file__).parents[4] / "shared" / "data" / "pediatric-cxr-224"


def turn_over(root, paths):
    for path in paths:
        Image.fromarray(255 - np.asarray(Image.open(root / path))).save(root / path)


def contents_of(root):
    found = scan(root)
    return found, read_contents(root, found.images, {})


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn") / "xrays"
    write_collection(root, {"normal": 90, "cardiomegaly": 90}, size=48, seed=3)
    return root


@pytest.fixture
def phantoms(drawn, tmp_path):
    return Path(shutil.copytree(drawn, tmp_path / "xrays"))


def test_18_of_180_phantoms_that_are_turned_over_are_found_and_no_other(phantoms):
    paths = sorted(path.relative_to(phantoms).as_posix() for path in phantoms.rglob("*.png"))[::10]
    turn_over(phantoms, paths)
    found, contents = contents_of(phantoms)
    assert (len(paths), sorted(inverted(contents))) == (18, paths)
    told = [each for each in look_inside(found, contents).findings if each.kind == "inverted"]
    assert [sorted(map(str, each.paths)) for each in told] == [paths]


def test_a_collection_of_negatives_alone_holds_no_odd_ones(phantoms):
    turn_over(phantoms, [path.relative_to(phantoms) for path in phantoms.rglob("*.png")])
    assert inverted(contents_of(phantoms)[1]) == []


def test_another_part_of_the_body_is_no_negative(tmp_path):
    write_collection(tmp_path / "xrays", {"normal": 60}, size=48, seed=1)
    write_collection(tmp_path / "xrays", {"fractured": 20}, size=48, seed=1)
    assert inverted(contents_of(tmp_path / "xrays")[1]) == []


def test_a_handful_of_images_says_nothing(tmp_path):
    write_collection(tmp_path / "xrays", {"normal": 4, "nodule": 4}, seed=1)
    turn_over(tmp_path / "xrays", [path.relative_to(tmp_path / "xrays") for path in tmp_path.rglob("normal/*.png")])
    assert inverted(contents_of(tmp_path / "xrays")[1]) == []


@pytest.mark.slow
@pytest.mark.xrays
@pytest.mark.skipif(not XRAYS.is_dir(), reason="the real X-rays are not beside the checkout")
def test_negatives_of_real_children_are_found_and_their_upright_images_are_not(tmp_path):
    found = scan(XRAYS)
    some = found.images.iloc[::6]
    contents = read_contents(XRAYS, some, {})
    assert inverted(contents) == []
    chosen = list(some.index[:: len(some) // 200])[:200]
    for path in chosen:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - np.asarray(Image.open(XRAYS / path).convert("L"))).save(target, quality=95)
    turned = read_contents(tmp_path, some.loc[chosen], {})
    told = set(inverted({**contents, **turned}))
    assert len(told & set(chosen)) >= 190
    assert len(told - set(chosen)) <= 0.01 * len(some)
