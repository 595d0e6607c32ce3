"""`balance screen`, `merge` and `--no-screen` as a user types them; in this process where none loads a model."""

import json
import os
import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from balancer.cli.app import app
from balancer.dataset.verify import verify
from balancer.errors import BalanceError
from balancer.jobs import Verdict
from balancer.store.database import Ledger
from balancer.store.state_dir import find_state
from tests.balancer.filling.test_external_folder import draw
from tests.support.cli_process import balance, finished, tree_hash
from tests.support.tiny_models import write_xrays

NONE = "screening: none (override: --no-screen)"


def run(*arguments):
    done = CliRunner().invoke(app, list(arguments))
    if isinstance(done.exception, BalanceError):
        raise done.exception
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def work(tmp_path, xrays, monkeypatch):
    """A scanned collection, and a folder that another generator wrote: five images that pass and some that do not."""
    monkeypatch.chdir(tmp_path)
    run("scan", "xrays", "--patient", r"(p\d+)-")
    theirs = tmp_path / "theirs"
    for number in range(5):
        draw(theirs / ("NODULE" if number < 4 else "EFFUSION") / f"{number}.png", number)
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(theirs / "NODULE" / "blank.png")
    shutil.copy(theirs / "NODULE" / "0.png", theirs / "NODULE" / "copy.png")
    (theirs / "EFFUSION" / "bad.png").write_bytes(b"no image")
    (theirs / "EFFUSION" / "notes.txt").write_text("mine")
    return tmp_path


def make_real(work):
    shutil.copy(work / "xrays" / "NORMAL" / "p0000-0.png", work / "theirs" / "EFFUSION" / "real.png")


def marker(work, folder="xrays-balanced"):
    return json.loads((work / folder / "balance.json").read_text())


def merged(work, folder="xrays-balanced"):
    table = pd.read_parquet(work / folder / "train" / "metadata.parquet")
    return table[table["is_synthetic"]]


def synthetic_files(work):
    """Their names and contents; their scores tell how near they are to those that came before them."""
    return {path.name: path.read_bytes() for path in (work / "xrays-balanced").rglob("syn-*")}


def reject(work, label, count):
    state = find_state(work)
    with Ledger(state) as ledger:
        found = ledger.load_collection()
        some = [c for c, v in ledger.candidates(found, label).values() if v.decision in ("accept", "unscreened")][
            :count
        ]
        for candidate in some:
            ledger.add_verdict(found, candidate.id, Verdict("reject", {}, (), "Dr. A"))
    return some


def test_screen_judges_and_writes_nothing_beside_its_report(work):
    make_real(work)
    before = tree_hash(work / "theirs"), tree_hash(work / "xrays")
    done = run("screen", "theirs", "--json")
    images = json.loads(done.stdout)["images"]
    assert [each["path"] for each in images] == sorted(
        [f"NODULE/{name}.png" for name in (0, 1, 2, 3, "blank", "copy")]
        + [f"EFFUSION/{name}.png" for name in (4, "bad", "real")]
    )
    assert all(each.keys() == {"path", "label", "decision", "reasons", "scores"} for each in images)
    said = {each["path"]: (each["decision"], "".join(each["reasons"][:1]).split(":")[0]) for each in images}
    assert said["NODULE/0.png"][0] == "accept"
    assert said["NODULE/blank.png"] == ("reject", "sound")
    assert said["NODULE/copy.png"] == ("reject", "repeated")
    assert said["EFFUSION/bad.png"] == ("reject", "unreadable")
    assert said["EFFUSION/real.png"] == ("reject", "a real image")
    assert "Not read: EFFUSION/notes.txt" in done.stderr
    assert (tree_hash(work / "theirs"), tree_hash(work / "xrays")) == before
    state = work / ".balance"
    assert sorted(path.name for path in state.iterdir() if path.is_dir()) == ["cache", "reports"]
    assert Image.open(state / "reports" / "screened.png").height > 300
    assert not (work / "xrays-balanced").exists()


def test_screen_shows_people_a_table_and_the_reasons(work):
    done = run("screen", "theirs")
    rows = [line.split() for line in done.stdout.splitlines()[:3]]
    assert rows == [
        ["class", "accept", "unscreened", "review", "reject"],
        ["EFFUSION", "1", "0", "0", "1"],
        ["NODULE", "4", "0", "0", "2"],
    ]
    assert "quality: saturated: one grey value fills too much of the image: NODULE/blank.png" in done.stdout
    assert "reject: EFFUSION: 1 unreadable: EFFUSION/bad.png" in done.stdout
    assert "Next: balance merge --from theirs" in done.stdout


def test_screen_and_merge_agree(work):
    said = {each["path"]: each["decision"] for each in json.loads(run("screen", "theirs", "--json").stdout)["images"]}
    run("merge", "--from", "theirs")
    assert len(merged(work)) == sum(decision == "accept" for decision in said.values()) == 5
    again = {each["path"]: each["decision"] for each in json.loads(run("screen", "theirs", "--json").stdout)["images"]}
    assert again == said


def test_merge_from_adds_what_passes(work):
    done = run("merge", "--from", "theirs")
    assert "patients allow a threshold that rejects up to" in done.stderr
    table = merged(work)
    assert sorted(table["label"].map(["EFFUSION", "NODULE", "NORMAL"].__getitem__)) == ["EFFUSION"] + ["NODULE"] * 4
    assert table[["job_id", "model", "prompt", "seed"]].isna().all(axis=None)
    assert verify(work / "xrays-balanced") == ()
    assert "generator exposure unknown" in marker(work)["facts"]["stamps"]
    assert marker(work)["facts"]["screening"] == "screen 3: 5 accept"
    assert "made by another generator, which is not known: 5" in (work / "xrays-balanced" / "README.md").read_text(
        encoding="utf-8"
    )
    assert "generator exposure unknown" not in done.stderr
    name = table["file_name"].iloc[0]
    assert "external" in run("explain", f"xrays-balanced/train/{name}").stdout
    assert "5 synthetic images removed" in run("unmerge", "xrays-balanced").stdout


def test_without_known_patients_images_are_taken_by_the_users_word_alone(work):
    run("scan", "xrays", "--patient", "")
    with pytest.raises(BalanceError, match="known patients, to screen for copies"):
        run("merge", "--from", "theirs")
    run("merge", "--from", "theirs", "--accept-unscreened")
    facts = marker(work)["facts"]
    assert facts["stamps"].startswith(
        "copies of patients not screened (override: --accept-unscreened): patients are unknown"
    )
    assert facts["screening"] == "override: --accept-unscreened: 5 unscreened"


def test_below_19_patients_a_warning_is_enough(work):
    for path in (work / "xrays").rglob("*.png"):  # eight of each class
        path.rename(path.with_name(f"p{int(path.name[1:5]) % 8:04}-{path.name}"))
    run("scan", "xrays", "--patient", r"(p\d+)-")
    done = run("merge", "--from", "theirs")
    warning = r"opies of patients not excluded, except exact ones: only \d+ patients to compare with"
    assert re.search(warning, done.stderr)
    assert re.search(warning, marker(work)["facts"]["stamps"])
    assert marker(work)["facts"]["screening"] == "too few patients: 5 unscreened"
    assert len(merged(work)) == 5


def test_merging_the_same_folder_again_changes_nothing(work):
    run("merge", "--from", "theirs", "--accept-unscreened")
    before = tree_hash(work / "xrays-balanced"), (work / "xrays-balanced").stat().st_ino
    assert "Nothing changed" in run("merge", "--from", "theirs", "--accept-unscreened").stderr
    assert "Nothing changed" in run("merge").stderr
    assert (tree_hash(work / "xrays-balanced"), (work / "xrays-balanced").stat().st_ino) == before


def test_a_merge_reads_the_candidates_of_a_class_once(work, monkeypatch):
    read, asked = Ledger.candidates, []
    monkeypatch.setattr(Ledger, "candidates", lambda self, *which: asked.append(which[1]) or read(self, *which))
    run("merge", "--from", "theirs")
    assert sorted(asked) == ["EFFUSION", "NODULE", "NORMAL"]


def test_images_that_are_gone_from_the_folder_are_taken_out(work):
    run("merge", "--from", "theirs", "--accept-unscreened")
    (work / "theirs" / "NODULE" / "2.png").unlink()
    done = run("merge", "--from", "theirs", "--accept-unscreened")
    assert "Removed: 1 images" in done.stderr
    assert len(merged(work)) == 4
    assert verify(work / "xrays-balanced") == ()


def test_two_folders_are_merged_together_in_any_order(work):
    draw(work / "more" / "NODULE" / "9.png", 9)
    for folder in ("theirs", "more"):
        run("merge", "--from", folder, "--accept-unscreened")
    first = synthetic_files(work)
    shutil.rmtree(work / ".balance")
    shutil.rmtree(work / "xrays-balanced")
    run("scan", "xrays", "--patient", r"(p\d+)-")
    for folder in ("more", "theirs"):
        run("merge", "--from", folder, "--accept-unscreened")
    assert synthetic_files(work) == first
    assert len(first) == len(merged(work)) == 6


def test_without_screening_all_that_can_be_read_is_merged_and_says_so(work):
    done = run("merge", "--from", "theirs", "--no-screen")
    assert "Screening: none (override: --no-screen)." in done.stderr
    table = merged(work)
    assert (len(table), set(table["decision"])) == (6, {"unscreened"})
    facts = marker(work)["facts"]
    assert facts["screening"] == "none (override: --no-screen): 6 unscreened"
    assert facts["stamps"].startswith(NONE)
    provenance = pd.read_csv(work / "xrays-balanced" / "provenance.csv")
    assert set(provenance["reasons"]) == {json.dumps([NONE])}
    assert set(provenance["reviewer"]) == {"no screen"}
    run("merge", "--from", "theirs", "--accept-unscreened")
    assert (len(merged(work)), marker(work)["facts"]["screening"]) == (5, "screen 3: 5 accept")


def test_a_real_image_is_never_merged(work):
    make_real(work)
    run("merge", "--from", "theirs", "--accept-unscreened")
    assert len(merged(work)) == 5
    before = tree_hash(work / "xrays-balanced")
    with pytest.raises(BalanceError, match=r"EFFUSION/real.png is NORMAL/p0000-0.png \(\w+ split\)"):
        run("merge", "--from", "theirs", "--no-screen")
    assert tree_hash(work / "xrays-balanced") == before


def test_what_a_person_rejects_is_left_out_of_the_next_merge(work):
    run("merge", "--from", "theirs", "--accept-unscreened")
    (candidate,) = reject(work, "NODULE", 1)
    run("merge")
    assert len(merged(work)) == 4
    run("merge", "--from", "theirs", "--accept-unscreened")
    assert len(merged(work)) == 4
    assert not list((work / "xrays-balanced").rglob(f"syn-{candidate.id}.png"))


def test_what_is_left_out_is_told(work):
    run("merge", "--from", "theirs", "--accept-unscreened")
    state = find_state(work)
    with Ledger(state) as ledger:
        found = ledger.load_collection()
        key = next(iter(ledger.candidates(found, "EFFUSION")))
        ledger.add_verdict(found, key, Verdict("review", {}, (), "Dr. A"))
    done = run("merge")
    assert "Left out: 1 external images without a decision: balance review" in done.stderr
    assert len(merged(work)) == 4
    for path in (work / "xrays").rglob("*.png"):
        Image.open(path).resize((30, 30)).save(path)
    run("scan", "xrays")
    done = run("merge")
    assert "Left out: 4 external images" in done.stderr
    assert len(merged(work)) == 0
    run("merge", "--from", "theirs", "--accept-unscreened")
    assert {Image.open(path).size for path in (work / "xrays-balanced").rglob("syn-*")} == {(30, 30)}


def test_out_says_where_the_folder_goes(work):
    run("merge", "--from", "theirs", "--accept-unscreened", "--out", "other")
    assert len(merged(work, "other")) == 5
    assert not (work / "xrays-balanced").exists()


def test_nothing_that_passes_is_a_merge_of_the_originals(work):
    shutil.rmtree(work / "theirs")
    (work / "theirs" / "NODULE").mkdir(parents=True)
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(work / "theirs" / "NODULE" / "blank.png")
    run("merge", "--from", "theirs", "--accept-unscreened")
    assert len(merged(work)) == 0
    assert verify(work / "xrays-balanced") == ()


def test_hostile_names_are_shown_and_do_nothing(work):
    shutil.move(work / "theirs" / "NODULE" / "blank.png", work / "theirs" / "NODULE" / "=cmd\x1b[2J<b>.png")
    done = run("merge", "--from", "theirs", "--no-screen")
    assert "\x1b" not in done.output
    text = (work / "xrays-balanced" / "provenance.csv").read_text()
    assert "NODULE/=cmd" in text
    assert not any(cell.startswith("=") for line in text.splitlines() for cell in line.split(","))


@pytest.fixture
def filled(work, checkpoint):
    """The same after `fill`, without screening, and then `merge --from`."""
    options = ("--target", "NODULE=9", "--model", str(checkpoint), "--steps", "2", "--batch-size", "4")
    finished(balance(work, "fill", *options, "--no-screen"))
    return work, options


def test_fill_and_images_from_elsewhere_are_merged_together(filled):
    work, options = filled
    before = tree_hash(work / "xrays-balanced")
    facts = marker(work)["facts"]
    assert facts["screening"] == "none (override: --no-screen): 5 unscreened"
    assert facts["stamps"].startswith(NONE)
    assert "Nothing changed" in run("merge").stderr
    assert tree_hash(work / "xrays-balanced") == before

    run("merge", "--from", "theirs", "--accept-unscreened")
    both = tree_hash(work / "xrays-balanced")
    table = merged(work)
    taken = len(table) - 5  # one may repeat an image of the fill
    of_nodule = int(table["file_name"].str.startswith("NODULE/").sum()) - 5
    assert 4 <= taken <= 5
    assert marker(work)["facts"]["screening"].endswith(f"--no-screen): 5 unscreened; screen 3: {taken} accept")
    assert marker(work)["facts"]["seed"] == "0"
    output = finished(balance(work, "fill", *options, "--no-screen"))
    assert tree_hash(work / "xrays-balanced") == both
    assert f"NODULE also gets {of_nodule} accepted external images" in output
    assert "keeps" not in output

    rejected = {candidate.id for candidate in reject(work, "NODULE", 99)}
    done = run("merge")
    assert "Short: NODULE lacks 5 of 5" in done.stderr
    assert rejected.isdisjoint(path.stem[4:] for path in (work / "xrays-balanced").rglob("syn-*"))
    assert len(merged(work)) == 1

    output = finished(balance(work, "fill", *options, "--no-screen", "--dry-run"))
    assert "Screening: none (override: --no-screen)" in output
    assert "Dry run: nothing was written." in output


def test_screened_after_all_nothing_is_made_again(filled):
    work, options = filled
    candidates = tree_hash(work / ".balance" / "candidates")
    process = balance(work, "fill", *options, "--retries", "0", "--accept-unscreened")
    output, _ = process.communicate()
    assert process.returncode in (0, 1), output
    assert "Screened again, but not generated again: 8 images" in output
    assert tree_hash(work / ".balance" / "candidates") == candidates
    assert "no-screen" not in json.dumps(marker(work))


def test_a_flat_folder_stays_flat(work, checkpoint):
    options = ("--target", "NODULE=12", "--model", str(checkpoint), "--steps", "2", "--batch-size", "4")
    finished(balance(work, "fill", *options, "--no-screen", "--no-holdout", "--out", "flat"))
    before = tree_hash(work / "flat")
    assert "Nothing changed" in run("merge").stderr
    assert tree_hash(work / "flat") == before


@pytest.mark.parametrize("stop", [0, *(pytest.param(stop, marks=pytest.mark.slow) for stop in (1, 2))])
def test_a_killed_merge_ends_with_the_same_folder(work, stop):
    """Killed after a file of the store, of the staging folder, or anywhere: run again, it is as if nobody had."""
    run("merge", "--from", "theirs", "--accept-unscreened")
    wanted = tree_hash(work / "xrays-balanced"), tree_hash(work / ".balance" / "candidates")
    shutil.rmtree(work / ".balance")
    shutil.rmtree(work / "xrays-balanced")
    run("scan", "xrays", "--patient", r"(p\d+)-")
    waits = (".balance/candidates/*.png", ".xrays-balanced.partial/*", "xrays-balanced/balance.json")
    process = balance(work, "merge", "--from", "theirs", "--accept-unscreened")
    while not list(work.glob(waits[stop])) and process.poll() is None:
        pass
    process.kill()
    process.communicate()
    finished(balance(work, "merge", "--from", "theirs", "--accept-unscreened"))
    assert (tree_hash(work / "xrays-balanced"), tree_hash(work / ".balance" / "candidates")) == wanted


def test_real_xrays_from_elsewhere(tmp_path, real_xrays, monkeypatch):
    """Real images of other patients pass the door and the sound gate; those of the collection do not."""
    monkeypatch.chdir(tmp_path)
    source = real_xrays / "pediatric-cxr-224" / "train"
    labels = ("NORMAL", "VIRAL_PNEUMONIA")
    files = {label: sorted((source / label).iterdir())[:60] for label in labels}
    for label in labels:
        (tmp_path / "xrays" / label).mkdir(parents=True)
        (tmp_path / "theirs" / label).mkdir(parents=True)
        for file in files[label][:40]:
            shutil.copy(file, tmp_path / "xrays" / label)
        for file in files[label][39:]:
            shutil.copy(file, tmp_path / "theirs" / label)
    run("scan", "xrays")
    done = json.loads(run("screen", "theirs", "--json").stdout)["images"]
    refused = [each["path"] for each in done if each["reasons"][0].startswith("a real image")]
    assert refused == [f"{label}/{files[label][39].name}" for label in labels]
    assert sum(each["decision"] == "unscreened" for each in done) >= 38


def test_sizes_and_formats_of_the_collection_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_xrays(tmp_path / "xrays", {"A": 10, "B": 6}, size=(24, 20), suffix=".jpg")
    run("scan", "xrays")
    draw(tmp_path / "theirs" / "B" / "x.png", 1, side=96)
    run("merge", "--from", "theirs", "--no-screen")
    (path,) = (tmp_path / "xrays-balanced").rglob("syn-*")
    with Image.open(path) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "L", (24, 20))


def test_what_a_killed_screen_left_behind_is_removed_after_a_day(work):
    for name, age in (("screen-old", 2), ("screen-new", 0)):
        (work / ".balance" / name).mkdir()
        os.utime(work / ".balance" / name, (time.time() - age * 86_400,) * 2)
    run("screen", "theirs")
    assert sorted(path.name for path in (work / ".balance").glob("screen-*")) == ["screen-new"]
