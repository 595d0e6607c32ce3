"""Results are kept for the report with the balanced folder that they were measured on."""

import json

import pytest

from balancer.progress import SILENT
from balancer.workspace.reports import PROBE, keep_measured
from balancer.workspace.workspace import Workspace
from tests.support.cli_process import run
from tests.support.report_fixtures import keep, metrics, prepared

LABELS = ("NODULE", "NORMAL")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("report"), LABELS)


def test_results_are_kept_for_the_usual_folder_alone(filled, tmp_path):
    workspace = Workspace.open(filled)
    kept = filled / ".balance" / "reports" / "probe.json"
    keep_measured(workspace, PROBE, {"verdict": "V"}, tmp_path, SILENT)
    assert not kept.exists()
    keep_measured(workspace, PROBE, {"verdict": "V"}, filled / "xrays-balanced", SILENT)
    found = json.loads(kept.read_text("utf-8"))
    assert found.keys() == {"verdict", "balanced_sha256"}
    keep(filled, metrics(LABELS, "NODULE"))
    assert "Warning" not in run(filled, "report")[1]
    (filled / "xrays-balanced" / "balance.json").write_bytes(
        (filled / "xrays-balanced" / "balance.json").read_bytes() + b"\n"
    )
    assert "Warning: The probe is out of date" in run(filled, "report")[1]


def test_nowhere_nothing_is_kept(tmp_path):
    keep_measured(Workspace.open(tmp_path), PROBE, {}, tmp_path, SILENT)
    assert list(tmp_path.iterdir()) == []
