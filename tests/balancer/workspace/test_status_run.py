import json

import pytest

from balancer.dataset.metadata_files import MANIFEST
from balancer.workspace.reports import METRICS
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import ScanSettings
from balancer.workspace.status_run import status
from balancer.workspace.workspace import Workspace
from examples.phantoms import write_table_collection
from tests.support.cli_process import apart
from tests.support.tiny_models import write_xrays


@pytest.fixture
def scanned(tmp_path):
    write_xrays(tmp_path / "xrays", {"nodule": 2, "normal": 4})
    scan(Workspace.open(tmp_path), ScanSettings(tmp_path / "xrays"))
    return Workspace.open(tmp_path)


def test_of_a_new_folder_only_the_first_command_is_known(tmp_path):
    found = status(Workspace.open(tmp_path))
    assert (found.next_step, found.training) == ("balance scan FOLDER", None)
    assert not (tmp_path / ".balance").exists()


def test_after_a_scan_a_fill_comes_next(scanned):
    found = status(scanned)
    assert sum(found.training.values()) > 0
    assert found.collection == "xrays"
    assert found.next_step.startswith("balance fill")
    (scanned.state.adapters / "mine").mkdir(parents=True)
    assert status(scanned).models == ("mine",)


def test_a_verdict_of_an_older_folder_is_told(scanned):
    balanced = scanned.home / "xrays-balanced"
    balanced.mkdir()
    left = status(scanned)  # as by unmerge
    assert (left.balanced, left.next_step) == ("", "balance fill --target max --dry-run")
    (balanced / MANIFEST).write_text("{}")
    assert status(scanned).next_step == "balance compare --quick"
    scanned.state.reports.mkdir(exist_ok=True)
    kept = {"sentence": "Cannot tell.", "balanced_sha256": "another"}
    (scanned.state.reports / METRICS).write_text(json.dumps(kept), encoding="utf-8")
    found = status(scanned)
    assert (found.verdict, found.verdict_is_old, found.next_step) == ("Cannot tell.", True, "balance compare --quick")


def test_findings_are_counted_where_images_have_several(tmp_path):
    table = write_table_collection(tmp_path / "xrays", {"nodule|cardiomegaly": 4, "nodule": 6, "normal": 8}, size=16)
    columns = "file=image label=findings patient=patient"
    scan(
        Workspace.open(tmp_path),
        ScanSettings(tmp_path / "xrays", labels=(str(table),), columns=columns, separator="|"),
    )
    found = status(Workspace.open(tmp_path))
    assert set(found.training) == {"nodule", "cardiomegaly"}
    assert found.generated == {}


def test_a_damaged_verdict_counts_as_none(scanned):
    scanned.state.reports.mkdir(exist_ok=True)
    (scanned.state.reports / METRICS).write_text("{", encoding="utf-8")
    assert status(scanned).verdict == ""


def test_it_is_printed_for_people_and_for_programs(scanned):
    text = apart(scanned.home, "status").stdout
    assert "collection       xrays" in text
    assert text.splitlines()[-1].startswith("Next: balance fill")
    assert json.loads(apart(scanned.home, "status", "--json").stdout)["collection"] == "xrays"
