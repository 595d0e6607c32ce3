"""Recipes for clusters that cannot be run here: their syntax, and that every command and option in them is there."""

import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.advised_commands import faults

FOLDER = Path(__file__).parents[2] / "examples" / "clusters"
SCRIPTS = sorted(FOLDER.glob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_have_no_error_of_syntax_and_name_commands_that_there_are(script):
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False).stderr == ""
    text = script.read_text("utf-8").replace("$OPTIONS ", "").replace("\\$SLURM_ARRAY_TASK_ID/$SHARDS", "1/8")
    assert list(faults(text.replace('"', " ").replace("$FOLDER", "shards"))) == []
    assert "Not tried" in text


def test_the_job_of_kuberay_is_yaml_and_keeps_its_token_and_silence():
    text = (FOLDER / "kuberay_job.yaml").read_text("utf-8")
    job = yaml.safe_load(text)
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    (container,) = groups[1]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert all({"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in each for each in map(environment_of, groups))
    assert list(faults(shlex.split(job["spec"]["entrypoint"])[2])) == []
    assert "Not tried" in text


def environment_of(group):
    return group["template"]["spec"]["containers"][0]["env"]


def test_every_recipe_is_listed_as_not_tried():
    listed = (FOLDER / "README.md").read_text("utf-8")
    for path in (*SCRIPTS, FOLDER / "kuberay_job.yaml"):
        assert f"`{path.name}`" in listed
