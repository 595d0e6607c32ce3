"""What may not lie inside the collection of a workspace."""

import pytest

from balancer.errors import OutputError
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import ScanSettings
from balancer.workspace.workspace import Workspace
from tests.support.tiny_models import write_xrays


@pytest.fixture
def workspace(tmp_path):
    write_xrays(tmp_path / "xrays", {"NORMAL": 4, "NODULE": 2})
    found = Workspace.open(tmp_path)
    scan(found, ScanSettings(tmp_path / "xrays"))
    return found


def test_a_new_folder_inside_the_collection_is_refused(workspace, tmp_path):
    with pytest.raises(OutputError, match="inside") as caught:
        workspace.require_outside(tmp_path / "xrays" / "sd", "balance fetch MODEL --to ANOTHER_FOLDER")
    assert caught.value.next_step == "balance fetch MODEL --to ANOTHER_FOLDER"
    workspace.require_outside(tmp_path / "sd", "")
    Workspace(tmp_path / "nothing").require_outside(tmp_path, "")  # where nothing was scanned
