"""The scripts that use a balanced folder run on one; each is skipped where its package is missing."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import balancer
from balancer import MergeSettings, NoScreen, ScanSettings, Workspace
from examples.phantoms import write_collection
from tests.support.advised_commands import faults
from tests.support.cli_process import PATIENCE, environment

PIPELINES = Path(__file__).parents[2] / "examples" / "pipelines"
SNAKEFILE = PIPELINES / "Snakefile"


@pytest.fixture(scope="module")
def balanced(tmp_path_factory):
    """Phantoms of two classes with six images of another generator in the rare one."""
    folder = tmp_path_factory.mktemp("pipelines")
    for split, first in (("train", 0), ("val", 1000), ("test", 2000)):
        counts = {"normal": 30, "cardiomegaly": 6 if split == "train" else 10}
        write_collection(folder / "xrays" / split, counts, 32, first_patient=first, max_images=1)
    write_collection(folder / "theirs", {"cardiomegaly": 6}, 32, seed=7, max_images=1)
    workspace = Workspace.open(folder)
    balancer.scan(workspace, ScanSettings(folder / "xrays", patient=r"(p\d+)"))
    return balancer.merge(workspace, MergeSettings(folder / "theirs"), screen=NoScreen("test")).merged.folder


def run(script, folder):
    command = [sys.executable, PIPELINES / script, folder, "2"]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0, ended.stderr
    seen = [tuple(map(int, each)) for each in re.findall(r": (\d+) images, (\d+) of them synthetic", ended.stdout)]
    assert [each for each, _ in seen] == [42, 42]
    assert all(4 <= made <= 20 for _, made in seen)  # of 42 drawn, half are of the class, half of these synthetic
    return ended.stdout


@pytest.mark.slow
def test_plain_pytorch_trains_with_both(balanced):
    assert "recall of cardiomegaly: " in run("train_torch.py", balanced)


@pytest.mark.slow
def test_monai_trains_with_both(balanced):
    pytest.importorskip("monai", reason="MONAI is not installed")
    assert "accuracy: " in run("train_monai.py", balanced)


def test_every_command_of_the_snakefile_can_be_typed():
    lines = re.findall(r'shell: "(balance [^"]+)"', SNAKEFILE.read_text("utf-8"))
    assert len(lines) == 5
    typed = [re.sub(r"\{(?:config\[)?(\w+)\]?\}", r"\1", each.partition(" >")[0]) for each in lines]
    assert {each: wrong for each in typed if (wrong := list(faults(each)))} == {}


@pytest.mark.slow
def test_snakemake_plans_the_whole_way(tmp_path):
    if shutil.which("snakemake") is None:
        pytest.skip("Snakemake is not installed")
    (tmp_path / "xrays").mkdir()
    command = ["snakemake", "--snakefile", SNAKEFILE, "--cores", "1", "--dry-run"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0, ended.stderr
    for rule in ("scan", "fill", "verify", "compare", "report"):
        assert re.search(rf"^(local)?rule {rule}:", ended.stdout + ended.stderr, re.MULTILINE)
