"""Fixtures that every test may use. Nothing here, and no test, reaches a network."""

import os
import shutil
from pathlib import Path

import hypothesis
import pytest

for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ[name] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a core a worker; and tiny networks' threads only wait for each other

from balancer.parallel import cores  # noqa: E402  # the environment comes first
from tests.support.cli_process import balance, finished  # noqa: E402
from tests.support.tiny_models import write_pipeline, write_xrays  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
]
COUNTS = {"NORMAL": 40, "EFFUSION": 24, "NODULE": 8}
XRAYS = Path(__file__).parents[2] / "shared" / "data"


hypothesis.settings.register_profile("the same at every run", derandomize=True, database=None)


def pytest_configure(config):
    """What hypothesis tries is left to chance only with the slow tests."""
    if "not slow" in config.option.markexpr:
        hypothesis.settings.load_profile("the same at every run")


def pytest_xdist_auto_num_workers(config):
    """One for each core that this process may use, and for 2 GiB of memory each."""
    pages = os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in os.sysconf_names else 1 << 20
    return max(1, min(cores(), pages * os.sysconf("SC_PAGE_SIZE") >> 31))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A real, tiny Stable Diffusion folder."""
    return write_pipeline(tmp_path_factory.mktemp("models") / "tiny-sd")


@pytest.fixture
def xrays(tmp_path) -> Path:
    """A flat collection of 40, 24 and 8 images, two for each patient."""
    return write_xrays(tmp_path / "xrays", COUNTS)


@pytest.fixture(scope="session")
def scanned_once(tmp_path_factory) -> Path:
    """A working folder with that collection, scanned by patient; to be copied and not to be changed."""
    folder = tmp_path_factory.mktemp("scanned")
    write_xrays(folder / "xrays", COUNTS)
    finished(balance(folder, "scan", "xrays", "--patient", r"(p\d+)-"))
    return folder


@pytest.fixture
def scanned(tmp_path, scanned_once) -> Path:
    """The same for one test alone."""
    shutil.copytree(scanned_once, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def real_xrays() -> Path:
    """The folder of real X-rays that lies beside the checkout in some workplaces."""
    if not XRAYS.is_dir():
        pytest.skip("needs the real X-rays in ../shared/data")
    return XRAYS


@pytest.fixture(scope="module")
def browser():
    """A real browser that asks nothing of any network of its own accord."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
