"""Of many findings the endpoint is that of the rarest which a test split can tell something of."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.data.endpoint import known_labels, rarest_class
from balancer.collection.label_sets import DENIED, GIVEN, UNKNOWN
from balancer.splits.split import SplitShares, draw_split
from tests.benchmarks.multi_label import collection


@pytest.fixture(scope="module")
def whole():
    found = collection(600, 300)
    return found, draw_split(found, shares=SplitShares(test=0.3))


def sizes_of(found, split):
    sets = found.label_sets.only(split.paths("test"))
    patients = found.images["patient"].loc[sets.marks.index]
    return {name: (count, patients[sets.has()[name]].nunique()) for name, count in sets.counts().items()}


def test_it_is_the_rarest_with_enough_test_patients(whole):
    found, split = whole
    enough = [name for name, (images, patients) in sizes_of(found, split).items() if images >= 10 and patients >= 6]
    trained = found.label_sets.only(split.paths("train", "holdout")).counts()
    assert rarest_class(found, split) == min(enough, key=lambda name: (trained[name], name))
    assert trained[rarest_class(found, split)] > min(count for count in trained.values() if count)


def test_where_none_has_enough_it_is_the_one_with_most_test_patients(whole):
    found, split = whole
    few = split.paths("test")[:8]
    small = replace(split, parts=split.parts.where(~split.parts.index.isin(split.paths("test")[8:]), "train"))
    assert len(few) == 8
    counts = sizes_of(found, small)
    assert counts[rarest_class(found, small)][1] == max(patients for _, patients in counts.values())


def test_what_is_unknown_is_no_image_of_either_side(whole):
    found, _ = whole
    marks = found.label_sets.marks.copy()
    marks.iloc[:5, marks.columns.get_loc("Hernia")] = np.array([GIVEN, DENIED, UNKNOWN, UNKNOWN, DENIED], np.int8)
    known = known_labels(replace(found, label_sets=replace(found.label_sets, marks=marks)), "Hernia")
    assert known.loc[marks.index[:5].intersection(known.index)].tolist() == ["Hernia", "", ""]
    assert isinstance(known, pd.Series)
