"""The command line as a stranger types it: results, exit codes, and one clear message for every mistake."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from balancer.cli import console
from balancer.collection.scan import samples, with_hashes
from balancer.store.database import Ledger
from balancer.store.state_dir import find_state
from tests.support.advised_commands import faults
from tests.support.cli_process import apart, balance, finished, run, stopped
from tests.support.tiny_models import write_xrays

PATIENT = ("--patient", r"(p\d+)-")


@pytest.fixture
def work(scanned):
    """A folder with a scanned collection."""
    return scanned


def run_json(folder, *arguments):
    return json.loads(apart(folder, *arguments, "--json").stdout)


def fill(folder, checkpoint, *options):
    command = ("fill", "--model", str(checkpoint), "--steps", "2", "--batch-size", "4", "--accept-unscreened")
    return run(folder, *command, *options)


def test_scan_shows_counts_figures_and_patients(tmp_path, xrays):
    code, output = run(tmp_path, "scan", "xrays", *PATIENT)
    assert code == 0
    assert "xrays: 72 images, 3 classes" in output
    assert "p0000: 2 images: NORMAL/p0000-0.png, NORMAL/p0000-1.png" in output
    assert "few-images (8 files): NODULE has 8 images, fewer than 10" in output
    assert (tmp_path / ".balance" / "ledger.sqlite").is_file()


def test_scan_as_json(tmp_path, xrays):
    found = run_json(tmp_path, "scan", "xrays", *PATIENT)
    assert found["images"] == 72
    assert sum(each["images"]["all"] for each in found["classes"].values()) == 72
    assert found["classes"]["NODULE"]["patients"] == 4
    assert found["split"]["origin"] == "drawn"
    assert found["imbalance_ratio"] == 26 / 4


def test_a_second_scan_remembers_the_patients(work):
    assert "Patients as in the last scan" in run(work, "scan", "xrays")[1]
    assert "Patients: unknown" in run(work, "scan", "xrays", "--patient", "")[1]


def test_a_table_of_patients_is_shown_remembered_kept_and_forgotten(work):
    rows = [f"p{number}{patient:03},{'F' if patient % 2 else 'M'}" for number in range(3) for patient in range(20)]
    (work / "meta.csv").write_text("Subject No,Gender\n" + "\n".join(rows))
    code, output = run(work, "scan", "xrays", "--patients", "meta.csv", "--columns", "patient=Subject No")
    assert code == 0, output
    assert "Class by sex, images (patients):" in output
    assert "NODULE      4 (2)    4 (2)" in output
    found = run_json(work, "scan", "xrays")["attributes"]
    assert found["columns"] == {"patient": "Subject No", "sex": "Gender"}
    assert found["by_class"]["sex"]["NODULE"]["female"] == {"images": 4, "patients": 2}
    assert "--columns 'patient=Subject No'" in run(work, "scan", "xrays")[1]
    assert "radiograph of a female patient" in run(work, "prompts", "-n", "2")[1]
    (work / "meta.csv").unlink()
    output = run(work, "scan", "xrays")[1]
    assert "is missing" in output
    assert "NODULE      4 (2)    4 (2)" in output
    assert "Class by" not in run(work, "scan", "xrays", "--patients", "")[1]
    assert "patient" not in run(work, "prompts", "-n", "2")[1]


def test_other_patients_draw_another_split_as_long_as_nothing_learned_from_it(tmp_path, xrays):
    first = run_json(tmp_path, "scan", "xrays")["split"]["sha256"]
    assert run_json(tmp_path, "scan", "xrays")["split"]["sha256"] == first
    second = run_json(tmp_path, "scan", "xrays", *PATIENT)["split"]["sha256"]
    assert second != first
    found = Ledger(find_state(tmp_path))
    found.add_adapter(found.load_collection(), tmp_path / "sd")
    code, output = run(tmp_path, "scan", "xrays", "--patient", "")
    assert code == 0
    assert "The split is kept, since sd was trained on it" in output


def test_prompts_are_shown(work):
    code, output = run(work, "prompts", "--label", "NODULE", "-n", "3")
    assert (code, output.count("radiograph")) == (0, 3)
    assert "negative: " in output
    assert "NORMAL" in run(work, "prompts", "-n", "1")[1]


def test_an_unknown_class_warns_and_names_the_file(tmp_path):
    write_xrays(tmp_path / "d", {"Zebra_lung": 4, "normal": 6})
    run(tmp_path, "scan", "d")
    output = run(tmp_path, "prompts", "-n", "1")[1]
    assert "prompt_templates/chest.yaml has no prompts for Zebra_lung" in output
    assert "zebra lung" in output


def test_prompts_are_drawn(work, checkpoint):
    code, output = run(work, "prompts", "-n", "2", "--sample", "--model", str(checkpoint))
    assert code == 0, output
    assert (work / ".balance" / "reports" / "prompts.png").is_file()


def test_wording_is_checked(work):
    assert run(work, "prompts", "--check")[0] == 0
    assert run(work, "prompts", "--new", "mine.yaml")[0] == 0
    assert run(work, "prompts", "--check", "--pack", "mine.yaml")[0] == 0
    text = (work / "mine.yaml").read_text()
    (work / "mine.yaml").write_text(text.replace("a lung", "no lung").replace("- drawing", "- grayscale"))
    code, output = run(work, "prompts", "--check", "--pack", "mine.yaml")
    line = text.splitlines().index("  - drawing") + 1
    assert code == 1
    assert f"error: mine.yaml, line {line}: negative-fights-xrays: 'grayscale'" in output
    code, output = run(work, "fill", "--target", "20", "--dry-run", "--pack", "mine.yaml")
    assert code == 2
    assert f"found:  mine.yaml, line {line}: 'grayscale'" in output
    assert "balance prompts --check --pack mine.yaml" in output


def test_warnings_about_wording_stop_nothing(work, checkpoint):
    run(work, "prompts", "--new", "mine.yaml")
    text = (work / "mine.yaml").read_text()
    (work / "mine.yaml").write_text(text.replace("- pleural effusion", "- plueral effusion"))
    found = run_json(work, "prompts", "--check", "--pack", "mine.yaml", "--model", str(checkpoint))
    assert (found["errors"], found["warnings"], found["tokens"]) == (0, 1, "counted by tiny-sd, which reads 77")
    assert found["complaints"][0]["message"] == "'plueral' looks like a spelling error"
    code, output = fill(work, checkpoint, "--target", "20", "--dry-run", "--pack", "mine.yaml")
    assert code == 0, output
    assert "Warning: mine.yaml, line" in output


def test_a_prompt_that_is_too_long_for_the_model_is_told_by_a_check(work, checkpoint):
    run(work, "prompts", "--new", "mine.yaml")
    text = (work / "mine.yaml").read_text()
    (work / "mine.yaml").write_text(text.replace("- pleural effusion", "- " + "pleural effusion " * 40))
    code, output = run(work, "prompts", "--check", "--pack", "mine.yaml", "--model", str(checkpoint))
    assert code == 1
    assert "too-long" in output


def test_a_new_pack_is_never_written_over(work):
    (work / "mine.yaml").write_text("mine")
    code, output = run(work, "prompts", "--new", "mine.yaml")
    assert (code, (work / "mine.yaml").read_text()) == (2, "mine")
    assert "exists already" in output


def test_fill_from_end_to_end(work, checkpoint):
    code, output = fill(work, checkpoint, "--target", "20", "--retries", "9")
    assert code == 0, output
    assert "Imbalance ratio 6.5 before" in output
    assert (work / ".balance" / "reports" / "contact-sheet.png").is_file()
    out = work / "xrays-balanced"
    table = pd.read_parquet(out / "train" / "metadata.parquet")
    made = table[table["is_synthetic"]]
    assert len(made) == 4 + 16
    assert all((out / "train" / name).is_file() for name in table["file_name"])
    assert run(work, "verify", "xrays-balanced")[0] == 0
    code, output = run(work, "explain", str(out / "train" / made["file_name"].iloc[0]))
    assert code == 0
    assert "tiny-sd" in output
    code, output = run(work, "explain", "xrays/NODULE/p2000-0.png")
    assert code == 0
    assert "original, in the scanned collection" in output
    (out / "train" / made["file_name"].iloc[0]).unlink()
    assert run(work, "verify", "xrays-balanced")[0] == 1
    assert run(work, "unmerge", "xrays-balanced")[0] == 0
    left = sorted(p for p in out.rglob("*") if p.is_file())
    assert len(left) == 72
    assert all(
        p.read_bytes() == (work / "xrays" / p.relative_to(out).relative_to(p.relative_to(out).parts[0])).read_bytes()
        for p in left
    )


def test_a_plan_that_takes_images_out_says_so_and_keeps_them_in_store(work, checkpoint):
    fill(work, checkpoint, "--target", "NODULE=8")
    code, output = fill(work, checkpoint, "--target", "EFFUSION=20")
    assert code == 0, output
    assert "NODULE keeps 0 of its 4 synthetic images" in output
    assert "generator exposure unknown" in (work / "xrays-balanced" / "balance.json").read_text()
    assert run(work, "verify", "xrays-balanced")[0] == 0


def test_no_holdout_refuses_names_that_loaders_misread(work, checkpoint):
    shutil.move(work / "xrays" / "NODULE" / "p2000-0.png", work / "xrays" / "NODULE" / "test-p2000-0.png")
    run(work, "scan", "xrays")
    code, output = fill(work, checkpoint, "--target", "NODULE=12", "--no-holdout")
    assert code == 2
    assert "NODULE/test-p2000-0.png" in output


def test_no_holdout_keeps_a_flat_collection_flat(work, checkpoint):
    code, output = fill(work, checkpoint, "--target", "NODULE=12", "--no-holdout")
    assert code == 0, output
    assert sorted(p.name for p in (work / "xrays-balanced").iterdir() if p.is_dir()) == ["EFFUSION", "NODULE", "NORMAL"]


def test_what_is_enlarged_is_said_and_stamped(tmp_path, checkpoint):
    write_xrays(tmp_path / "big", {"A": 30, "B": 10}, size=(128, 96))
    run(tmp_path, "scan", "big", *PATIENT)
    code, output = fill(tmp_path, checkpoint, "--target", "B=9")
    assert code == 0, output
    assert "generated at 32 px and enlarged to 128 px" in output
    assert "enlarged to 128 px" in (tmp_path / "big-balanced" / "README.md").read_text().replace("\\", "")


def test_a_class_that_stays_short_is_told_by_the_exit_code(tmp_path, checkpoint):
    """Random weights draw noise; beside it smooth radiographs show it to be too flat."""
    for label in ("A", "B"):
        for index in range(8):
            path = tmp_path / "d" / label / f"p{label}{index}-0.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((np.indices((32, 32)).sum(axis=0) % 2 * 250 + index // 2).astype(np.uint8)).save(path)
    run(tmp_path, "scan", "d")
    code, output = fill(tmp_path, checkpoint, "--target", "12", "--retries", "1")
    assert code == 1, output
    assert "by the quality check" in output
    assert "no detail" in output


def test_what_cannot_be_screened_is_refused_before_the_first_image(work, checkpoint):
    run(work, "scan", "xrays", "--patient", "")
    code, output = run(work, "fill", "--target", "20", "--model", str(checkpoint))
    assert code == 2
    assert "found:  patients are unknown" in output
    assert "--accept-unscreened" in output
    assert not (work / ".balance" / "candidates").exists()
    code, output = run(work, "fill", "--target", "20", "--model", str(checkpoint), "--dry-run")
    assert code == 0, output
    assert "fill will need --accept-unscreened" in output


def test_unscreened_images_say_whose_word_let_them_in(work, checkpoint):
    run(work, "scan", "xrays", "--patient", "")
    code, output = fill(work, checkpoint, "--target", "NODULE=8")
    assert code == 0, output
    assert "Not screened for copies of patients: patients are unknown" in output
    assert "(override: --accept-unscreened): patients are unknown" in (work / "xrays-balanced/balance.json").read_text()
    rows = pd.read_csv(work / "xrays-balanced" / "provenance.csv")
    assert set(rows["decision"]) == {"unscreened"}
    assert rows["reasons"].str.contains("copy: not screened").all()


def test_a_dry_run_needs_no_model(work):
    code, output = run(work, "fill", "--target", "20", "--dry-run")
    assert code == 0, output
    assert "no model yet" in output
    assert "balance adapt --from-scratch" in output


def test_a_dry_run_of_a_shard_makes_none(work, checkpoint):
    given = ("--target", "20", "--shard", "1/2", "--shard-dir", "shards", "--dry-run")
    code, output = fill(work, checkpoint, *given)
    assert code == 0, output
    assert "Dry run: nothing was written." in output
    assert not (work / "shards").exists()


def test_a_dry_run_writes_nothing(work, checkpoint):
    before = sorted((p, p.stat().st_mtime_ns) for p in work.rglob("*") if p.is_file() and "sqlite-" not in p.name)
    code, output = fill(work, checkpoint, "--target", "20", "--dry-run")
    assert code == 0, output
    for expected in ("to make", "nodule", "negative: ", "Disk: ", "Time: about", "nothing was written"):
        assert expected in output
    assert (
        sorted((p, p.stat().st_mtime_ns) for p in work.rglob("*") if p.is_file() and "sqlite-" not in p.name) == before
    )


def test_nothing_to_do_is_no_error(work, checkpoint):
    code, output = fill(work, checkpoint, "--target", "2")
    assert code == 0
    assert "Nothing to do" in output


def test_without_a_model_the_ways_to_one_are_shown(work):
    code, output = run(work, "fill", "--target", "20")
    assert code == 2
    assert "balance adapt --from-scratch" in output


MISTAKES = [
    (("scan", "nowhere"), "nothing there", "balance scan FOLDER"),
    (("scan", "xrays/NODULE"), "no class folder", "above the class folders"),
    (("scan", "xrays", "--patient", "("), "'('", "use quotes"),
    (("scan", "xrays", "--fail-on", "leek"), "'leek'", "--fail-on any"),
    (("scan", "xrays", "--max-imbalance", "0.5"), "0.5", "--max-imbalance 3"),
    (("scan", "xrays", "--report-out", "no/such.html"), "no such folder", "--report-out report.html"),
    (("scan", "xrays", "--patient", "zzz"), "zzz finds none", "--patient"),
    (("scan", "xrays", "--patients", "none.csv"), "none.csv", "check its name"),
    (("scan", "xrays", "--patients", "taken/thesis.txt"), "'mine'", "--columns"),
    (("scan", "xrays", "--columns", "patient=PID"), "none", "--patients FILE.csv"),
    (("scan", "xrays", "--columns", "colour=x"), "'colour=x'", "--columns 'patient=PID"),
    (("compare", "--cross-fit", "2", "--redraw", "2"), "both", "or: balance compare --redraw 5"),
    (("compare", "--steps", "many"), "'many'", "--steps auto"),
    (("compare", "--metrics-only"), "none", "balance compare"),
    (("compare", "--metrics-only", "--quick"), "other options", "balance compare --metrics-only"),
    (("compare", "--backbone", "vgg"), "'vgg'", "--backbone small"),
    (("compare", "--label", "HERNIA"), "'HERNIA'", "balance compare --label NODULE"),
    (("demo", "taken"), "taken, which holds something else", "balance demo FOLDER"),
    (("demo", "taken/thesis.txt"), "holds something else", "balance demo FOLDER"),
    (("demo", "xrays/demo"), "inside", "balance demo FOLDER"),
    (("export",), "none of them", "balance export --hub-folder"),
    (("export", "--hub-folder", "hub", "--adapter", "mine"), "'mine'; there are: none", "balance adapt"),
    (("export", "taken", "--hub-folder", "hub"), "no readable balance.json", "balance fill"),
    (("fill", "--target", "20", "--device", "tpu"), "no --model", "balance adapt"),
    (("fill", "--target", "many"), "'many' in --target", "--target 500"),
    (("fill",), "none of --target", "--times 1"),
    (("fill", "--target", "20", "--times", "1"), "--times and --target", "--target 500"),
    (("fill", "--strategy", "majority"), "'majority'", "not majority"),
    (("fill", "--times", "NODULES=1"), "'NODULES' in --times", "--times NODULE=1"),
    (("power", "--label", "NODULES"), "'NODULES' in --label", "--label NODULE"),
    (("power", "--difference", "2"), "--difference 2", "--difference 0.05"),
    (("split", "--folds", "1"), "1", "--folds 5"),
    (("report", "nowhere"), "nowhere: no such folder", "balance fill"),
    (("report", "taken"), "no readable balance.json", "balance fill"),
    (("report", "--out", "xrays/report.html"), "inside it", "--out report.html"),
    (("report", "--out", "no/folder/report.html"), "no such folder", "--out report.html"),
    (("report", "--out", "taken"), "a folder", "--out report.html"),
    (("split", "--test", "0.9", "--val", "0.2"), "0.9", "--test 0.2"),
    (("split", "--test", "nan"), "nan", "--test 0.2"),
    (("split", "--splits", "nowhere.csv"), "nowhere.csv", "--splits FILE"),
    (("split", "--splits", "taken/thesis.txt"), "mine", "file (or patient)"),
    (("split", "--splits", "taken/thesis.txt", "--test", "0.2"), "--splits with", "--splits FILE"),
    (("fill", "--target", "20", "--shard", "9/8", "--shard-dir", "s"), "'9/8'", "--shard 1/8"),
    (("fill", "--target", "20", "--collect", "nowhere"), "none", "--shard K/N"),
    (("fill", "--target", "20", "--workers", "2"), "--workers", "--engine ray"),
    (("fill", "--target", "20", "--engine", "spark"), "'spark'", "--engine ray"),
    (("compare", "--engine", "spark"), "'spark'", "--engine ray"),
    (("compare", "--engine", "ray", "--device", "mps"), "--device mps", "--engine ray --device cpu"),
    (("fill", "--target", "NODULES=9"), "'NODULES' in --target", "--target NODULE=500"),
    (("fill", "--target", "20", "--model", "xrays"), "xrays: EFFUSION, NODULE, NORMAL", "balance adapt"),
    (("fill", "--target", "20", "--model", "no/model"), "nothing is downloaded", "balance adapt"),
    (("fill", "--target", "20", "--out", "xrays/more"), "xrays", "--out"),
    (("fill", "--target", "20", "--out", "taken"), "taken", "--out"),
    (("fill", "--target", "20", "--pack", "none.yaml"), "none.yaml", ""),
    (("fill", "--target", "20", "--max-ratio", "0"), "0", "--max-ratio 10"),
    (("fill", "--target", "20", "--max-ratio", "inf"), "inf", "--max-ratio 10"),
    (("fill", "--target", "20", "--out", "xrays"), "xrays", "--out"),
    (("fill", "--target", "20", "--mode", "blend"), "blend", "--mode mix"),
    (("fill", "--target", "20", "--mode", "text=0"), "text=0", "--mode mix"),
    (("fill", "--target", "20", "--mode", "mix", "--strength", "1.5"), "1.5", "--strength 0.5"),
    (("fill", "--target", "20", "--strength", "0.5"), "--mode text", "--mode image"),
    (("fill", "--target", "20", "--normal", "NORMAL"), "--mode text", "--mode inpaint"),
    (("adapt", "--from-scratch", "--regions", "boxes.csv"), "--from-scratch", "--base FOLDER"),
    (("fill", "--target", "20", "--model", "gan:x"), "installed plug-ins", "install the package"),
    (("fill", "--target", "5", "--batch-size", "x"), "'x'", "--batch-size auto"),
    (("fill", "--target", "5", "--precision", "int8"), "'int8'", "--precision float32"),
    (("fill", "--target", "5", "--guidance-interval", "0.8,0.2"), "'0.8,0.2'", "--guidance-interval 0.2,0.8"),
    (("labels", "--out", "xrays/list.csv"), "xrays", "--out"),
    (("merge", "--no-screen"), "--no-screen", "balance merge --from FOLDER --no-screen"),
    (("prompts", "--check", "--pack", "none.yaml"), "none.yaml", ""),
    (("prompts", "--check", "--model", "no/model"), "nothing is downloaded", "balance adapt"),
    (("prompts", "--new", "xrays/mine.yaml"), "the collection", "--new FILE.yaml"),
    (("prompts", "--new", "chest"), "chest", "chest.yaml"),
    (("prompts", "--new", "nowhere/mine.yaml"), "no folder nowhere", "--new FILE.yaml"),
    (("review",), "none", "--reader"),
    (("review", "--reader", " "), "none", "--reader"),
    (("review", "--reader", "A"), "no candidates", "balance fill"),
    (("review", "--reader", "A", "--audit", "5"), "no candidates", "balance fill"),
    (("review", "--reader", "A", "--blinded"), "no candidates", "balance fill"),
    (("review", "--reader", "A", "--label", "NODULES"), "'NODULES' in --label", "--label EFFUSION"),
    (("review", "--results"), "none yet", "balance review"),
    (("adapt",), "none", "balance adapt --from-scratch"),
    (("adapt", "--from-scratch", "--size", "30"), "30", "--size 32"),
    (("adapt", "--from-scratch", "--steps", "5", "--minutes", "5"), "both", "--steps or --minutes"),
    (("screen", "nowhere"), "nothing there", "above the class folders"),
    (("screen", "taken/thesis.txt"), "a file", "above the class folders"),
    (("screen", "taken"), "no class folder", "for each class"),
    (("screen", "xrays"), "is the collection", "a separate folder"),
    (("screen", "xrays/NODULE"), "lies in the collection", "a separate folder"),
    (("screen", "."), "lies around the collection", "a separate folder"),
    (("screen", ".balance"), "is the state folder", "a separate folder"),
    (("merge", "--from", "taken", "--out", "taken/out"), "lies around the balanced folder", "a separate folder"),
    (("merge", "--from", "xrays"), "is the collection", "a separate folder"),
    (("merge",), "no fill yet", "balance merge --from FOLDER"),
    (("merge", "--out", "taken"), "taken", "--out"),
    (("verify", "taken"), "taken", ""),
    (("verify", "nowhere"), "nowhere", ""),
    (("explain", "taken/thesis.txt"), "thesis.txt", ""),
    (("unmerge", "xrays"), "xrays", ""),
    (("probe",), "xrays-balanced", "balance fill"),
    (("probe", "taken"), "taken", "or make one: balance fill"),
    (("quality", "nowhere"), "nowhere", "or make one: balance fill"),
    (("purge",), "no --yes, and no terminal", "balance purge --yes"),
]


@pytest.mark.parametrize(("arguments", "found", "advice"), MISTAKES, ids=lambda value: " ".join(value)[:40])
def test_every_mistake_is_one_clear_message(work, arguments, found, advice):
    (work / "taken").mkdir()
    (work / "taken" / "thesis.txt").write_text("mine")
    code, output = run(work, *arguments)
    assert code == 2
    told = dict(line.split(":", 1) for line in output.splitlines() if line.split(":")[0] in ("needed", "found", "next"))
    assert told.keys() == {"needed", "found", "next"}, output
    assert found in told["found"]
    step = output[output.index("next:") :]
    assert advice in step
    assert re.search(r"balance [a-z]+|--[a-z]+", step), f"nothing to type: {step}"
    assert list(faults(step)) == []
    assert str(work) not in output
    assert (work / "taken" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("screen",),
        ("merge", "candidates"),
    ],
)
def test_wrong_options_are_told_by_the_parser(work, arguments):
    code, output = run(work, *arguments)
    assert code == 2
    assert "Usage: " in output


@pytest.mark.slow
def test_an_adapt_that_could_not_begin_blocks_no_other(work, monkeypatch):
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")  # takes minutes, and is not what is tried
    assert run(work, "adapt", "--from-scratch", "--device", "tpu", "--steps", "2")[0] == 2
    code, output = run(work, "adapt", "--from-scratch", "--steps", "2", "--size", "32")
    assert code == 0, output
    assert "Trained only on your" in output
    assert (work / ".balance" / "adapters" / "scratch" / "samples.png").is_file()
    code, output = run(work, "fill", "--target", "NODULE=6", "--steps", "2", "--retries", "0", "--accept-unscreened")
    assert "Model: scratch, 32 x 32 px" in output
    assert "exposure" not in output


def test_later_commands_need_a_scan(tmp_path):
    for command in (("fill", "--target", "5"), ("adapt", "--from-scratch"), ("prompts",)):
        code, output = run(tmp_path, *command)
        assert code == 2
        assert "balance scan FOLDER" in output


def test_a_collection_that_is_gone(work):
    assert run(work, "scan", "xrays")[0] == 0  # the folder was copied: it is remembered where it is now
    shutil.move(work / "xrays", work / "elsewhere")
    code, output = run(work, "fill", "--target", "20")
    assert code == 2
    assert "which is missing" in output


def test_state_inside_the_collection_is_refused(xrays):
    code, output = run(xrays, "scan", ".")
    assert code == 2
    assert "outside the collection" in output
    assert not (xrays / ".balance").exists()


def test_an_empty_class_is_a_finding(tmp_path, xrays):
    (xrays / "EMPTY").mkdir()
    code, output = run(tmp_path, "scan", "xrays")
    assert code == 0
    assert "empty-class" in output


def test_a_second_fill_at_the_same_time_is_refused(work, checkpoint):
    model = ("--model", str(checkpoint), "--accept-unscreened")
    first = balance(work, "fill", "--target", "12", "--steps", "2", *model, at_candidate=signal.SIGSTOP)
    stopped(first)
    code, output = fill(work, checkpoint, "--target", "12")
    assert code == 2
    assert f"process {first.pid} is using" in output
    first.send_signal(signal.SIGCONT)
    finished(first)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_says_how_to_go_on_and_goes_on(work, checkpoint, sign):
    options = ("fill", "--target", "12", "--model", str(checkpoint), "--steps", "2", "--batch-size", "4")
    options = (*options, "--accept-unscreened")
    process = balance(work, *options, at_candidate=sign)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert "run again: balance fill --target 12" in output
    assert not (work / "xrays-balanced").exists()
    finished(balance(work, *options))
    assert run(work, "verify", "xrays-balanced")[0] == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_is_a_message(work, checkpoint):
    (work / "closed").mkdir(mode=0o500)
    code, output = fill(work, checkpoint, "--target", "20", "--out", "closed/balanced")
    assert code == 2
    assert "permission" in output


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("may not mount a small disk here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def leave(disk, room):
    with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while shutil.disk_usage(disk).free > room:
            ballast.write(b"\1" * 4096)


def test_a_full_disk_is_refused_beforehand(work, checkpoint, small_disk):
    leave(small_disk, 100_000)
    code, output = fill(work, checkpoint, "--target", "20", "--out", str(small_disk / "balanced"))
    assert code == 2
    assert "free disk space" in output
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


@pytest.mark.slow
def test_a_disk_that_fills_up_meanwhile_is_a_message_and_loses_nothing(tmp_path, xrays, checkpoint, small_disk):
    out = str(tmp_path / "balanced")
    command = ("fill", "--target", "40", "--model", str(checkpoint), "--batch-size", "4", "--steps", "1", "--out", out)
    command = (*command, "--accept-unscreened")
    run(small_disk, "scan", str(xrays))
    process = balance(small_disk, *command, at_candidate=signal.SIGSTOP)
    stopped(process)
    leave(small_disk, 0)
    process.send_signal(signal.SIGCONT)
    output, _ = process.communicate()
    assert process.returncode == 2, output
    assert "next:" in output
    assert "Traceback" not in output
    assert not (tmp_path / "balanced").exists()
    (small_disk / "ballast").unlink()
    finished(balance(small_disk, *command))
    assert run(small_disk, "verify", out)[0] == 0


def test_help_names_every_command_and_is_documented(tmp_path):
    code, output = run(tmp_path, "--help")
    assert code == 0
    project = Path(__file__).parents[3]
    pages = "".join(page.read_text("utf-8") for page in [project / "README.md", *sorted(project.glob("docs/*.md"))])
    from balancer.cli.app import app

    commands = [command.callback.__name__ for command in app.registered_commands]
    assert len(commands) > 12
    for name in commands:
        assert f"\n  {name} " in output
        assert f"balance {name}" in pages, f"no page shows balance {name}"
        assert run(tmp_path, name, "--help")[0] == 0


def test_hostile_names_are_shown_and_do_nothing(capsys):
    console.result(console.table(["class", "images"], [["\x1b[2J\u202eevil\n", 1]]))
    assert capsys.readouterr().out == "class                images\n\\x1b[2J\\u202eevil\\n       1\n"


@pytest.fixture
def learned(work, checkpoint):
    """A scanned collection and a model that learned from its training part, as `adapt` leaves it."""
    ledger = Ledger(find_state(work))
    collection = ledger.load_collection()
    train = ledger.load_split(collection).paths("train")
    files = {each.path: each.sha256 for each in samples(with_hashes(collection, train).images.loc[train])}
    folder = find_state(work).adapters / "mine"
    shutil.copytree(checkpoint, folder)
    (folder / "card.json").write_text(json.dumps({"training_files": files}))
    ledger.add_adapter(collection, folder)
    return work


FILL_FROM_MINE = ("fill", "--no-screen", "--times", "NODULE=1", "--steps", "2", "--batch-size", "2", "--device", "cpu")


def test_a_split_that_was_learned_from_is_changed_by_force_alone(learned):
    assert "Nothing changed" in run(learned, "split", "--test", "0.2")[1]
    assert run(learned, "split", "--folds", "3")[0] == 0  # tests nobody whom it saw
    assert run_json(learned, "split")["exposed"] == []
    code, output = run(learned, "split", "--seed", "1")
    assert (code, "mine was trained on patients" in output) == (2, True)
    assert run(learned, "split", "--seed", "1", "--force")[0] == 0
    assert run_json(learned, "split")["exposed"] == ["mine"]
    code, output = run(learned, *FILL_FROM_MINE)
    assert (code, "that are held out now" in output, "with --force" in output) == (0, True, True), output
    assert "the model was trained on" in (learned / "xrays-balanced" / "README.md").read_text("utf-8")
    assert run(learned, "split", "--seed", "0")[0] == 0  # back to what it learned from
    assert run_json(learned, "split")["exposed"] == []


def test_new_patients_expose_nobody(learned):
    write_xrays(learned / "more", {"NODULE": 6})
    for path in (learned / "more" / "NODULE").iterdir():
        path.rename(learned / "xrays" / "NODULE" / f"p9{path.name}")
    assert "78 images" in run(learned, "scan", "xrays")[1]
    code, output = run(learned, *FILL_FROM_MINE, "--dry-run")
    assert (code, "exposed" in output) == (0, False), output
    assert run_json(learned, "split")["exposed"] == []


def test_multiples_of_a_class_that_lacks_little_are_told(work):
    output = run(work, "fill", "--times", "2", "--dry-run")[1]
    assert "EFFUSION gets 32, although 10" in output
    assert "NODULE gets" not in output
    assert "though" not in run(work, "fill", "--target", "30", "--dry-run")[1]


def test_a_scan_that_finds_nothing_new_keeps_all_and_makes_the_collection_the_current_one(work):
    before = run_json(work, "split")
    write_xrays(work / "other", {"A": 12, "B": 12})
    assert run(work, "scan", "other")[0] == 0
    assert run_json(work, "split")["sha256"] != before["sha256"]
    assert run(work, "scan", "xrays")[0] == 0
    assert run_json(work, "split") == before
    assert run(work, "scan", "xrays", "--patient", r"(p\d)")[0] == 0
    assert run_json(work, "split")["sha256"] != before["sha256"]
