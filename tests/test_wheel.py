"""What pip installs: the wheel holds every file of the tree that runs, and the demo starts without the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.cli_process import PATIENCE
from tests.test_packaging import PACKAGES, data_of, is_shipped

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built as anybody would, without a network, from the files that git would keep."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for package in PACKAGES:
        for path in (*filter(is_shipped, (ROOT / package).rglob("*.py")), *data_of(package)):
            copy = source / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", folder, source], check=True, timeout=PATIENCE)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_tree_that_runs(wheel):
    named = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in data_of(package)}
    named |= {
        p.relative_to(ROOT).as_posix() for package in PACKAGES for p in (ROOT / package).rglob("*.py") if is_shipped(p)
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == named
    assert {Path(name).suffix for name in held} >= {".py", ".safetensors", ".json", ".yaml", ".html", ".css", ".typed"}


def test_what_is_installed_starts_its_demo_far_from_the_repository(wheel, tmp_path):
    place, work = tmp_path / "installed", tmp_path / "work"
    work.mkdir()
    options = ("--no-deps", "--no-index", "--quiet", "--target", place)
    subprocess.run([sys.executable, "-m", "pip", "install", *options, wheel], check=True, timeout=PATIENCE)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PYTHONPATH"] = str(place)

    def run(program, *arguments):
        command = [sys.executable, "-c", program, *arguments]
        ended = subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert "balance 0." in run("from balancer.cli.app import main; main()", "--version")
    start = (
        "from examples import demo; import balancer; from balancer.workspace.judging_settings import DemoSettings\n"
        "print(next(demo.demo(DemoSettings())).imbalance.counts['consolidation'], balancer.__file__, demo.POCKET)"
    )
    count, module, pocket = run(start).split()
    assert count == "5"
    assert Path(module).is_relative_to(place)
    assert Path(pocket).is_relative_to(place)
    assert (work / "demo" / "xrays" / "test").is_dir()
