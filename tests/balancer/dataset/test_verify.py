"""What a synthetic image and a balanced folder say of where each file comes from."""

import csv
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from balancer.collection.scan import Sample
from balancer.dataset.merge import merge, unmerge
from balancer.dataset.provenance import escape_formula, unescape_formula
from balancer.dataset.verify import explain, verify
from balancer.dataset.xmp import make_xmp, parse_xmp, read_provenance
from balancer.errors import OutputError
from tests.support.balanced_fixtures import (
    FACTS,
    OUTPUT,
    accepted,
    balanced,
    collection,
    make_candidate,
    make_job,
    split_collection,
)
from tests.support.cli_process import tree_hash

SOURCE = Sample("NODULE/p0000-0.png", "NODULE", "p0000", "cd" * 32)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A balanced folder with all three parts."""
    folder = tmp_path_factory.mktemp("clean")
    found = split_collection(folder / "xrays")
    made = accepted(folder / "store", "NODULE", 2, text="a chest radiograph, =1+1")
    merge(found, None, made, folder / "out", facts=FACTS)
    return folder / "out"


@pytest.fixture
def out(tmp_path, clean):
    return shutil.copytree(clean, tmp_path / "out")


def synthetic(out):
    return sorted(out.rglob("syn-*"))[0]


def kinds(out):
    return {finding.kind: [str(path) for path in finding.paths] for finding in verify(out)}


@pytest.mark.parametrize("codec", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_every_format_carries_the_mark(tmp_path, codec):
    extension = f".{codec.lower()}"
    job = make_job('<NODULE> & "co"', 3, text="opacity, 'left' & <right>")
    candidate = make_candidate(tmp_path, job, output=replace(OUTPUT, codec=codec, extension=extension))
    found = read_provenance(candidate.path)
    assert found == {
        "digital_source_type": "trainedAlgorithmicMedia",
        "label": '<NODULE> & "co"',
        "job_id": job.id,
        "model": "tiny-sd",
        "model_sha256": "ab" * 32,
        "seed": str(job.seed),
        "mode": "text",
        "prompt": "opacity, 'left' & <right>",
    }


def test_an_image_made_from_a_real_one_is_a_composite_and_names_no_patient():
    packet = make_xmp("NODULE", make_job("NODULE", 0, source=SOURCE))
    found = parse_xmp(packet)
    assert found["digital_source_type"] == "compositeWithTrainedAlgorithmicMedia"
    assert found["source_sha256"] == SOURCE.sha256
    assert b"p0000" not in packet


def test_the_packet_is_always_the_same():
    assert make_xmp("A", make_job("A", 1)) == make_xmp("A", make_job("A", 1)) != make_xmp("A", make_job("A", 2))


@pytest.mark.parametrize("label", ["]]>", "a\x00\x1b\r\ud800b", "<!DOCTYPE x>", "{0}", "ä" * 100])
def test_no_label_breaks_the_packet(label):
    assert "label" in parse_xmp(make_xmp(label, None))


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"no xml",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b"<a xmlns:i='http://iptc.org/std/Iptc4xmpExt/2008-02-29/'><i:DigitalSourceType>"
        b"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture</i:DigitalSourceType></a>",
    ],
)
def test_a_packet_that_says_nothing_of_it_is_no_mark(packet):
    assert parse_xmp(packet) is None


def test_the_mark_of_another_tool_counts_too():
    packet = (
        b"<a xmlns:i='http://iptc.org/std/Iptc4xmpExt/2008-02-29/' i:DigitalSourceType="
        b"'https://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia'/>"
    )
    assert parse_xmp(packet) == {"digital_source_type": "trainedAlgorithmicMedia"}


def test_a_clean_folder_has_no_findings(clean):
    seen = []
    assert verify(clean, lambda done, total: seen.append((done, total))) == ()
    assert seen == [(done, 23) for done in range(1, 24)]


def test_verify_finds_a_synthetic_file_outside_train(out):
    shutil.copy(synthetic(out), out / "test" / "NODULE" / "innocent.png")
    found = kinds(out)
    assert found["synthetic-outside-train"] == ["test/NODULE/innocent.png"]
    assert found["orphan-file"] == ["test/NODULE/innocent.png"]


def test_verify_finds_a_missing_file(out):
    path = synthetic(out)
    path.unlink()
    assert kinds(out) == {"missing-file": [path.relative_to(out).as_posix()]}


def test_verify_finds_an_orphan_and_ignores_what_is_no_image(out):
    Image.new("L", (4, 4)).save(out / "val" / "NORMAL" / "new.png")
    (out / "val" / "notes.txt").write_text("mine")
    assert kinds(out) == {"orphan-file": ["val/NORMAL/new.png"]}


@pytest.mark.parametrize("name", ["train/metadata.csv", "metadata.jsonl", "metadata.csv", "train/NODULE/metadata.csv"])
def test_verify_finds_a_table_that_a_loader_would_read_in_place_of_ours(out, name):
    (out / name).write_text("file_name,label\nNODULE/p0000-0.png,NORMAL\n")
    assert kinds(out) == {"foreign-table": [name]}


@pytest.mark.parametrize("name", ["train/.ipynb_checkpoints", "val/EFFUSION"])
def test_verify_finds_a_folder_that_a_loader_would_take_for_a_class(out, name):
    (out / name).mkdir()
    assert kinds(out) == {"foreign-folder": [name]}


def test_verify_finds_one_changed_byte(out):
    path = out / "test" / "NORMAL" / "p1000-0.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert kinds(out) == {"changed": ["test/NORMAL/p1000-0.png"]}


def test_verify_finds_a_lost_mark(out):
    path = synthetic(out)
    Image.open(path).save(path)
    assert set(kinds(out)) == {"changed", "unmarked"}


def rewrite(table, change):
    found = pq.read_table(table, partitioning=None)
    pq.write_table(pa.Table.from_pylist(change(found.to_pylist()), schema=found.schema), table)


def test_verify_finds_a_table_that_calls_a_synthetic_image_real(out):
    table = out / "train" / "metadata.parquet"
    rewrite(table, lambda rows: [{**row, "is_synthetic": False} for row in rows])
    found = kinds(out)
    assert found["changed-table"] == ["train/metadata.parquet"]
    assert len(found["synthetic-not-recorded"]) == 2
    with pytest.raises(OutputError, match="changed"):
        unmerge(out)


def test_verify_finds_a_lost_row_and_a_lost_table(out):
    rewrite(out / "train" / "metadata.parquet", lambda rows: rows[1:])
    assert {kind: len(paths) for kind, paths in kinds(out).items()} == {"changed-table": 1, "orphan-file": 1}
    (out / "test" / "metadata.parquet").unlink()
    (out / "val" / "metadata.parquet").write_bytes(b"PAR1")
    assert len(kinds(out)["changed-table"]) == 3


def test_a_table_never_leads_out_of_the_folder(out):
    victim = out.parent / "victim.png"
    victim.write_text("mine")
    rewrite(out / "train" / "metadata.parquet", lambda rows: [{**rows[0], "file_name": "../../victim.png"}])
    assert "changed-table" in kinds(out)
    with pytest.raises(OutputError):
        unmerge(out)
    assert victim.read_text() == "mine"


def test_bmp_has_no_mark_and_is_no_finding(tmp_path):
    found = collection(tmp_path / "xrays")
    output = replace(OUTPUT, codec="BMP", extension=".bmp")
    _, verdict = accepted(tmp_path / "store", "NODULE", 1)[0]
    candidate = make_candidate(tmp_path / "store", make_job("NODULE", 0), output=output)
    merge(found, None, [(candidate, verdict)], tmp_path / "out", facts={})
    assert verify(tmp_path / "out") == ()


@pytest.mark.parametrize("call", [verify, unmerge])
def test_a_folder_that_is_not_ours_is_an_error(tmp_path, call):
    (tmp_path / "balance.json").write_text("{}")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(OutputError, match=r"balance\.json|no such folder"):
            call(folder)


def test_explain_tells_all_of_a_synthetic_image(out):
    facts = explain(synthetic(out))
    assert facts["what"] == "synthetic"
    assert facts["state"] == "unchanged since it was merged"
    expected = {"model": "tiny-sd", "mode": "text", "steps": "2", "reviewer": "nobody", "decision": "accept"}
    assert expected.items() <= facts.items()
    assert facts["prompt"] == "a chest radiograph, =1+1"
    assert json.loads(facts["scores"]) == {"similarity": 0.25}
    assert json.loads(facts["reasons"]) == ["=looks right"]
    (out / "provenance.csv").unlink()
    assert explain(synthetic(out))["prompt"] == "a chest radiograph, =1+1"


def test_explain_tells_that_an_original_is_one_and_whether_it_changed(out):
    path = out / "val" / "NORMAL" / "p1000-0.png"
    facts = explain(path)
    assert facts["what"].startswith("original, copied")
    assert facts["state"] == "unchanged since it was merged"
    Image.new("L", (4, 4)).save(path)
    assert explain(path)["state"].startswith("CHANGED")


def test_explain_outside_a_folder_knows_what_the_file_says(out, tmp_path):
    path = tmp_path / "found.png"
    shutil.copy(synthetic(out), path)
    facts = explain(path)
    assert facts["model"] == "tiny-sd"
    assert "nothing is verified" in facts["known from"]
    with pytest.raises(OutputError, match="does not prove"):
        explain(shutil.copy(out / "val" / "NORMAL" / "p1000-0.png", tmp_path / "plain.png"))
    with pytest.raises(OutputError, match="no such file"):
        explain(tmp_path / "nowhere.png")


@pytest.mark.parametrize("place", ["beside it", "elsewhere"])
def test_explain_knows_a_synthetic_image_that_was_saved_again_by_its_pixels(out, tmp_path, place):
    path = (out / "train" / "NODULE" if place == "beside it" else tmp_path) / "innocent.png"
    with Image.open(synthetic(out)) as image:
        Image.fromarray(np.asarray(image)).save(path)  # pixels alone: no mark goes with them
    facts = explain(path, out)
    assert facts["what"] == "synthetic"
    assert facts["file"] == "innocent.png"
    assert synthetic(out).relative_to(out).as_posix() in facts["known from"]
    assert facts["job_id"] == explain(synthetic(out))["job_id"]
    with pytest.raises(OutputError, match="does not prove"):
        explain(shutil.copy(out / "val" / "NORMAL" / "p1000-0.png", tmp_path / "plain.png"), out)


def test_provenance_has_every_field_and_no_formula(tmp_path):
    found = collection(tmp_path / "xrays")
    job = make_job("NODULE", 0, text="=cmd|' /C calc'!A0", source=SOURCE)
    _, verdict = accepted(tmp_path / "store", "NODULE", 1)[0]
    merge(found, None, [(make_candidate(tmp_path / "store", job), verdict)], tmp_path / "out", facts={})
    text = (tmp_path / "out" / "provenance.csv").read_text()
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["prompt"] == "'=cmd|' /C calc'!A0"
    assert (row["source_path"], row["source_patient"], row["strength"]) == (SOURCE.path, "p0000", "0.5")
    assert (row["job_id"], row["index"], row["seed"]) == (job.id, "0", str(job.seed))
    assert (row["generator"], row["model_sha256"], row["adapter"]) == ("balance", "ab" * 32, "")
    assert json.loads(row["slots"]) == {"view": "PA"}
    assert row["file"] == f"NODULE/syn-{job.id}.png"


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\tx", "\rx", "'x", "''", "plain", ""])
def test_the_guard_is_undone(cell):
    assert unescape_formula(escape_formula(cell)) == cell
    assert not escape_formula(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_the_card_counts_and_warns(clean):
    _, front, text = (clean / "README.md").read_text().split("---\n", 2)
    content = yaml.safe_load(front)
    assert content["license"] == "unknown"
    assert content["size_categories"] == ["n<1K"]
    assert {"synthetic", "medical"} <= set(content["tags"])
    assert "| train | NODULE | 2 | 2 |" in text
    assert "| test | NORMAL | 5 | 0 |" in text
    assert "patient leakage not excluded" in text
    assert "Not for diagnosis" in text
    assert "balance unmerge" in text


def test_a_half_unmerged_folder_says_so(out):
    marker = json.loads((out / "balance.json").read_text())
    (out / "balance.json").write_text(json.dumps({**marker, "unmerging": True}))
    assert set(kinds(out)) == {"half-unmerged"}
    unmerge(out)
    assert not (out / "balance.json").exists()


def test_no_absolute_time_is_in_the_tree(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        balanced(tmp_path / name)
    assert tree_hash(tmp_path / "one" / "balanced") == tree_hash(tmp_path / "two" / "balanced")
