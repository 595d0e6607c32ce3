"""A list of images to leave out: what leaves, what a test split keeps, and names that are wrong."""

import pytest

from balancer.errors import CollectionError
from balancer.splits.exclusion import leave_out
from balancer.store.setting_names import EXCLUDED
from balancer.workspace.fold_workspace import fold_of
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import ScanSettings, SplitSettings
from balancer.workspace.split_run import split as draw
from balancer.workspace.workspace import Workspace, excluded_of
from conftest import make_collection


@pytest.fixture
def place(tmp_path):
    make_collection(tmp_path / "xrays", {"normal": 30, "nodule": 30})
    return tmp_path


def scanned(place, **options):
    return scan(Workspace.open(place), ScanSettings(place / "xrays", patient=r"(\w+_p\d+)", **options))


def listed(place, paths, name="wrong.csv"):
    (place / name).write_text("image,given label\n" + "".join(f"{path},x\n" for path in paths))
    return str(place / name)


def some_of(found, *parts):
    return [found.split.paths(part)[0] for part in parts]


def test_images_leave_all_learning_but_not_the_test_split(place):
    before = scanned(place)
    train, held, val, test = some_of(before, "train", "holdout", "val", "test")
    after = scanned(place, exclude=listed(place, [train, held, val, test]))
    assert {*before.collection.images.index} - {*after.collection.images.index} == {train, held, val}
    assert test in after.split.paths("test")
    assert after.split.sha256 == before.split.sha256
    assert sum(after.imbalance.counts.values()) == sum(before.imbalance.counts.values()) - 2
    (said,) = [each for each in after.collection.findings if each.kind == "excluded"]
    assert "4 images of wrong.csv" in said.message
    assert "1 of them are in the test split and stay there" in said.message
    with Workspace.open(place).session(write=False) as session:
        assert {train, held, val}.isdisjoint(session.collection.images.index)
        assert {train, held, val}.isdisjoint(session.split.parts.index)
        assert {*session.whole().collection.images.index} == {*before.collection.images.index}


def test_a_later_scan_keeps_the_list_and_an_empty_text_takes_it_back(place):
    before = scanned(place)
    scanned(place, exclude=listed(place, some_of(before, "train")))
    assert len(scanned(place).collection.images) == len(before.collection.images) - 1
    assert len(scanned(place, deep=True).collection.images) == len(before.collection.images) - 1
    back = scanned(place, exclude="")
    assert (len(back.collection.images), [*back.split.parts]) == (len(before.collection.images), [*before.split.parts])
    assert not [each for each in back.collection.findings if each.kind == "excluded"]


def test_a_list_that_comes_before_the_split_leaves_the_test_split_too(place):
    found = scanned(place)
    test = some_of(found, "test")
    other = place.with_name(f"{place.name}-other")
    make_collection(other / "xrays", {"normal": 30, "nodule": 30})
    assert test[0] not in scanned(other, exclude=listed(other, test)).collection.images.index
    assert test[0] not in scanned(other).collection.images.index


def test_a_drawn_split_and_folds_keep_to_the_list(place):
    before = scanned(place)
    path = some_of(before, "train")[0]
    scanned(place, exclude=listed(place, [path]))
    workspace = Workspace.open(place)
    draw(workspace, SplitSettings(folds=3, seed=4))
    with workspace.session(write=False) as session:
        whole, excluded = session.whole(), excluded_of(session.ledger, session.collection)
        assert excluded.fields() == session.ledger.setting(session.collection, EXCLUDED)
        assert path in whole.split.parts.index
        tested_in = []
        for fold in range(3):
            collection, split = leave_out(excluded, *fold_of(whole.collection, whole.split, fold))
            assert path not in split.paths("train", "holdout", "val")
            tested_in += [fold] if path in split.paths("test") else []
            assert (path in collection.images.index) == (path in split.paths("test"))
        assert tested_in == [int(whole.split.folds[path])]


def test_a_name_that_is_not_there_is_refused_with_the_nearest(place):
    scanned(place)
    with pytest.raises(CollectionError, match=r"did you mean nodule/nodule_p07\.png") as caught:
        scanned(place, exclude=listed(place, ["nodule/nodul_p07.png"]))
    assert caught.value.found == "nodule/nodul_p07.png"


def test_a_file_name_alone_will_do_and_one_of_two_files_will_not(place):
    scanned(place)
    assert len(scanned(place, exclude=listed(place, ["nodule_p07.png"])).collection.images) <= 60
    source = place / "xrays" / "nodule" / "nodule_p07.png"
    (place / "xrays" / "normal" / source.name).write_bytes(source.read_bytes())
    with pytest.raises(CollectionError, match="which may be"):
        scanned(place, exclude=listed(place, ["nodule_p07.png"]))


def test_a_class_that_would_have_no_training_image_is_refused(place):
    found = scanned(place)
    nodules = [path for path in found.collection.images.index if path.startswith("nodule")]
    with pytest.raises(CollectionError, match="none of nodule"):
        scanned(place, exclude=listed(place, nodules))
