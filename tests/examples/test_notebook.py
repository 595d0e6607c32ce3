"""The notebook runs from top to bottom: its code cells, in order, in one namespace."""

import json
from pathlib import Path

import matplotlib as mpl
import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "balance.ipynb"


def cells():
    return json.loads(NOTEBOOK.read_text("utf-8"))["cells"]


def test_it_is_a_notebook_without_outputs():
    assert all(each["outputs"] == [] for each in cells() if each["cell_type"] == "code")
    for each in cells():
        if each["cell_type"] == "code":
            compile("".join(each["source"]), "cell", "exec")


@pytest.mark.slow
def test_every_cell_runs_and_the_last_one_names_the_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mpl.use("Agg")
    space = {}
    for each in cells():
        if each["cell_type"] == "code":
            exec("".join(each["source"]), space)  # our own text
    said = capsys.readouterr().out
    assert space["result"].comparison.sentence in said
    assert said.rstrip().endswith("report.html")
    assert space["filled"].merged.synthetic["consolidation"] > 0
