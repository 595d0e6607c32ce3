"""Fixtures that every test may use. Nothing here, and no test, reaches a network."""

import os
from pathlib import Path

import pytest

for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ[name] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny networks: more threads only wait for each other

from tests.tiny import write_pipeline, write_xrays  # noqa: E402  # the environment comes first

XRAYS = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A real, tiny Stable Diffusion folder."""
    return write_pipeline(tmp_path_factory.mktemp("models") / "tiny-sd")


@pytest.fixture
def xrays(tmp_path) -> Path:
    """A flat collection of 40, 24 and 8 images, two for each patient."""
    return write_xrays(tmp_path / "xrays", {"NORMAL": 40, "EFFUSION": 24, "NODULE": 8})


@pytest.fixture
def real_xrays() -> Path:
    """The folder of real X-rays that lies beside the checkout in some workplaces."""
    if not XRAYS.is_dir():
        pytest.skip("needs the real X-rays in ../shared/data")
    return XRAYS
