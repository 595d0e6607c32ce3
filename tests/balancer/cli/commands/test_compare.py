"""`balance compare` as it is typed; what it comes to is tested in tests/analysis/comparison/test_service.py."""

import json
import re

import pytest

from tests.support.cli_process import apart, balance, finished
from tests.support.tiny_models import write_xrays

FEW = (
    *("--seeds", "2", "--steps", "2", "--size", "16", "--workers", "1"),
    *("--arm", "oversampling", "--arm", "synthetic-all"),
)


@pytest.fixture(scope="module")
def work(tmp_path_factory, checkpoint):
    folder = tmp_path_factory.mktemp("compare")
    write_xrays(folder / "xrays", {"NORMAL": 80, "NODULE": 60}, (24, 24))
    finished(balance(folder, "scan", "xrays", "--patient", r"(p\d+)-"))
    finished(balance(folder, "split", "--folds", "2"))
    finished(balance(folder, "fill", "--target", "45", "--no-screen", "--steps", "2", "--model", str(checkpoint)))
    return folder


def test_the_test_split_stays_closed_and_is_then_opened(work):
    said = finished(balance(work, "compare", *FEW, "--validation-only"))
    assert "AUPRC of NODULE on validation" in said
    assert "The test split was not opened. To open it: the same command without --validation-only" in said
    run = apart(work, "compare", *FEW, "--json")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["openings"] == 1
    kept = json.loads((work / ".balance" / "reports" / "metrics.json").read_text("utf-8"))
    assert {name: kept[name] for name in found} == found
    said = " ".join(finished(balance(work, "compare", *FEW)).split())
    assert found["sentence"] in said
    assert "The test split was opened once." in said
    assert "All figures: .balance/reports/metrics.json." in said
    assert "out of date" not in finished(balance(work, "report"))
    said = finished(balance(work, "compare", "--metrics-only"))
    assert "AUPRC of NODULE" in said
    assert "The test split was opened 2 times: this is one of them." in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--arm", "synthetic-al"), "balance compare --arm synthetic-all"),
        (("--arm", "extra:more"), "names of arms: real, class-weights"),
        (("--extra", "more=there"), "there: no such folder"),
        (("--redraw", "5"), "either --cross-fit, which fills each fold once, or --redraw"),
        (("--extra", "a=b", "--extra", "a=c"), "two folders named 'a'"),
        (("--validation-only", "--json"), "a result, for --json"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_fold_is_filled(work, words, told):
    run = balance(work, "compare", "--cross-fit", "2", *words)
    said, _ = run.communicate()
    assert run.returncode == 2, said
    assert told in " ".join(said.replace("\u2502", " ").split())
    assert "Fold 1 of 2" not in said


def test_a_dry_run_says_what_can_be_shown_and_costs_and_writes_nothing(tmp_path):
    write_xrays(tmp_path / "xrays", {"NORMAL": 80, "NODULE": 60}, (24, 24))
    finished(balance(tmp_path, "scan", "xrays", "--patient", r"(p\d+)-"))
    said = finished(balance(tmp_path, "compare", "--dry-run", "--workers", "3"))
    assert "12 images of 6 test patients" in said
    assert re.search(r"Cost: 47 trainings of at most \d+ \w+, 3 at once: at most ", said)
    assert not (tmp_path / ".balance" / "comparisons").exists()
