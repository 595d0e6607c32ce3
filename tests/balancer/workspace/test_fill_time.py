"""How long a fill takes on workers, from what was measured."""

import json
from importlib.util import find_spec

import pytest

from balancer import FillSettings, NoScreen, ScanSettings, Workspace, fill, preview_fill, scan
from balancer.cli.views.fill import time_in_words
from balancer.workspace.fill_time import FillTime
from conftest import make_collection


def test_workers_share_the_batches_and_one_process_finishes_them():
    alone = FillTime(batches=10, batch_seconds=8.0, images=80)
    assert (alone.seconds, alone.most_workers) == (80.0, 1)
    assert FillTime(10, 8.0, 80, workers=4, start=15.0, limit=10.0).seconds == 15.0 + 3 * 8.0
    found = FillTime(10, 8.0, 80, workers=40, limit=4.0)
    assert (found.seconds, found.most_workers) == (20.0, 4)


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'xray-balancer[ray]'")
def test_a_dry_run_takes_the_pace_of_this_process_from_the_last_fill(tmp_path):
    make_collection(tmp_path / "xrays", {"normal": 9, "nodule": 5})
    work = Workspace.open(tmp_path)
    scan(work, ScanSettings(tmp_path / "xrays"))
    first = FillSettings(target="8", model="noise:4", batch_size="4")
    figures = fill(work, first, screen=NoScreen("test")).to_json()["figures"]
    assert 0 < figures["finishing"] <= figures["generating"] + 0.1
    more = FillSettings(target="12", model="noise:4", batch_size="4", engine="ray", workers=3)
    found = preview_fill(work, more, screen=NoScreen("test")).to_json()["time"]
    assert (found["workers"], found["screened"]) == (3, True)
    assert found["process_images_a_second"] == pytest.approx(figures["made"] / figures["finishing"])
    (tmp_path / ".balance" / "reports" / "fill.json").write_text(json.dumps({"made": 8}))  # of an earlier version
    preview = preview_fill(work, more, screen=NoScreen("test"))
    found = preview.to_json()["time"]
    assert "3 workers (each as fast as this machine" in time_in_words(preview.time, "10 images on cpu")[0]
    assert not found["screened"]
    assert found["process_images_a_second"] > 0
