"""Trainings on workers of Ray are those of this process, whatever happens to them. Slow: Ray takes seconds to start."""

import os
import signal
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from analysis.comparison.training.arms import ARMS, Arm, Rows
from analysis.comparison.training.networks import FineTuned, SmallNetwork
from analysis.comparison.training.ray_pool import RayPool, fingerprint, train_on_worker
from analysis.comparison.training.runs import Run, RunSettings, load, run_together
from analysis.comparison.training.worker_pool import Job, Layout, Training, WorkerPool
from balancer.errors import ComparisonError, OutOfMemory, StateError
from tests.support.comparison_fixtures import SIDE, study

SMALL = RunSettings(SmallNetwork(side=SIDE, batch_size=8, width=8), steps=4, seeds=(0, 1))
FEW = tuple(ARMS[name] for name in ("real", "threshold-shift", "crt", "synthetic-1", "pretraining"))


def run_of(settings, folder, arms=FEW):
    return Run(study(), settings.trainings(arms), settings, folder)


def told(pool, settings, folder, arms=FEW, **how):
    run = run_of(settings, folder, arms)
    with pool:
        run_together([run], pool=pool, **how)
    return load(run, "test")


@pytest.mark.parametrize("what", ["versions", "weights"])
def test_a_worker_with_other_versions_or_weights_refuses(tmp_path, what):
    rows = Rows(np.arange(1), np.zeros(1, np.int64))
    backbone = SMALL.backbone if what == "versions" else FineTuned("resnet50", tmp_path / "gone.safetensors")
    layout = Layout({}, ("a",), rows, {}, (0, 1), (0, 1), backbone, "plain")
    job = Job(0, layout, Training(ARMS["real"], 0, 1))
    with pytest.raises(ComparisonError, match="same weights, on every machine") as found:
        train_on_worker(job, np.zeros((1, SIDE, SIDE), np.uint8), "another")
    assert "other ones" in found.value.found or "gone.safetensors" in found.value.found
    assert fingerprint(SMALL.backbone) != fingerprint(replace(SMALL.backbone, width=16))


@pytest.fixture
def pool(monkeypatch):
    if find_spec("ray") is None:  # to import it here would be before its settings are made
        pytest.skip("needs Ray: pip install 'xray-balancer[ray]'")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    said = []
    pool = RayPool(2, "cpu", said.append)
    pool.said = said
    return pool


@pytest.mark.slow
def test_workers_give_the_same_as_this_process_and_repeat_nothing(tmp_path, pool):
    alone, heard = told(WorkerPool(1), SMALL, tmp_path / "one"), []
    there = told(pool, SMALL, tmp_path / "two", progress=lambda done, total: heard.append((done, total)))
    assert all(np.array_equal(alone[name], there[name]) for name in alone)
    assert (heard[0], heard[-1]) == ((0, 32), (32, 32))
    assert not list(tmp_path.rglob(".seen-*"))
    heard.clear()
    told(pool, SMALL, tmp_path / "two", progress=lambda done, total: heard.append((done, total)))
    assert heard == []


def deadly(task):
    """Kills the first worker that comes, and trains on the second."""
    over = Path(os.environ["OVER"])
    if not over.exists():
        over.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task.train(task.real)


def always(task):
    os.kill(os.getpid(), signal.SIGKILL)


def broken(task):
    raise ArithmeticError("no such thing")


def greedy(task):
    raise MemoryError("all of it")


@pytest.mark.slow
def test_a_training_whose_worker_is_killed_is_done_again(tmp_path, pool, monkeypatch):
    monkeypatch.setenv("OVER", str(tmp_path / "killed"))
    arms = (ARMS["real"], Arm("deadly", "free", deadly))
    there = told(pool, replace(SMALL, seeds=(0,)), tmp_path / "runs", arms)
    assert np.array_equal(there["deadly"], there["real"])
    assert pool.repeated == 1
    assert pool.said[-1] == "deadly with seed 0 is trained again: its worker was lost (so far: 1)."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("learn", "error", "words"),
    [
        (greedy, OutOfMemory, "memory to train wrong"),
        (broken, RuntimeError, "no such thing"),
        (always, StateError, "wrong with seed 0 was killed"),
    ],
)
def test_what_goes_wrong_on_a_worker_is_told_and_what_is_finished_is_kept(tmp_path, pool, learn, error, words):
    settings = replace(SMALL, seeds=(0,))
    told(WorkerPool(1), settings, tmp_path, (ARMS["real"],))
    with pytest.raises(error, match=words):
        told(pool, settings, tmp_path, (ARMS["real"], Arm("wrong", "free", learn)))
    assert load(run_of(settings, tmp_path, (ARMS["real"],)), "test")["real"].shape == (1, 30, 3)
