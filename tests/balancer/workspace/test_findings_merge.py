"""Images of another generator for images of several findings; edits of real ones; what is on record of both."""

import csv
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from balancer import (
    ExplainSettings,
    FillSettings,
    MergeSettings,
    NoScreen,
    UnmergeSettings,
    explain,
    fill,
    merge,
    unmerge,
)
from balancer.collection.label_sets import findings_in
from balancer.collection.scan import samples, with_hashes
from balancer.dataset.finding_columns import FindingColumns
from balancer.errors import CollectionError
from balancer.filling.source_images import images_without
from balancer.imaging.decode import OutputFormat
from balancer.jobs import Candidate, GenerationConfig, Job, ModeDraw, ModelRef
from balancer.prompting.prompts import Prompt
from balancer.workspace.dataset_facts import unknown_after_edits
from tests.balancer.workspace.test_findings_fill import collection

SCREEN = NoScreen("a test")


def hand_over(folder, *names):
    chance = np.random.default_rng(7)
    for name in names:
        (folder / name).mkdir(parents=True)
        Image.fromarray(chance.integers(0, 256, (16, 16), np.uint8)).save(folder / name / "a.png")
    return folder


def test_folders_named_after_sets_are_merged_told_and_taken_out(tmp_path):
    workspace = collection(tmp_path)
    given = hand_over(tmp_path / "given", "nodule", "pleural_effusion+nodule", "nodule+consolidation")
    found = merge(workspace, MergeSettings(given), screen=SCREEN)
    told = found.to_json()["classes"]
    assert told["nodule"]["synthetic"] == 3
    assert (told["pleural_effusion"]["synthetic"], told["consolidation"]["synthetic"]) == (1, 1)
    rows = pq.read_table(found.merged.training / "metadata.parquet").to_pylist()
    made = {
        row["label_set"] if isinstance(row["label_set"], str) else row["file_name"]: row
        for row in rows
        if row["is_synthetic"]
    }
    assert sorted((row["nodule"], row["cardiomegaly"]) for row in made.values()) == [(1, None)] * 3
    again = merge(workspace, MergeSettings(given), screen=SCREEN)
    assert not again.merged.rebuilt
    assert unmerge(workspace, UnmergeSettings(found.merged.folder)).removed == 3


def test_a_folder_that_is_no_finding_is_refused_with_the_way_to_name_it(tmp_path):
    workspace = collection(tmp_path)
    with pytest.raises(CollectionError, match=r"such as A\+B"):
        merge(workspace, MergeSettings(hand_over(tmp_path / "given", "nodule+unicorn")), screen=SCREEN)


def test_the_finding_that_an_image_was_made_for_is_on_record(tmp_path):
    workspace = collection(tmp_path)
    fill(workspace, FillSettings(target=("pleural_effusion=40",), model="noise:8", max_ratio=20), screen=SCREEN)
    folder = workspace.balanced_folder()
    with (folder / "provenance.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["wanted_finding"] for row in rows} == {"pleural_effusion"}
    assert {row["unknown_findings"] for row in rows} == {"[]"}
    told = explain(workspace, ExplainSettings(folder / rows[0]["file"])).facts
    assert told["wanted_finding"] == "pleural_effusion"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    workspace = collection(tmp_path_factory.mktemp("real"))
    with workspace.session(write=False, several=True) as session:
        paths = session.split.paths("train", "holdout")
        found = with_hashes(session.collection, paths)
        by_set = {}
        for sample in samples(found.images.loc[paths]):
            by_set.setdefault(sample.label, []).append(sample)
        return found, by_set


def test_an_edit_starts_without_the_wanted_finding_and_keeps_the_others_where_it_can(real):
    found, by_set = real
    wanted = {"nodule|pleural_effusion": "nodule", "consolidation|nodule": "consolidation", "nodule": "nodule"}
    mixed = images_without(found, by_set, wanted)
    assert {sample.label for sample in mixed["nodule|pleural_effusion"]} == {"pleural_effusion"}
    assert all("consolidation" not in findings_in(each.label) for each in mixed["consolidation|nodule"])
    assert {sample.label for sample in mixed["nodule"]} == {"normal"}
    rare = images_without(
        found, {name: some for name, some in by_set.items() if name != "normal"}, {"nodule": "nodule"}
    )
    assert all("nodule" not in findings_in(sample.label) for sample in rare["nodule"])


def test_what_an_edit_may_have_removed_is_unknown(real):
    found, by_set = real
    source = by_set["cardiomegaly|pleural_effusion"][0]
    config = GenerationConfig(ModelRef("m", None, ""), None, 1.0, "dpm", 5, 1.0, 16, 16, "float32", 4)
    output = OutputFormat("PNG", ".png", "L", 8, (16, 16))
    job = Job("nodule|pleural_effusion", 0, Prompt("", "", "", {}), 1, config, ModeDraw("mix", source, 0.5), output)
    candidate = Candidate(job.label, found.root / "x.png", "", job)
    assert FindingColumns.of(found, "").unknown_of(candidate) == ["cardiomegaly"]
    plain = replace(candidate, job=replace(job, method=ModeDraw()))
    told = unknown_after_edits(found, [(candidate, None), (candidate, None), (plain, None)])
    assert told == {"unknown after an edit": "cardiomegaly of 2 images"}


def test_the_wanted_finding_is_kept_and_is_no_part_of_the_id(real):
    config = GenerationConfig(ModelRef("m", None, ""), None, 1.0, "dpm", 5, 1.0, 16, 16, "float32", 4)
    job = Job("a|b", 0, Prompt("", "", "", {}), 1, config, ModeDraw(), OutputFormat("PNG", ".png", "L", 8, None))
    wanted = replace(job, wanted="b")
    assert (wanted.id, "wanted" in json.loads(job.to_json())) == (job.id, False)
    assert Job.from_json(wanted.to_json()) == wanted
