"""`balance power`, and its line in a fill."""

import json

import pytest

from balancer.cli.views import power
from tests.support.cli_process import apart, balance, finished
from tests.support.tiny_models import write_xrays


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("power")
    write_xrays(folder / "xrays", {"NORMAL": 100, "NODULE": 60}, (8, 8))
    finished(balance(folder, "scan", "xrays", "--patient", r"(p\d+)-"))
    return folder


def test_one_line_then_a_table_then_what_was_assumed(work):
    lines = finished(balance(work, "power")).splitlines()
    assert lines[0].startswith(
        "Smallest detectable AUPRC difference for NODULE: none (12 images of 6 test patients), 0."
    )
    assert " cross-fitted (60 images of 30 patients); 0.05 " in lines[0]
    assert lines[1] == ""
    assert lines[2].split("  ")[0] == "tested"
    assert lines[3].split()[:5] == ["test", "split", "12", "6", "37.5%"]
    assert lines[4].split()[:6] == ["cross-fitted,", "5", "folds", "60", "30", "37.5%"]
    assert "Assumed: AUROC of the baseline 0.85" in lines[-1]


def test_as_json(work):
    found = json.loads(apart(work, "power", "--json", "--difference", "0.1").stdout)
    assert (found["label"], found["difference"], found["folds"]) == ("NODULE", 0.1, 5)
    assert found["one_split"]["patients"] == 6
    assert found["cross_fitted"]["needed"] > 30
    assert set(found["metrics"]["recall"]) == {"NODULE", "NORMAL"}
    assert found["metrics"]["auprc"]["NODULE"]["cross_fitted"]["smallest"] == found["cross_fitted"]["auprc"]


def test_a_fill_says_it_before_it_draws_where_there_is_a_test_part(work):
    line = "Smallest detectable recall difference for NODULE: 0."
    assert line in finished(balance(work, "fill", "--target", "70", "--dry-run"))
    assert line not in finished(balance(work, "fill", "--target", "70", "--dry-run", "--no-holdout"))


def test_no_fill_is_stopped_by_it(capsys):
    power.say_power(None, None)
    assert "could not be calculated: AttributeError" in capsys.readouterr().err
