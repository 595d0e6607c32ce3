"""The examples that read a balanced folder of several findings, where their packages are installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from balancer import FillSettings, NoScreen, fill
from tests.balancer.workspace.test_findings_fill import collection

EXAMPLES = Path(__file__).parents[2] / "examples" / "pipelines"


@pytest.mark.slow
@pytest.mark.parametrize("package", ["torchxrayvision", "monai"])
def test_an_example_reads_a_filled_folder(tmp_path, package):
    pytest.importorskip(package, reason=f"{package} is no requirement: pip install {package}")
    settings = FillSettings(target=("nodule=12",), model="noise:8", max_ratio=20)
    made = fill(collection(tmp_path), settings, screen=NoScreen("a test")).merged
    typed = [sys.executable, str(EXAMPLES / f"findings_{package}.py"), str(made.training)]
    done = subprocess.run(typed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nodule" in done.stdout
    assert "images" in done.stdout
