"""Labels from tables on the command line: remembered, changed, forgotten; a class is chosen before a fill."""

import json

import jsonschema
import pytest

from balancer.errors import SettingsError
from balancer.workspace.settings import ScanSettings
from tests.support.cli_process import ROOT, apart, run
from tests.support.layouts import archive, bones

SCHEMA = json.loads((ROOT / "balancer" / "cli" / "scan.schema.json").read_text("utf-8"))


def as_json(folder, *arguments):
    done = apart(folder, "scan", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    return found


def test_json_tells_where_labels_come_from_and_what_was_left_out(tmp_path):
    archive(tmp_path / "x")
    found = as_json(
        tmp_path, "x", "--labels", "x/entries.csv", "--separator", "|", "--split-list", "test=x/test_list.txt"
    )
    assert {label: each["images"]["all"] for label, each in found["classes"].items()} == {
        "Effusion": 4, "Infiltration": 2, "Mass": 6, "No Finding": 4,
    }  # fmt: skip
    assert found["multi_label"]
    assert found["splits"] == {"train": 8, "test": 4}
    assert found["sexes"] == {"M": 6, "F": 6}
    assert found["views"] == {"PA": 6, "AP": 6}
    assert found["patients"]["count"] == 6
    assert found["ignored"] == {"rows_without_file": 1}
    assert found["source"]["tables"] == ["entries.csv"]
    assert not found["source"]["decided"]


def test_no_patients_are_null(tmp_path, xrays):
    found = as_json(tmp_path, xrays.name)
    assert (found["patients"]["count"], found["splits"], found["multi_label"]) == (None, None, False)


def test_options_are_remembered_changed_and_forgotten(tmp_path):
    archive(tmp_path / "x")
    first = as_json(tmp_path, "x", "--labels", "x/entries.csv", "--separator", "|")
    again = apart(tmp_path, "scan", "x", "--json")
    assert json.loads(again.stdout) == first
    assert "Labels as in the last scan: --labels 'entries.csv' --separator '|'" in again.stderr
    chosen = as_json(tmp_path, "x", "--target-label", "Mass")
    assert sorted(chosen["classes"]) == ["Mass", "no Mass"]
    other = as_json(tmp_path, "x", "--primary", "Effusion,Mass")
    assert sorted(other["classes"]) == ["Effusion", "Mass"]
    code, output = run(tmp_path, "scan", "x", "--labels", "")
    assert (code, "parts of an archive" in output) == (2, True)


def test_they_are_remembered_after_the_project_was_moved(tmp_path):
    archive(tmp_path / "here" / "x")
    first = as_json(tmp_path / "here", "x", "--labels", "x/entries.csv", "--separator", "|")
    (tmp_path / "here").rename(tmp_path / "there")
    assert as_json(tmp_path / "there", "x")["classes"] == first["classes"]


def test_several_findings_are_kept_or_one_is_chosen_instead(tmp_path):
    archive(tmp_path / "x")
    code, output = run(tmp_path, "scan", "x", "--labels", "x/entries.csv", "--separator", "|")
    assert code == 0
    assert "Infiltration" in output
    assert "One class an image instead: balance scan DATA --target-label '" in output
    assert run(tmp_path, "split", "--seed", "1")[0] == 0
    code, output = run(tmp_path, "labels")
    assert code == 2
    assert "a finding that at least 10 patients have" in output
    assert run(tmp_path, "scan", "x", "--target-label", "Infiltration")[0] == 0
    assert run(tmp_path, "split", "--seed", "1")[0] == 0


def test_a_changed_table_is_read_again(tmp_path):
    archive(tmp_path / "x")
    assert (
        as_json(tmp_path, "x", "--labels", "x/entries.csv", "--separator", "|")["classes"]["Mass"]["images"]["all"] == 6
    )
    table = tmp_path / "x" / "entries.csv"
    table.write_text(table.read_text().replace("Infiltration|Mass", "Infiltration"))
    assert as_json(tmp_path, "x")["classes"]["Mass"]["images"]["all"] == 4


def test_a_pattern_on_the_command_line(tmp_path):
    bones(tmp_path / "bones")
    pattern = r"(?P<split>train|valid)/(?P<region>XR_\w+)/(?P<patient>patient\d+)/study\d_(?P<label>positive|negative)/"
    found = as_json(tmp_path, "bones", "--pattern", pattern)
    assert found["splits"] == {"train": 22, "val": 8}
    assert found["classes"]["positive"]["images"]["all"] == 16
    assert found["patients"]["count"] == 13


@pytest.mark.parametrize("wrong", [{"uncertain": "perhaps"}, {"rows": "most"}, {"target_label": "A", "primary": "B"}])
def test_settings_that_there_are_not(wrong):
    with pytest.raises(SettingsError):
        ScanSettings("x", **wrong)
