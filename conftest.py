"""What the examples in docstrings find: `folder`, with a small collection `xrays` in it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import balancer


@pytest.fixture(autouse=True)
def _examples(request, doctest_namespace, tmp_path_factory):
    if isinstance(request.node, pytest.DoctestItem):
        folder = tmp_path_factory.mktemp("example")
        doctest_namespace.update({"folder": folder}, **{name: getattr(balancer, name) for name in balancer.__all__})
        make_collection(folder / "xrays", {"normal": 9, "nodule": 5})


def make_collection(root: Path, classes: dict[str, int]) -> None:
    """Noise in folders, a patient an image."""
    rng = np.random.default_rng(0)
    for label, count in classes.items():
        (root / label).mkdir(parents=True)
        for number in range(count):
            grey = rng.integers(0, 256, (32, 32), np.uint8)
            Image.fromarray(grey).save(root / label / f"{label}_p{number:02}.png")
