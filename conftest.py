"""What the examples in docstrings find: `folder`, with a small collection `xrays` in it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import analysis
import balancer
from tests.torture import noise_generator


@pytest.fixture(autouse=True)
def _examples(request, doctest_namespace, tmp_path_factory):
    if isinstance(request.node, pytest.DoctestItem):
        folder = tmp_path_factory.mktemp("example")
        names = {name: getattr(package, name) for package in (balancer, analysis) for name in package.__all__}
        doctest_namespace.update(names, folder=folder, make_collection=make_collection, make_balanced=make_balanced)
        make_collection(folder / "xrays", {"normal": 9, "nodule": 5})


@pytest.fixture(autouse=True, scope="session")
def _noise(tmp_path_factory):
    """A generator of noise that costs nothing, as `FillSettings(model="noise:8")`."""
    noise_generator.install(tmp_path_factory.mktemp("noise"), "noise")


def make_collection(root: Path, classes: dict[str, int], seed: int = 0) -> Path:
    """Noise in folders, a patient an image."""
    rng = np.random.default_rng(seed)
    for label, count in classes.items():
        (root / label).mkdir(parents=True)
        for number in range(count):
            grey = rng.integers(0, 256, (32, 32), np.uint8)
            Image.fromarray(grey).save(root / label / f"{label}_p{number:02}.png")
    return root


def make_balanced(folder: Path) -> Path:
    """The collection in `folder`, scanned and merged with two images of another generator."""
    workspace = balancer.Workspace.open(folder)
    balancer.scan(workspace, balancer.ScanSettings(folder / "xrays"))
    external = make_collection(folder / "external", {"nodule": 2}, seed=1)
    settings = balancer.MergeSettings(external)
    return balancer.merge(workspace, settings, screen=balancer.NoScreen("example")).merged.folder
