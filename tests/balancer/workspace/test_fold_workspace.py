"""A fold in a workspace of its own."""

import pytest

from balancer.collection.scan import scan
from balancer.errors import SplitError
from balancer.splits.split import SplitShares, draw_split
from balancer.store.database import Ledger
from balancer.store.state_dir import find_state
from balancer.workspace.fold_workspace import fold_of, make_fold_workspace
from tests.support.tiny_models import write_xrays


@pytest.fixture
def scanned(tmp_path):
    write_xrays(tmp_path / "xrays", {"train/A": 12, "train/B": 8, "test/A": 4, "test/B": 4})
    collection = scan(tmp_path / "xrays", r"(p\d+)")
    return collection, draw_split(collection, shares=SplitShares(folds=4))


def test_every_patient_is_tested_in_one_fold_and_never_trained_on_there(scanned):
    collection, split = scanned
    tested = []
    for fold in range(4):
        flat, own = fold_of(collection, split, fold)
        assert not flat.has_parts
        assert own.paths("test").equals(split.folds.index[split.folds == fold])
        patients = flat.images["patient"]
        assert set(flat.images["label"][own.paths("val")]) == {"A", "B"}
        assert not set(patients[own.paths("test")]) & set(patients[own.paths("train", "holdout", "val")])
        tested += list(own.paths("test"))
    assert sorted(tested) == sorted(collection.images.index)


def test_a_fold_that_is_not_there_is_refused(scanned):
    with pytest.raises(SplitError, match="fold 4"):
        fold_of(*scanned, 4)


def test_a_workspace_is_found_as_it_was_left_and_made_anew_for_another_split(scanned, tmp_path):
    flat, split = fold_of(*scanned, 0)
    place = make_fold_workspace(tmp_path / "work" / "fold-0", flat, split)
    assert find_state(place.folder) == place.state
    with Ledger(place.state) as ledger:
        found = ledger.load_collection()
        assert found.root.samefile(flat.root)
        assert ledger.load_split(found).sha256 == split.sha256
        ledger.save_setting(found, "mark", 1)
    make_fold_workspace(place.folder, flat, split)
    other = fold_of(*scanned, 1)
    make_fold_workspace(place.folder, *other)
    with Ledger(place.state) as ledger:
        assert ledger.setting(flat, "mark") == 1
        assert ledger.load_split(ledger.load_collection()).sha256 == other[1].sha256
