"""`balance compare` from end to end, with the real commands, on a collection that is drawn here."""

import json
import re
import sys

import pytest

from balancer.cli.again import Asked
from balancer.cli.workplaces import Errand, done
from balancer.errors import ComparisonError
from balancer.store.database import Ledger
from balancer.store.state_dir import find_state
from tests.support.cli_process import apart, balance, finished, tree_hash
from tests.support.tiny_models import write_xrays

FEW = (
    "--seeds",
    "2",
    "--steps",
    "2",
    "--size",
    "16",
    "--arm",
    "oversampling",
    "--arm",
    "synthetic-all",
    "--workers",
    "1",
)


@pytest.fixture(scope="module")
def work(tmp_path_factory, checkpoint):
    folder = tmp_path_factory.mktemp("compare")
    write_xrays(folder / "xrays", {"NORMAL": 110, "NODULE": 60}, (24, 24))
    finished(balance(folder, "scan", "xrays", "--patient", r"(p\d+)-"))
    finished(balance(folder, "split", "--folds", "2"))
    finished(balance(folder, "fill", "--target", "60", "--no-screen", "--steps", "2", "--model", str(checkpoint)))
    return folder


def openings(folder):
    with Ledger(find_state(folder)) as ledger:
        collection = ledger.load_collection()
        return ledger.openings(collection, ledger.load_split(collection).sha256)


def metrics(folder):
    return json.loads((folder / ".balance" / "reports" / "metrics.json").read_text("utf-8"))


def test_validation_first_then_the_test_part_is_opened_once_and_nothing_is_trained_twice(work):
    said = finished(balance(work, "compare", *FEW, "--validation-only"))
    assert "AUPRC of NODULE on validation" in said
    assert "The test split stays closed" in said
    assert openings(work) == 0
    runs = sorted((work / ".balance" / "comparisons").rglob("*.npy"))
    before = [path.stat().st_mtime_ns for path in runs]
    assert len(runs) == (4 * 2 + 2 * 2) * 2  # arms and seeds, two more rates for the arms of the verdict; parts
    for _ in range(2):
        said = finished(balance(work, "compare", *FEW))
        assert "The test split was opened once." in " ".join(said.split())
    assert [path.stat().st_mtime_ns for path in runs] == before
    found = metrics(work)
    assert found["openings"] == 1
    assert set(found["arms"]) == {"real", "oversampling", "strong-augmentation", "synthetic-all"}
    assert (found["like_for_like"]["synthetic"], found["like_for_like"]["arm"]) == (
        "synthetic-all",
        "strong-augmentation",
    )
    assert found["endpoint"] == {"primary": "auprc:NODULE", "secondary": "macro_f1"}
    assert found["test"]["NODULE"] == {"images": 12, "patients": 6}
    assert {"weak baseline"} <= set(found["stamps"])
    assert any("few arms without synthetic images were compared" in stamp for stamp in found["stamps"])
    assert any("generator exposure unknown" in stamp for stamp in found["stamps"])
    assert found["sentence"] in " ".join(said.split())
    assert found["verdict"].startswith(found["sentence"])
    assert len(found["sentence"].split()) <= 30
    assert {each["arm"] for each in found["trainings"]} == set(found["arms"])
    assert all(each["steps"] == 2 for each in found["trainings"])


def test_without_synthetic_images_the_free_arms_are_compared(tmp_path):
    write_xrays(tmp_path / "xrays", {"NORMAL": 80, "NODULE": 60}, (24, 24))
    finished(balance(tmp_path, "scan", "xrays", "--patient", r"(p\d+)-"))
    said = finished(balance(tmp_path, "compare", *FEW))
    assert "only the free remedies can be compared" in said
    assert "Left out: synthetic-all: there are no synthetic images." in said
    assert metrics(tmp_path)["chosen"]["synthetic"] is None
    assert metrics(tmp_path)["sentence"].startswith("No synthetic images were compared: use strong-augmentation")


def test_each_fold_is_filled_anew_and_every_patient_is_tested_once(work):
    """A program reads the result from stdout alone, whatever runs on the way; the stored folder is left as it is."""
    before = tree_hash(work / "xrays-balanced")
    run = apart(work, "compare", *FEW, "--cross-fit", "2", "--json")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["test"] == {"NODULE": {"images": 60, "patients": 30}, "NORMAL": {"images": 110, "patients": 55}}
    assert [set(each) for each in found["chosen"]["folds"]] == [{"free", "synthetic"}] * 2
    assert found["chosen"]["sentence"] == "Both arms were named beforehand."
    assert found["chosen"]["sentence"] in found["verdict"]
    assert {each["leg"] for each in found["trainings"]} == {"fold 1 of 2", "fold 2 of 2"}
    assert " cross-fitted (60 images of 30 patients)" in found["power"]["sentence"]
    assert (found["settings"]["folds"], found["settings"]["refitted"]) == (2, ["fill"])
    assert not any("tested in other folds" in stamp for stamp in found["stamps"])
    assert "Cost: 2 times fill" in run.stderr
    assert "and 28 trainings of about" in run.stderr  # 4 arms, 2 seeds, 2 folds, and rates that are tried
    assert "Fold 2 of 2: balance fill" in run.stderr
    assert "Next:" not in run.stderr
    assert tree_hash(work / "xrays-balanced") == before
    assert "out of date" not in finished(balance(work, "report"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--arm", "synthetic-al"), "balance compare --arm synthetic-all"),
        (("--arm", "extra:more"), "names of arms: real, class-weights"),
        (("--extra", "more=there"), "there: no such folder"),
        (("--redraw", "5"), "either --cross-fit, whose folds are filled once each, or --redraw"),
        (("--extra", "a=b", "--extra", "a=c"), "two folders of the name 'a'"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_fold_is_filled(work, words, told):
    run = balance(work, "compare", "--cross-fit", "2", *words)
    said, _ = run.communicate()
    assert run.returncode == 2, said
    assert told in " ".join(said.replace("\u2502", " ").split())
    assert "Fold 1 of 2" not in said


def test_what_fails_on_the_way_is_gone_on_with_by_what_was_typed(work, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["balance", "compare", "--cross-fit", "2"])
    with Ledger(find_state(work)) as ledger:
        collection = ledger.load_collection()
        split = ledger.load_split(collection)
    errand = Errand("fold 1 of 2", work / ".balance" / "folds" / "x", collection, split, {"fill": ["--target", "0"]}, 1)
    with pytest.raises(ComparisonError) as caught:
        next(done([errand]))
    assert caught.value.needed == "a finished balance fill in fold 1 of 2"
    assert "mend that, then run again: balance compare --cross-fit 2" in caught.value.next_step
    assert "run again: balance fill" not in capfd.readouterr().err


@pytest.mark.slow
def test_redraws_have_images_of_their_own(work):
    finished(balance(work, "compare", *FEW, "--redraw", "2"))
    assert metrics(work)["seeds"] == 2
    folders = {path.parent.name for path in (work / ".balance" / "comparisons").rglob("synthetic-all-*/*.npy")}
    assert len(folders) > 1


def test_a_dry_run_says_what_can_be_shown_and_costs_and_writes_nothing(tmp_path):
    write_xrays(tmp_path / "xrays", {"NORMAL": 80, "NODULE": 60}, (24, 24))
    finished(balance(tmp_path, "scan", "xrays", "--patient", r"(p\d+)-"))
    said = finished(balance(tmp_path, "compare", "--dry-run", "--workers", "3"))
    assert "12 images of 6 test patients" in said
    assert re.search(r"Cost: 47 trainings of at most \d+ \w+, 3 at once: at most ", said)
    assert not (tmp_path / ".balance" / "comparisons").exists()


def test_what_was_asked_of_a_command_can_be_asked_again(work, checkpoint):
    from balancer.cli.again import asked_of
    from balancer.workspace.workspace import Session

    with Ledger(find_state(work)) as ledger:
        collection = ledger.load_collection()
        asked = asked_of(Session(find_state(work), ledger, collection, ledger.load_split(collection)), "fill")
    words = asked.arguments(work, {"out": "there", "seed": 7})
    assert words[words.index("--model") + 1] == str(checkpoint.resolve())
    assert words[words.index("--target") + 1] == "60"
    assert {"--no-screen", "--out", "--seed"} <= set(words)
    assert asked.seconds > 0


def test_what_was_switched_off_is_switched_off_again(tmp_path):
    assert Asked({"as_drawn": True, "pack": "bone"}, 1.0).arguments(tmp_path, {}) == ["--as-drawn", "--pack", "bone"]
