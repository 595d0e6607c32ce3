"""What the arms said is read as it was written, and names no patient."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from analysis.comparison.inference.bootstrap import measure_arms
from analysis.comparison.inference.selection import pooled
from analysis.comparison.inputs.study import ATTRIBUTES, Outcomes
from analysis.comparison.predictions import NAME, read_predictions, write_predictions
from balancer.collection.pseudonyms import Pseudonyms
from balancer.errors import ComparisonError

NAMES = Pseudonyms(b"secret")
SEEDS = (3, 5)


def outcomes(fold=0, images=8):
    chance = np.random.default_rng(fold)
    arms = {arm: chance.dirichlet((1, 1), (len(SEEDS), images)).astype(np.float32) for arm in ("real", "extra: b")}
    nothing = pd.DataFrame(index=range(images), columns=list(ATTRIBUTES))
    groups = np.arange(images) // 2 + 100 * fold
    paths = tuple(f"fold{fold}-{number}.png" for number in range(images))
    return Outcomes(("COMMON", "RARE"), "RARE", np.arange(images) % 3 // 2, groups, nothing, arms, None, paths)


def patients(*tested):
    return {path: f"Ann {group}" for each in tested for path, group in zip(each.paths, each.groups, strict=True)}


def test_of_one_split_all_figures_are_the_same(tmp_path):
    tested = outcomes()
    write_predictions(tmp_path / "new" / NAME, [tested], SEEDS, patients(tested), NAMES)
    found = read_predictions(tmp_path / "new" / NAME)
    assert (found.classes, found.rare, found.paths, found.fold_count) == (tested.classes, "RARE", tested.paths, 1)
    assert all(np.array_equal(found.probabilities[arm], tested.probabilities[arm]) for arm in tested.probabilities)
    now, before = (measure_arms(each, times=20) for each in (found, tested))
    assert all(np.array_equal(now[arm].drawn, before[arm].drawn, equal_nan=True) for arm in now)


def test_of_folds_each_image_keeps_its_fold(tmp_path):
    tested = [outcomes(0), outcomes(1, images=6)]
    write_predictions(tmp_path / NAME, tested, SEEDS, {}, NAMES)
    found, wanted = read_predictions(tmp_path / NAME), pooled(tested)
    assert found.paths == wanted.paths
    assert len(np.unique(found.groups)) == len(np.unique(wanted.groups)) == 7
    assert (found.folds.tolist(), found.targets.tolist()) == (wanted.folds.tolist(), wanted.targets.tolist())
    assert all(np.array_equal(found.probabilities[arm], wanted.probabilities[arm]) for arm in wanted.probabilities)


def test_the_table_is_plain_and_names_no_patient(tmp_path):
    tested = outcomes()
    write_predictions(tmp_path / NAME, [tested], SEEDS, patients(tested), NAMES)
    table = pq.read_table(tmp_path / NAME).to_pandas()
    assert list(table) == [
        *("image", "label", "patient", "arm", "seed", "fold", *ATTRIBUTES, "p: COMMON", "p: RARE"),
    ]
    assert len(table) == 2 * 2 * 8
    one = table.query("arm == 'extra: b' and seed == 5 and image == 'fold0-3.png'").iloc[0]
    assert one["p: RARE"] == tested.probabilities["extra: b"][1, 3, 1]
    assert table["patient"].nunique() == 4
    assert b"Ann" not in (tmp_path / NAME).read_bytes()
    assert one["patient"] == NAMES.of("Ann 1")  # the name that provenance and metadata give this patient


def test_attributes_are_kept_and_a_table_without_them_still_opens(tmp_path):
    tested = outcomes()
    tested.attributes["site"] = ["North", None] * 4
    write_predictions(tmp_path / NAME, [tested], SEEDS, {}, NAMES)
    found = read_predictions(tmp_path / NAME).attributes
    assert found["site"].isna().tolist() == [False, True] * 4
    assert found["site"].dropna().unique().tolist() == ["North"]
    assert found["sex"].isna().all()
    table = pq.read_table(tmp_path / NAME)
    pq.write_table(table.drop_columns(list(ATTRIBUTES)), tmp_path / NAME)
    assert read_predictions(tmp_path / NAME).attributes.isna().all(axis=None)


@pytest.mark.parametrize("content", [None, b"not a table"])
def test_what_is_not_there_or_damaged_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / NAME).write_bytes(content)
    with pytest.raises(ComparisonError, match="of the last comparison") as caught:
        read_predictions(tmp_path / NAME)
    assert "training is not repeated" in caught.value.next_step


def test_the_first_tables_had_no_number_and_are_read(tmp_path):
    write_predictions(tmp_path / NAME, [outcomes()], SEEDS, {}, NAMES)
    table = pq.read_table(tmp_path / NAME).drop_columns(["sex", "age_group", "view", "site"])
    kept = {name: value for name, value in table.schema.metadata.items() if name != b"form"}
    pq.write_table(table.replace_schema_metadata(kept), tmp_path / NAME)
    found = read_predictions(tmp_path / NAME)
    assert found.attributes.isna().all(axis=None)
    assert list(found.probabilities) == list(outcomes().probabilities)


def test_a_table_of_another_version_is_refused_and_the_verdict_stands(tmp_path):
    write_predictions(tmp_path / NAME, [outcomes()], SEEDS, {}, NAMES)
    table = pq.read_table(tmp_path / NAME)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"form": b"0"}), tmp_path / NAME)
    with pytest.raises(ComparisonError, match="the verdict of that comparison still stands"):
        read_predictions(tmp_path / NAME)
