import os
import pickle
import signal
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from analysis.comparison.training.arm_selection import choose_arms
from analysis.comparison.training.arms import ARMS, RECIPES, Arm
from analysis.comparison.training.frozen import Frozen
from analysis.comparison.training.networks import SmallNetwork
from analysis.comparison.training.run_files import PredictionStore
from analysis.comparison.training.runs import Run, RunSettings, load, run_together, study_key
from analysis.comparison.training.worker_pool import Training, WorkerPool
from analysis.vision.classifier import ClassifierSettings
from balancer.errors import OutOfMemory, StateError
from balancer.parallel import _told
from tests.support.cli_process import until
from tests.support.comparison_fixtures import SIDE, Scribe, added, part, study

SMALL = RunSettings(SmallNetwork(side=SIDE, batch_size=8, width=8), steps=4, seeds=(0, 1))
FEW = tuple(ARMS[name] for name in ("real", "threshold-shift", "crt", "synthetic-1", "pretraining"))


def run_of(settings, folder, arms=FEW, of=None):
    return Run(of or study(), settings.trainings(arms), settings, folder)


def told(settings, folder, arms=FEW, which="test", of=None, workers=1, **how):
    run = run_of(settings, folder, arms, of)
    with WorkerPool(workers) as pool:
        run_together([run], pool=pool, **how)
    return load(run, which)


def test_every_arm_speaks_of_every_image_with_every_seed(tmp_path):
    probabilities = told(SMALL, tmp_path)
    assert list(probabilities) == [each.name for each in FEW]
    assert {each.shape for each in probabilities.values()} == {(2, 30, 3)}
    assert all(np.allclose(each.sum(axis=2), 1, atol=1e-5) for each in probabilities.values())
    assert not np.array_equal(probabilities["real"][0], probabilities["real"][1])
    assert load(run_of(SMALL, tmp_path), "validation")["real"].shape == (2, 22, 3)
    assert not list(tmp_path.glob(".seen-*"))


@pytest.mark.slow
def test_processes_give_the_same_as_one(tmp_path):
    alone = told(SMALL, tmp_path / "one", workers=1)
    heard = []
    both = told(SMALL, tmp_path / "two", workers=2, progress=lambda done, total: heard.append((done, total)))
    assert all(np.array_equal(alone[name], both[name]) for name in alone)
    assert (heard[0], heard[-1]) == ((0, 32), (32, 32))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_several_runs_share_the_processes_and_end_as_alone(tmp_path, workers):
    """The learning curve's: another study for each seed."""
    studies = [replace(study(), train=part((40, 30, 6), seed=seed)) for seed in (1, 2, 3)]
    runs = [
        run_of(replace(SMALL, seeds=(seed,)), tmp_path / f"{seed}-of-3", FEW[:2], of) for seed, of in enumerate(studies)
    ]
    heard = []
    with WorkerPool(workers) as pool:
        run_together(runs, pool=pool, progress=lambda done, total: heard.append((done, total)))
    assert (heard[0], heard[-1]) == ((0, 12), (12, 12))
    for run in runs:
        together = load(run, "test")
        alone = told(run.settings, tmp_path / f"{run.folder.name}-alone", FEW[:2], of=run.study)
        assert all(np.array_equal(together[name], alone[name]) for name in alone)
    assert not list(tmp_path.rglob(".seen-*"))


@dataclass(frozen=True)
class Onlooker(Scribe):
    """What lies about while it looks."""

    folder: Path | None = None
    seen: list = field(default_factory=list)

    def learn(self, seen, spec, progress):
        self.seen.append(len(list(self.folder.rglob(".seen-*"))))
        return Scribe.learn(self, seen, spec, progress)


def test_images_lie_about_only_while_they_are_needed_even_where_two_runs_share_a_folder(tmp_path):
    backbone = Onlooker(folder=tmp_path)
    runs = [run_of(RunSettings(backbone, 2, (seed,)), tmp_path / "one", FEW[:1]) for seed in (0, 1, 2)]
    run_together(runs)
    assert backbone.seen == [1, 1, 1]
    assert not list(tmp_path.rglob(".seen-*"))


def test_progress_counts_training_steps(tmp_path):
    heard = []
    told(SMALL, tmp_path, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(0, 32), *((step, 32) for step in range(1, 33)), (32, 32)]


def test_a_stopped_comparison_goes_on_and_repeats_nothing(tmp_path):
    settings = RunSettings(Scribe(stop_after=3), steps=5, seeds=(0, 1))
    arms = tuple(ARMS[name] for name in ("real", "oversampling", "threshold-shift"))
    with pytest.raises(KeyboardInterrupt):
        told(settings, tmp_path, arms)
    with pytest.raises(StateError, match=r"oversampling with seed 1"):
        load(run_of(settings, tmp_path, arms[:2]), "validation")
    scribe = Scribe()
    told(replace(settings, backbone=scribe), tmp_path, arms)
    assert [(spec.seed, spec.sampling) for spec in scribe.specs] == [(1, "balanced")]
    told(replace(settings, backbone=Scribe(stop_after=0)), tmp_path, arms)  # nothing is left to do


def test_a_stopped_comparison_ends_as_an_undisturbed_one(tmp_path):
    whole = told(SMALL, tmp_path / "whole")
    told(replace(SMALL, seeds=(1,)), tmp_path / "parts", FEW[:3])
    again = told(SMALL, tmp_path / "parts")
    assert all(np.array_equal(whole[name], again[name]) for name in whole)


def test_what_is_added_repeats_only_the_arms_that_add_it(tmp_path):
    settings = RunSettings(Scribe(), steps=2, seeds=(0,))
    arms = tuple(ARMS[name] for name in ("real", "synthetic-1"))
    told(settings, tmp_path, arms)
    other = study(extra={"synthetic": added((0, 10, 34), seed=10), "extra:A/B": added((0, 0, 3))})
    assert study_key(other, settings) == study_key(study(), settings)
    scribe = Scribe()
    chosen, _ = choose_arms(other, scribe, only=["synthetic-1", "extra:A/B"])
    told(replace(settings, backbone=scribe), tmp_path, chosen, of=other)
    assert [len(spec.rows) for spec in scribe.specs] == [76, 92, 79]  # the first has the recipe and no images


def test_the_key_knows_what_a_run_depends_on():
    other_images = replace(study(), train=part((40, 30, 6), seed=7))
    keys = {
        study_key(study(), SMALL),
        study_key(other_images, SMALL),
        study_key(study(), replace(SMALL, recipe="plain")),
        study_key(study(), replace(SMALL, backbone=SmallNetwork(side=SIDE))),
        study_key(study(), replace(SMALL, backbone=replace(SMALL.backbone, rates=(1e-3,)))),
    }
    assert len(keys) == 5
    assert study_key(study(), replace(SMALL, seeds=(7,))) in keys  # seeds are in the names of the files


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("analysis.comparison.training.runs.__version__", "0.0.1"),
        ("torch.__version__", "1.0"),
        ("analysis.comparison.training.runs.RECIPES", {**RECIPES, "strong": RECIPES["plain"]}),
        ("analysis.vision.classifier.ClassifierSettings.__init__", None),
    ],
)
def test_what_another_version_or_other_settings_trained_is_not_taken_for_this(monkeypatch, what, value):
    """S14: the key was that of the images and the recipe's name alone."""
    before = study_key(study(), SMALL)
    if what.endswith("__init__"):  # another default of a setting that no option sets
        monkeypatch.setattr("analysis.comparison.training.networks.ClassifierSettings", AnotherWarmUp)
    else:
        monkeypatch.setattr(what, value)
    assert study_key(study(), SMALL) != before


@dataclass(frozen=True)
class AnotherWarmUp(ClassifierSettings):
    warm_up: float = 0.9


def test_trainings_of_other_lengths_and_rates_are_kept_apart(tmp_path):
    run = run_of(SMALL, tmp_path, FEW[:1])
    told(SMALL, tmp_path, FEW[:1])
    (training,) = [each for each in run.trainings if each.seed == 0]
    store = PredictionStore(run.study, run.folder)
    assert store.has(training)
    assert not store.has(replace(training, steps=5))
    assert not store.has(replace(training, rate=1e-3))
    assert store.course(training).steps == (0, 4)


def test_a_training_that_looks_for_its_end_is_found_again_as_one_of_so_many_steps(tmp_path):
    run = run_of(SMALL, tmp_path, FEW[:1])
    looking = Training(ARMS["real"], 0, 300, to_plateau=True)
    run_together([replace(run, trainings=[looking])])
    store = PredictionStore(run.study, run.folder)
    steps = store.course(looking).steps[-1]
    assert 100 <= steps <= 300
    assert store.has(Training(ARMS["real"], 0, steps))


def test_a_damaged_file_is_told(tmp_path):
    told(SMALL, tmp_path, FEW[:1])
    next(tmp_path.glob("real-*/1-4.test.npy")).write_bytes(b"")
    with pytest.raises(StateError, match=r"1-4\.test\.npy: damaged"):
        load(run_of(SMALL, tmp_path, FEW[:1]), "test")


def test_a_killed_comparison_leaves_no_images_for_good(tmp_path):
    (tmp_path / ".seen-left").mkdir(parents=True)
    told(SMALL, tmp_path, FEW[:1])
    assert not list(tmp_path.glob(".seen-*"))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_frozen_features_are_of_another_network_for_each_seed_and_run_alike_everywhere(tmp_path, workers):
    settings = RunSettings(Frozen(side=SIDE, steps=6), seeds=(0, 1))
    arms, _ = choose_arms(study(), settings.backbone)
    looked = []
    alone = told(settings, tmp_path / "one", arms, looking=lambda done, total: looked.append((done, total)))
    assert looked == [(step, 12) for step in range(1, 13)]
    assert not np.array_equal(alone["real"][0], alone["real"][1])  # a regression has no luck of its own
    again = told(settings, tmp_path / "two", arms, workers=workers)
    assert all(np.array_equal(alone[name], again[name]) for name in alone)


def slow(task):
    Path(os.environ["BEGUN"]).touch()
    return task.train(task.real, steps=10**6)


def broken(task):
    raise ArithmeticError("no such thing")


def greedy(task):
    raise MemoryError("all of it")


@pytest.mark.slow
def test_a_killed_worker_is_told_and_what_is_finished_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("BEGUN", str(tmp_path / "begun"))
    arms = (ARMS["real"], Arm("slow", "free", slow))
    before = children()

    def kill():
        until(lambda: list(tmp_path.glob("real-*/0-*.validation.npy")) and (tmp_path / "begun").exists())
        for child in children() - before:
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(StateError, match="slow with seed 0 was killed"):
        told(replace(SMALL, seeds=(0,)), tmp_path, arms, workers=2)
    killer.join()
    assert load(run_of(replace(SMALL, seeds=(0,)), tmp_path, arms[:1]), "test")["real"].shape == (1, 30, 3)


def children():
    return {int(number) for number in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


@pytest.mark.parametrize(
    ("learn", "error", "words", "workers"),
    [
        (greedy, OutOfMemory, "memory to train wrong", 1),
        pytest.param(greedy, OutOfMemory, "memory to train wrong", 2, marks=pytest.mark.slow),
        (broken, ArithmeticError, "no such thing", 1),
    ],
)
def test_what_goes_wrong_in_a_run_is_told(tmp_path, learn, error, words, workers):
    wrong = Arm("wrong", "free", learn)
    with pytest.raises(error, match=words):
        told(replace(SMALL, seeds=(0,)), tmp_path, (wrong,), workers=workers)


def test_what_goes_wrong_elsewhere_comes_with_its_traceback():
    try:
        broken(None)
    except ArithmeticError as error:
        told = pickle.loads(pickle.dumps(_told(error)))
    assert isinstance(told, RuntimeError)
    assert "in broken" in str(told)


@dataclass(frozen=True)
class Elsewhere(Scribe):
    device: str = "cuda"


def test_trainings_on_a_gpu_take_turns(tmp_path):
    settings = RunSettings(Elsewhere(), steps=600, seeds=(0, 1))
    told(settings, tmp_path, FEW[:1])
    assert len(settings.backbone.specs) == 2  # in this process: another's list would not have come back
