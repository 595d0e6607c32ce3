"""`balance power`, and its line in a fill."""

import json

import pytest

from balancer.cli.commands import power
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
        "The test part (12 images of 6 patients of NODULE) can show no difference in AUPRC, but diff"
    )
    assert "cross-fitting (60 images of 30 patients) differences in AUPRC from 0." in lines[0]
    assert lines[1] == ""
    assert lines[2].split("  ")[0] == "tested"
    assert lines[3].split()[:5] == ["test", "part", "12", "6", "37.5%"]
    assert lines[4].split()[:6] == ["cross-fitted,", "5", "folds", "60", "30", "37.5%"]
    assert "Assumed: the reference has AUROC 0.85" in lines[-1]


def test_as_json(work):
    found = json.loads(apart(work, "power", "--json", "--difference", "0.1").stdout)
    assert (found["label"], found["difference"], found["folds"]) == ("NODULE", 0.1, 5)
    assert found["one_split"]["patients"] == 6
    assert found["cross_fitted"]["needed"] > 30


def test_a_fill_says_it_before_it_draws_where_there_is_a_test_part(work):
    line = "Of NODULE the test part (12 images of 6 patients) can show differences in recall from 0."
    assert line in finished(balance(work, "fill", "--target", "70", "--dry-run"))
    assert line not in finished(balance(work, "fill", "--target", "70", "--dry-run", "--no-holdout"))


def test_no_fill_is_stopped_by_it(capsys):
    power.say_power(None)
    assert "could not be worked out: AttributeError" in capsys.readouterr().err
