"""Folds on workers of Ray: the same as here, whatever happens to a worker. What starts Ray is slow."""

import contextlib
import time
from dataclasses import replace
from importlib.util import find_spec
from threading import Thread
from types import SimpleNamespace

import psutil
import pytest

from balancer.devices import software_versions
from balancer.errors import ComparisonError
from balancer.filling.verdicts import NoScreen
from balancer.progress import SILENT, Silent
from balancer.workspace.fill_run import fill
from balancer.workspace.fold_runs import fold_refits, refitted
from balancer.workspace.ray_refits import MARK, RayRefits, _require_gpus, require_same_place
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import FillSettings, ScanSettings, SplitSettings
from balancer.workspace.split_run import split
from balancer.workspace.workspace import Workspace
from tests.support.cli_process import tree_hash
from tests.support.tiny_models import write_xrays

AGAIN = "balance compare --cross-fit 2"


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    write_xrays(tmp_path / "xrays", {"NORMAL": 40, "NODULE": 20}, (24, 24))
    found = Workspace.open(tmp_path)
    scan(found, ScanSettings(tmp_path / "xrays", patient=r"(p\d+)-"))
    return found


def test_a_machine_that_sees_another_folder_or_has_other_versions_refuses(work):
    same = software_versions()
    with pytest.raises(ComparisonError, match="a disk that all machines share") as found:
        require_same_place(work.home, "a", same)
    assert "no such folder on " in found.value.found
    (work.home / MARK).write_text("b")
    with pytest.raises(ComparisonError, match="another folder at this path"):
        require_same_place(work.home, "a", same)
    with pytest.raises(ComparisonError, match=r"torch 0\.1 on every machine"):
        require_same_place(work.home, "b", {**same, "torch": "0.1"})
    require_same_place(work.home, "b", same)
    (work.home / "xrays").rename(work.home / "gone")
    with pytest.raises(ComparisonError, match="the collection at the same path"):
        require_same_place(work.home, "b", same)


def folds(work):
    split(work, SplitSettings(folds=2))
    fill(work, FillSettings(target="20", model="noise:4", seed=3), screen=NoScreen("a test"))
    with work.session(write=False) as session:
        return fold_refits(session, 2)


class Saying(Silent):
    def __init__(self, said):
        self.message = said.append


def kill_first():
    """Kill the first worker that runs a refit."""
    while True:
        for each in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "run_on_worker" in " ".join(each.cmdline()):
                    each.kill()
                    return
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'xray-balancer[ray]'")
def test_folds_on_workers_are_those_of_this_machine(work):
    refits = folds(work)
    here = [tree_hash(each.balanced) for each, _ in refitted(refits, AGAIN, SILENT)]
    for refit in refits:
        (refit.folder / "fill.done").unlink()
    with RayRefits(2, "cpu") as cluster:
        found = refitted(refits, AGAIN, SILENT, cluster.run, cluster.places)
        assert [tree_hash(each.balanced) for each, _ in found] == here
        (refits[0].folder / "fill.done").unlink()
        said = []
        killer = Thread(target=kill_first, daemon=True)
        killer.start()
        first = next(refitted(refits[:1], AGAIN, Saying(said), cluster.run, cluster.places))[0]
        assert tree_hash(first.balanced) == here[0]
        assert any("goes on on another worker" in text for text in said)
        wrong = replace(refits[0], runs={"fill": replace(refits[0].runs["fill"], model="nowhere")})
        (wrong.folder / "fill.done").unlink()
        with pytest.raises(ComparisonError, match="'nowhere' is none of these"):
            next(refitted([wrong], AGAIN, SILENT, cluster.run, cluster.places))


def test_a_training_on_more_gpus_than_a_machine_has_is_refused():
    nodes = [{"Alive": True, "Resources": {"GPU": 1.0}}, {"Alive": False, "Resources": {"GPU": 8.0}}]
    _require_gpus(SimpleNamespace(nodes=lambda: nodes), 1)
    with pytest.raises(ComparisonError, match="a machine with 2 GPUs"):
        _require_gpus(SimpleNamespace(nodes=lambda: nodes), 2)
