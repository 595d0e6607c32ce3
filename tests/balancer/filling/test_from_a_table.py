"""The whole chain on a collection whose labels come from a table, with a real pipeline in small."""

import csv
import json

import pytest

from tests.support.cli_process import apart, balance, finished, tree_hash
from tests.support.layouts import draw, write_table


@pytest.fixture
def work(tmp_path):
    """Archive folders, one table with labels joined by bars, two images of each of 30 patients, a list of the test."""
    rows = [["Image Index", "Finding Labels", "Patient ID", "Patient Gender"]]
    tested = []
    for number in range(60):
        finding = ["No Finding", "No Finding", "Effusion", "No Finding", "Effusion|Mass"][number // 2 % 5]
        name = f"{number // 2:08}_{number % 2:03}.png"
        rows.append([name, finding, number // 2, "MF"[number // 2 % 2]])
        draw(tmp_path / "x" / f"images_{1 + number // 30:03}" / name, size=(32, 32))
        tested += [[name]] if number >= 40 else []
    write_table(tmp_path / "x" / "entries.csv", rows)
    write_table(tmp_path / "x" / "test_list.txt", tested)
    return tmp_path


SCAN = (
    *("scan", "x", "--labels", "x/entries.csv", "--separator", "|", "--split-list", "test=x/test_list.txt"),
    *("--columns", "file='Image Index' label='Finding Labels' patient='Patient ID' sex='Patient Gender'"),
    *("--target-label", "Mass"),
)


@pytest.mark.slow
def test_scan_split_plan_fill_merge_verify_and_unmerge(work, checkpoint):
    before = tree_hash(work / "x")
    found = json.loads(apart(work, *SCAN, "--json").stdout)
    assert {label: each["images"]["all"] for label, each in found["classes"].items()} == {"Mass": 12, "no Mass": 48}
    finished(balance(work, "split", "--seed", "3"))
    generate = ("fill", "--target", "Mass=12", "--model", str(checkpoint), "--steps", "2", "--batch-size", "4")
    assert "Mass" in finished(balance(work, *generate, "--no-screen", "--dry-run"))
    finished(balance(work, *generate, "--no-screen"))
    out = work / "x-balanced"
    merged = tree_hash(out)
    finished(balance(work, "merge"))
    assert tree_hash(out) == merged
    finished(balance(work, "verify", "x-balanced"))
    with (out / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    synthetic = [row for row in rows if row["is_synthetic"] == "1"]
    assert len(synthetic) == 4  # of 12, 8 are real
    assert {(row["balanced_class"], row["split"], row["Finding Labels"]) for row in synthetic} == {
        ("Mass", "train", "Mass")
    }
    real = [row for row in rows if row["is_synthetic"] == "0"]
    tested = {row["Patient ID"] for row in real if row["split"] == "test"}
    assert len(tested) == 10
    assert not tested & {row["Patient ID"] for row in rows if row["split"] != "test"}
    assert (
        len({row["Patient ID"] for row in real})
        == 30
        == len({(row["Patient ID"], row["source_file"][:19]) for row in real})
    )
    explained = finished(balance(work, "explain", str(out / synthetic[0]["Image Index"])))
    assert "synthetic" in explained
    finished(balance(work, "unmerge", "x-balanced"))
    left = sorted(path.read_bytes() for path in out.rglob("*.png"))
    assert left == sorted(path.read_bytes() for path in (work / "x").rglob("*.png"))
    assert tree_hash(work / "x") == before
