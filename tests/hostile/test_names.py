"""Hostile names of classes, files and patients go through every command and do nothing but name."""

import csv
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.hostile.names import HIDDEN, NAMES, NOT_UNICODE, TWINS
from tests.support import cli_process
from tests.support.cli_process import balance, tree_hash

PIPELINE = ("--no-screen", "--steps", "1", "--size", "16", "--batch-size", "2")
SOME = NAMES if os.environ.get("TORTURE") else NAMES[::6]
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def run(folder, *arguments, code=0):
    """What a command printed; it ends with `code`, without a traceback and without driving the terminal."""
    ended, output = cli_process.run(folder, *arguments)
    assert ended == code, (arguments, output[-3000:])
    assert not [letter for letter in output if not letter.isprintable() and letter not in "\n"], arguments
    return output


def image(path, number):
    """A small X-ray that is like no other."""
    grey = np.random.default_rng(number).integers(0, 255, (16, 16), np.uint8)
    Image.fromarray(grey).save(path, "PNG")


def collection(root, labels, images=4, first=0):
    """Each class with files that are called as hostile, one for each patient; `first` gives other images."""
    for number, label in enumerate(labels):
        (root / label).mkdir(parents=True)
        for index in range(images):
            name = NAMES[(number + index) % len(NAMES)].encode()[:200].decode(errors="ignore")
            image(root / label / f"p{number * images + index:04}-{name}.png", first + number * images + index)
    return root


def outside(folder):
    """All that lies in a folder but what the commands are to make."""
    ours = {".balance", "xrays-balanced"}
    return sorted(str(path) for path in folder.rglob("*") if not ours & set(path.relative_to(folder).parts))


@pytest.fixture(scope="module")
def filled(tmp_path_factory, checkpoint):
    """A collection of hostile names through every command that makes something, with images of another generator."""
    folder = tmp_path_factory.mktemp("names")
    collection(folder / "theirs", ["NORMAL", *SOME], images=2, first=10_000)
    root = collection(folder / "xrays", ["NORMAL"], images=12)
    collection(root, [*SOME, *HIDDEN])
    table = ["file,patient,sex,age,view"]
    rows = csv.writer(file := (folder / "patients.csv").open("w", encoding="utf-8", newline=""))
    file.write(table[0] + "\r\n")
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        rows.writerow([path.relative_to(root).as_posix(), f"{NAMES[number % len(NAMES)]}{number}", "F", "40", "PA"])
    file.close()
    before, hashed = outside(folder), tree_hash(root)
    run(folder, "scan", "xrays", "--patients", "patients.csv")
    run(folder, "split")
    run(folder, "prompts", "-n", "1")
    run(folder, "fill", "--target", "4", "--model", str(checkpoint), *PIPELINE)
    run(folder, "screen", "theirs")
    run(folder, "merge", "--from", "theirs", "--no-screen")
    run(folder, "report")
    assert outside(folder) == before
    assert tree_hash(root) == hashed
    return folder


def test_they_are_merged_verified_and_told_as_they_are(filled):
    out = filled / "xrays-balanced"
    run(filled, "verify", "xrays-balanced")
    tables = [pq.read_table(path).to_pylist() for path in out.rglob("metadata.parquet")]
    made = [row for table in tables for row in table if row["is_synthetic"]]
    assert {Path(row["file_name"]).parent.name for row in made} == {*SOME, "NORMAL"}
    with (out / "provenance.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert [cell for cell in cells if cell.startswith(DANGEROUS)] == []
    assert cells.count("external") == 2 * len(SOME) + 2
    card = (out / "README.md").read_text("utf-8")
    assert "<script" not in card
    assert "<img" not in card
    assert json.loads((out / "balance.json").read_bytes())["labels"] == sorted([*SOME, "NORMAL"])
    for path in sorted(out.rglob("syn-*"))[::16]:
        assert "synthetic" in run(filled, "explain", str(path.relative_to(filled)))


def test_scan_tells_a_program_the_names_as_they_are(filled):
    found = run(filled, "scan", "xrays", "--json", "--patients", "patients.csv")
    said = json.loads(found[found.index("{\n") : found.rindex("}") + 1])
    assert set(said["classes"]) == {*SOME, "NORMAL"}
    assert {path for each in said["findings"] if each["kind"] == "hidden-folder" for path in each["paths"]} == {*HIDDEN}


def test_unmerge_leaves_the_originals(filled, tmp_path):
    shutil.copytree(filled / "xrays-balanced", tmp_path / "balanced")
    run(tmp_path, "unmerge", "balanced")
    originals = sorted(path.name for path in (filled / "xrays").rglob("*.png") if path.parent.name not in HIDDEN)
    assert sorted(path.name for path in (tmp_path / "balanced").rglob("*.png")) == originals


@contextmanager
def browsed(browser, address):
    """A page in a browser, the addresses that it asks for, and all that it says: nothing, where no script runs."""
    said, asked = [], []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda each: said.append(each.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(address)
    yield page, asked
    page.close()
    assert said == []


@pytest.mark.slow
def test_no_script_of_theirs_runs_in_the_report(browser, filled):
    place = filled / ".balance" / "reports" / "report.html"
    with browsed(browser, place.as_uri()) as (page, asked):
        shown = page.locator("body").inner_text()
        assert page.title().startswith("xrays")
        assert page.locator("script, iframe, object, embed, [onerror], [onmouseover], [onload]").count() == 0
        assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
        assert [url for url in asked if url.startswith("file")] == [place.as_uri()]
    assert "DROP TABLE" in shown or not [name for name in SOME if "DROP" in name]


@pytest.mark.slow
def test_no_script_of_theirs_runs_in_the_review_page(browser, filled):
    process = balance(filled, "review", "--reader", "<img src=x onerror=document.title=1>", "--audit", "500")
    address = next(line.strip() for line in process.stdout if line.startswith("http"))
    with browsed(browser, address) as (page, asked):
        page.locator("#place", has_text=" of ").wait_for()
        count, shown = int(page.locator("#place").text_content().split(" of ")[1].split()[0]), set()
        for _ in range(count):
            shown.add(page.locator("#label").text_content())
            page.keyboard.press("ArrowRight")
        assert page.title() == "Review · balance"
        assert page.locator("img, iframe, object, embed").count() == 0
    process.kill()
    process.communicate()
    assert {url.split("/")[2] for url in asked} == {address.split("/")[2]}
    assert shown >= set(SOME)


@pytest.mark.parametrize(("one", "other"), TWINS.values(), ids=list(TWINS))
def test_classes_that_are_one_elsewhere_are_refused_with_both_names(tmp_path, checkpoint, one, other):
    collection(tmp_path / "xrays", ["NORMAL", one, other], images=8)
    run(tmp_path, "scan", "xrays", "--patient", r"(p\d+)")
    said = run(tmp_path, "fill", "--target", "10", "--model", str(checkpoint), *PIPELINE, code=2)
    assert ascii(one)[1:-1] in said
    assert ascii(other)[1:-1] in said
    assert not (tmp_path / "xrays-balanced").exists()


def test_files_that_are_one_elsewhere_are_refused_with_both_names(tmp_path, checkpoint):
    root = collection(tmp_path / "xrays", ["NORMAL", "NODULE"], images=8)
    for number, name in enumerate(("é.png", "e\u0301.png")):
        image(root / "NODULE" / f"p0009-{name}", 900 + number)
    run(tmp_path, "scan", "xrays", "--patient", r"(p\d+)")
    said = run(tmp_path, "fill", "--target", "10", "--model", str(checkpoint), *PIPELINE, code=2)
    assert "p0009-\\xe9.png" in said
    assert "p0009-e\\u0301.png" in said


@pytest.mark.parametrize(("one", "other"), TWINS.values(), ids=list(TWINS))
def test_candidates_of_classes_that_are_one_elsewhere_are_refused_with_both_names(tmp_path, one, other):
    collection(tmp_path / "xrays", ["NORMAL", one], images=8)
    collection(tmp_path / "theirs", [other], images=2, first=10_000)
    run(tmp_path, "scan", "xrays", "--patient", r"(p\d+)")
    said = run(tmp_path, "merge", "--from", "theirs", "--no-screen", code=2)
    assert ascii(other) in said
    assert one in said
    assert not (tmp_path / "xrays-balanced").exists()


def test_names_that_are_no_unicode_are_told_and_left(tmp_path):
    root = collection(tmp_path / "xrays", ["NORMAL", "NODULE"], images=6)
    foreign = os.fsdecode(NOT_UNICODE)
    image(root / "NODULE" / f"{foreign}.png", 1000)
    (root / foreign).mkdir()
    image(root / foreign / "a.png", 1001)
    said = run(tmp_path, "scan", "xrays", "--patient", r"(p\d+)", "--json")
    assert "a\\\\xff\\\\xfe" in said
    (tmp_path / foreign).mkdir()
    for arguments in (
        ("scan", foreign),
        ("scan", "xrays", "--patients", foreign),
        ("split", "--splits", foreign),
        ("fill", "--target", f"{foreign}=3"),
        ("fill", "--target", "20", "--model", foreign),
        ("review", "--reader", foreign),
        ("merge", "--from", foreign),
        ("verify", foreign),
    ):
        assert "needed:" in run(tmp_path, *arguments, code=2)
