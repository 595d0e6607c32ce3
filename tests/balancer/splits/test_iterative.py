"""Iterative stratification by patient: each finding in its share in every part, and in every fold where it can be."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from balancer.collection.label_sets import LabelSets
from balancer.collection.scan import Collection
from balancer.errors import SplitError
from balancer.splits.folds import draw_folds
from balancer.splits.groups import Groups
from balancer.splits.split import PARTS, SplitShares, draw_fold, draw_split
from balancer.splits.split_table import read_parts

SHARES = {"Infiltration": 0.2, "Effusion": 0.12, "Mass": 0.05, "Pneumonia": 0.015, "Hernia": 0.004}


def collection(patients=800, seed=0, only=(), shares=SHARES):
    """Patients of 1 to 4 images with findings that go together; those of `only` are one more patient's alone."""
    chance = np.random.default_rng(seed)
    rows = {}
    for number in range(patients):
        inclined = chance.gamma(0.6, 1 / 0.6, len(shares))
        for image in range(int(chance.integers(1, 5))):
            has = chance.random(len(shares)) < np.array([*shares.values()]) * inclined
            marks = dict(zip(shares, has.astype(int).tolist(), strict=True)) | dict.fromkeys(only, 0)
            rows[f"p{number:04}-{image}.png"] = marks
    for number, finding in enumerate(only):
        rows[f"q{number:04}-0.png"] = dict.fromkeys((*shares, *only), 0) | {finding: 1, "Effusion": 1}
    sets = LabelSets.of(rows)
    return of_sets(sets)


def of_sets(sets):
    paths = sets.marks.index
    columns = {"label": sets.names(), "patient": [path[:5] for path in paths], "part": "", "sha256": None}
    columns |= dict.fromkeys(("sex", "view"), None)
    return Collection(Path("x"), pd.DataFrame(columns, paths, dtype=object), (), "p", label_sets=sets)


def patients_with(found, split):
    groups = Groups.of(found)
    return {part: groups.counts(split.parts == part) for part in PARTS}


def test_every_finding_is_in_every_part_in_its_share():
    found = collection()
    split = draw_split(found)
    have, whole = patients_with(found, split), Groups.of(found).counts()
    for finding, count in whole.items():
        for part, share in (("test", 0.2), ("val", 0.15)):
            assert abs(have[part][finding] - max(1, share * count)) <= 2, (part, finding, count)
    assert (found.images["patient"].groupby(found.images["patient"]).apply(lambda some: 1) == 1).all()
    parts = split.parts.replace("holdout", "train").groupby(found.images["patient"]).nunique()
    assert (parts == 1).all()


def test_every_finding_is_in_every_fold_as_evenly_as_it_can():
    found = collection()
    groups = Groups.of(found)
    folds = draw_folds(groups, 5)
    for finding, count in groups.counts().items():
        sizes = [groups.counts(folds == fold)[finding] for fold in range(5)]
        assert sum(sizes) == count
        assert max(sizes) - min(sizes) <= 1, (finding, sizes)
    assert (folds.groupby(found.images["patient"]).nunique() == 1).all()
    sizes = Counter(folds.groupby(found.images["patient"]).first())
    assert max(sizes.values()) - min(sizes.values()) < 0.05 * 160


def test_a_findings_only_patient_stays_in_training_and_that_is_known():
    found = collection(only=("Situs inversus", "Rib notching"))
    for seed in range(5):
        split = draw_split(found, seed)
        assert set(split.parts[["q0000-0.png", "q0001-0.png"]]) == {"train"}
        assert Groups.of(found).in_training_alone(split.parts) == {"Rib notching": 1, "Situs inversus": 1}


def test_of_three_patients_each_part_gets_one():
    rows = {f"p{n:04}-0.png": {"Hernia": int(n < 3), "Mass": int(n % 2)} for n in range(40)}
    found = of_sets(LabelSets.of(rows))
    have = patients_with(found, draw_split(found))
    assert {part: have[part]["Hernia"] for part in ("train", "val", "test")} == {"train": 1, "val": 1, "test": 1}
    assert have["holdout"]["Hernia"] == 0


def test_it_depends_on_the_seed_and_on_nothing_else():
    found = collection(200)
    one = draw_split(found, 3, shares=SplitShares(folds=4))
    assert one.sha256 == draw_split(found, 3, shares=SplitShares(folds=4)).sha256
    assert one.sha256 != draw_split(found, 4, shares=SplitShares(folds=4)).sha256
    order = np.random.default_rng(1).permutation(len(found.images))
    shuffled = replace(
        found, images=found.images.iloc[order], label_sets=found.label_sets.only(found.images.index[order])
    )
    assert one.sha256 == draw_split(shuffled, 3, shares=SplitShares(folds=4)).sha256


def test_patients_that_are_added_change_nothing_for_the_others():
    more = collection(300)
    known = more.images.index[more.images["patient"] < "p0250"]
    few = replace(more, images=more.images.loc[known], label_sets=more.label_sets.only(known))
    earlier = draw_split(few, shares=SplitShares(folds=5))
    split = draw_split(more, 0, earlier)
    assert split.parts[known].equals(earlier.parts[known])
    assert split.folds[known].equals(earlier.folds[known])
    new = more.images.index.difference(known)
    assert set(split.parts[new]) == {"train"}
    assert set(split.folds[new]) == set(range(5))


def test_a_fold_is_tested_and_validation_is_drawn_by_findings():
    found = collection(400)
    split = draw_split(found, shares=SplitShares(folds=5))
    fold = draw_fold(found, split, 2)
    assert set(fold.parts.index[fold.parts == "test"]) == set(split.folds.index[split.folds == 2])
    assert min(patients_with(found, fold)["val"].values()) > 0


def test_sex_and_view_are_as_frequent_in_every_part():
    found = collection(600)
    sexes = found.images["patient"].map(lambda name: "female" if int(name[1:]) % 3 else "male")
    found = replace(found, images=found.images.assign(sex=sexes))
    parts = draw_split(found).parts
    share = [(sexes[parts == part] == "male").mean() for part in ("train", "val", "test")]
    assert max(share) - min(share) < 0.06


def test_a_table_without_a_finding_in_training_is_refused(tmp_path):
    found = collection(60, only=("Situs inversus",))
    rows = [f"{name},{'test' if name[0] == 'q' else 'train'}" for name in found.images["patient"].unique()]
    (tmp_path / "s.csv").write_text("\n".join(["patient,split", *rows]))
    with pytest.raises(SplitError, match="no training image of 'Situs inversus'"):
        read_parts(tmp_path / "s.csv", found)


def test_no_splits_at_all():
    found = collection(60)
    assert set(draw_split(found, shares=SplitShares(test=0, val=0)).parts) <= {"train", "holdout"}
