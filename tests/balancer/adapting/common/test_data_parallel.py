"""Processes that learn together learn what one learns. What starts processes is slow: each loads torch."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from balancer.adapting.common import train_loop
from balancer.adapting.common.data_parallel import devices_of, team_of
from balancer.adapting.common.device import TrainingDevice
from balancer.errors import ModelError

CPU = TrainingDevice(torch.device("cpu"), False)


def line(device: TrainingDevice, over: str = "", error: str = "") -> train_loop.Trainer:
    """y = 2 x, to be learned by one weight, from batches of five; `over` is where another process is killed."""
    torch.manual_seed(os.getpid())  # weights are those of the first process
    networks = nn.ModuleDict({"line": nn.Linear(1, 1), "unused": nn.Linear(1, 1)})

    def draw(step: int) -> train_loop.Batch:
        return (torch.rand(5, 1, generator=torch.Generator().manual_seed(step)),)

    def loss(x: torch.Tensor) -> torch.Tensor:
        if len(x) == 2 and over:  # the part of the other process
            os.kill(os.getpid(), signal.SIGKILL)
        if len(x) == 2 and error:
            raise MemoryError(error)
        return (networks["line"](x) - 2 * x).square().mean()

    return train_loop.Trainer(networks, draw, loss, rate=0.1, decay=0.9)


def learn(learner: train_loop.Trainer, root: Path, until: int = 6) -> list[float]:
    """The losses up to a step of six, each of them kept."""
    seen: list[float] = []

    def watch(done: train_loop.TrainState) -> bool:
        seen.append(done.loss)
        return done.step == until

    train_loop.learn(learner, train_loop.Budget(6, None), root, 0, watch)
    return seen


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_and_go_on_where_they_were(tmp_path: Path) -> None:
    alone, both = line(CPU), line(CPU)
    both.networks.load_state_dict(alone.networks.state_dict())
    wanted = learn(alone, tmp_path / "one")
    before = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "OMP_NUM_THREADS", "MASTER_ADDR")}
    with team_of([CPU, CPU], line) as team:
        assert team is not None
        both.shared = team.gradients
        found = learn(both, tmp_path / "two", 3)
        again = line(CPU)
        again.shared = team.gradients
        found += learn(again, tmp_path / "two")
    assert found == pytest.approx(wanted, rel=1e-5)
    assert torch.allclose(again.networks["line"].weight, alone.networks["line"].weight, atol=1e-6)  # type: ignore[union-attr]
    assert {name: os.environ.get(name) for name in before} == before
    assert not torch.distributed.is_initialized()


@pytest.mark.slow
def test_a_process_that_is_killed_or_fails_ends_the_training_with_a_message(tmp_path: Path) -> None:
    learner = line(CPU)
    for make, error, words in (
        (partial(line, over="x"), ModelError, "it continues from the last checkpoint"),
        (partial(line, error="all of it"), MemoryError, "all of it"),
    ):
        with team_of([CPU, CPU], make) as team:
            learner.shared = team.gradients  # type: ignore[union-attr]
            with pytest.raises(error, match=words):
                learn(learner, tmp_path)


def test_a_device_for_each_process_or_a_message() -> None:
    assert devices_of(CPU, "auto", 1, 8) == [CPU]
    assert devices_of(CPU, "cpu", 2, 8) == [CPU, CPU]
    with pytest.raises(ModelError, match="no GPU") as found:
        devices_of(CPU, "auto", 2, 8)
    assert "--device cpu" in found.value.next_step
    with pytest.raises(ModelError, match="a batch of at least 9 images"):
        devices_of(CPU, "cpu", 9, 8)
    with pytest.raises(ModelError, match="2 GPUs of this machine"):
        devices_of(TrainingDevice(torch.device("cuda:1"), True), "cuda:1", 2, 8)
