"""Properties of the split and its folds, over drawn collections."""

from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balancer.collection.findings import Finding
from balancer.collection.listed import COLUMNS
from balancer.collection.scan import Collection
from balancer.errors import SplitError
from balancer.splits.folds import default_folds, draw_folds, small_classes
from balancer.splits.groups import Groups, stay_together
from balancer.splits.split import SplitShares, draw_split

TWO = st.lists(st.integers(1, 90), min_size=2, max_size=4)


def collection(sizes, *, patients=True, attributes=False, findings=(), each=2):
    rows = []
    for number, size in enumerate(sizes):
        for index in range(size):
            chance = np.random.default_rng([number, index])
            sex, view = chance.choice(["female", "male"]), chance.choice(["PA", "AP", "lateral"], p=[0.7, 0.2, 0.1])
            for image in range(each):
                row = dict.fromkeys(COLUMNS) | {"path": f"C{number}/p{number}-{index}-{image}.png"}
                row |= {"label": f"C{number}", "part": "", "patient": f"p{number}-{index}" if patients else None}
                rows.append(row | ({"sex": sex, "view": view} if attributes else {}))
    images = pd.DataFrame(rows).set_index("path").astype(object)
    return Collection(Path("x"), images, tuple(findings), "p" if patients else None)


@settings(max_examples=40, deadline=None)
@given(TWO, st.booleans(), st.booleans(), st.integers(0, 9))
def test_every_image_is_in_one_part_and_one_fold_and_no_patient_in_two(sizes, patients, attributes, seed):
    found = collection(sizes, patients=patients, attributes=attributes)
    split = draw_split(found, seed, shares=SplitShares(folds=5))
    groups = stay_together(found)
    for values in (split.parts, split.folds):
        assert values.index.equals(found.images.index)
        assert values.notna().all()
        assert (values.groupby(groups).nunique() == 1).all()
    assert set(found.images["label"][split.parts.isin(["train", "holdout"])]) == set(found.labels)
    assert set(split.folds) <= set(range(5))


@settings(max_examples=40, deadline=None)
@given(TWO, st.integers(0, 9), st.floats(0.05, 0.4), st.floats(0, 0.4))
def test_shares_hold_in_each_stratum_of_each_class(sizes, seed, test, val):
    found = collection(sizes, attributes=True, each=1)
    split = draw_split(found, seed, shares=SplitShares(test, val, 0))
    for label, rows in found.images.groupby("label"):
        if len(rows) < 10:
            continue
        assert abs((split.parts[rows.index] == "test").sum() - test * len(rows)) <= 1
        for _, stratum in rows.groupby(["sex", "view"]):
            assert abs((split.parts[stratum.index] == "test").sum() - test * len(stratum)) <= 1, label


@settings(max_examples=30, deadline=None)
@given(TWO, st.booleans(), st.integers(2, 9))
def test_folds_are_even_in_each_class(sizes, attributes, count):
    found = collection(sizes, attributes=attributes)
    folds = draw_folds(Groups.of(found), count)
    for label in found.labels:
        dealt = folds[found.images["label"] == label].value_counts().reindex(range(count), fill_value=0) // 2
        assert dealt.max() - dealt.min() <= 1


@settings(max_examples=20, deadline=None)
@given(TWO, st.integers(1, 20), st.booleans())
def test_added_patients_move_nobody(sizes, more, attributes):
    before = draw_split(collection(sizes, attributes=attributes), shares=SplitShares(folds=5))
    after = draw_split(collection([size + more for size in sizes], attributes=attributes), earlier=before)
    assert after.parts[before.parts.index].equals(before.parts)
    assert after.folds[before.folds.index].equals(before.folds)
    assert set(after.parts[~after.parts.index.isin(before.parts.index)]) == {"train"}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=15))
def test_near_duplicates_stay_together(pairs):
    paths = [(PurePosixPath(f"C0/p0-{a}-0.png"), PurePosixPath(f"C1/p1-{b}-1.png")) for a, b in pairs]
    split = draw_split(collection([30, 30], findings=[Finding("near-leak", pair, "", "") for pair in paths]))
    for first, second in paths:
        assert split.parts[str(first)] == split.parts[str(second)]
        assert split.folds[str(first)] == split.folds[str(second)]


def test_the_extreme_and_the_single_patient():
    found = collection([2000, 1], each=1)
    split = draw_split(found)
    assert Counter(split.parts[found.images["label"] == "C1"]) == {"train": 1}
    assert default_folds(Groups.of(found), split.parts) == split.fold_count == 0
    one = collection([1, 1])
    assert set(draw_split(one).parts) == {"train"}


def test_a_class_below_a_hundred_patients_to_train_on_makes_five_folds():
    assert draw_split(collection([200, 99], each=1)).fold_count == 5
    assert draw_split(collection([200, 153], each=1)).fold_count == 5  # 31 tested, 23 to validate
    assert draw_split(collection([200, 154], each=1)).fold_count == 0


@pytest.mark.parametrize(("patients", "fit"), [(25, 5), (24, 4), (12, 2), (10, 2), (9, 0)])
def test_the_default_is_as_many_folds_as_test_five_patients_of_the_rarest_class_each(patients, fit):
    found = collection([200, patients], each=1)
    split = draw_split(found)
    assert split.fold_count == fit
    assert split.folds[found.images["label"] == "C1"].value_counts().min() >= 5 or not fit


def test_the_test_part_of_a_collection_is_none_to_train_on():
    found = collection([300, 150], each=1)
    found.images["part"] = ["train"] * 300 + ["train"] * 60 + ["test"] * 90
    split = draw_split(found)
    assert small_classes(Groups.of(found), split.parts) == {"C1": 60}
    assert split.fold_count == 5


def test_the_hash_knows_the_folds():
    found = collection([50, 20])
    hashes = {draw_split(found, shares=SplitShares(folds=count)).sha256 for count in (0, 4, 5)}
    assert len(hashes) == 3


@pytest.mark.parametrize("count", [-1, 1, 21])
def test_a_number_of_folds_that_is_none_is_refused(count):
    with pytest.raises(SplitError, match="2 to 20 folds"):
        draw_folds(Groups.of(collection([9, 9])), count)
