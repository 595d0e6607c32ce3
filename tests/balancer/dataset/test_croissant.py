"""A balanced folder is described in Croissant 1.1: its own validator accepts it and reads the tables by it."""

import json
from collections import Counter

import pytest

from balancer.dataset.croissant import describe
from balancer.dataset.hub_folder import to_json
from balancer.dataset.metadata_files import read_rows, require_manifest
from balancer.jobs import Verdict
from balancer.splits.split import no_split
from tests.support.balanced_fixtures import FACTS, balanced, collection, make_candidate, make_job


def described(folder, licence="unknown"):
    manifest = require_manifest(folder)
    found = describe(folder, manifest, read_rows(folder, manifest), licence)
    (folder / "croissant.json").write_bytes(to_json(found))
    return found


def validated(folder):
    mlcroissant = pytest.importorskip("mlcroissant", reason="needs mlcroissant (the dev extra)")
    return mlcroissant.Dataset(jsonld=folder / "croissant.json")  # raises where it is not valid


def test_the_validator_accepts_it_and_reads_the_tables_by_it(tmp_path):
    out = balanced(tmp_path).folder
    described(out, "cc-by-4.0")
    data = validated(out)
    assert str(data.metadata.ctx.conforms_to.value).endswith("croissant/1.1")
    assert data.metadata.license == ["cc-by-4.0"]
    assert data.metadata.ctx.issues.errors == set()
    rows = [row for part in ("train", "val", "test") if (out / part).is_dir() for row in records(data, part)]
    wanted = [(row.sha256, row.is_synthetic) for row in read_rows(out, require_manifest(out)).values()]
    assert sorted(rows) == sorted(wanted)
    assert Counter(synthetic for _, synthetic in rows) == {False: 8, True: 2}
    assert [row["classes/name"] for row in data.records("classes")] == ["NODULE", "NORMAL"]


def records(data, part):
    for row in data.records(part):
        yield row[f"{part}/sha256"].decode(), bool(row[f"{part}/is_synthetic"])


def test_it_says_how_synthetic_images_were_made_and_whose_data_these_are(tmp_path):
    found = described(balanced(tmp_path).folder)
    assert found["rai:hasSyntheticData"] is True
    assert "2 images by tiny-sd (SHA-256 abab" in found["rai:dataManipulationProtocol"]
    assert "NODULE: 3 real and 2 synthetic" in found["rai:dataBiases"]
    assert "health data" in found["rai:personalSensitiveInformation"]
    assert "patient leakage not excluded" in found["rai:dataLimitations"]
    assert [each["@type"] for each in found["prov:wasGeneratedBy"]] == ["prov:Activity"]
    assert str(tmp_path) not in json.dumps(found)


def test_a_flat_folder_and_an_unknown_generator(tmp_path):
    from balancer.dataset.merge import merge

    images = collection(tmp_path / "xrays")
    theirs = make_candidate(tmp_path / "store", None, "NODULE")
    made = [(make_candidate(tmp_path / "store", make_job("NODULE", 0)), Verdict("accept", {}, (), "nobody"))]
    made.append((theirs, Verdict("accept", {}, (), "nobody")))
    merge(images, no_split(images), made, tmp_path / "out", facts=FACTS)
    found = described(tmp_path / "out")
    assert "1 image by another generator, which is not known" in found["rai:dataManipulationProtocol"]
    assert len(list(records(validated(tmp_path / "out"), "all"))) == 10
