"""What several tests of this room begin with."""

import pytest

from balancer import ScanSettings, Workspace, scan
from tests.support.tiny_models import write_xrays


@pytest.fixture
def workspace(tmp_path):
    """Twelve normal images and six nodules, scanned."""
    write_xrays(tmp_path / "xrays", {"NORMAL": 12, "NODULE": 6})
    found = Workspace.open(tmp_path)
    scan(found, ScanSettings(tmp_path / "xrays", patient=r"(p\d+)-"))
    return found
