import math
from pathlib import Path

import pytest
import torch
from torch import nn

from balancer.adapting.common import train_loop

SIX = train_loop.Budget(steps=6, seconds=None)


class Stopped(Exception):
    pass


def line() -> train_loop.Trainer:
    """y = 2 x, to be learned by one weight; the weight of `wide` has another memory order than its tensor."""
    torch.manual_seed(0)
    networks = nn.ModuleDict({"line": nn.Linear(1, 1), "wide": nn.Conv2d(3, 4, 3)})
    networks.to(memory_format=torch.channels_last)

    def draw(step: int) -> train_loop.Batch:
        return (torch.rand(8, 1, generator=torch.Generator().manual_seed(step)),)

    def loss(x: torch.Tensor) -> torch.Tensor:
        picture = x.view(-1, 1, 1, 1).expand(-1, 3, 3, 3)
        return (networks["line"](x) - 2 * x).square().mean() + (networks["wide"](picture) - 1).square().mean()

    return train_loop.Trainer(networks, draw, loss, rate=0.1, decay=0.9)


def equal(a: train_loop.Trainer, b: train_loop.Trainer) -> bool:
    pairs = [(a.tensors()[group], b.tensors()[group]) for group in ("networks", "average", "optimizer")]
    return all(torch.equal(x[name], y[name]) for x, y in pairs for name in x)


def test_learning_lowers_the_loss(tmp_path: Path) -> None:
    learner, seen = line(), []
    train_loop.learn(learner, train_loop.Budget(60, None), tmp_path, 1e9, lambda done: seen.append(done.loss))
    assert seen[-1] < seen[0] / 2


def test_a_stopped_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    def stop(done: train_loop.TrainState) -> None:
        if done.step == 4:
            raise Stopped

    whole = line()
    train_loop.learn(whole, SIX, tmp_path / "whole", 1e9, lambda done: None)
    with pytest.raises(Stopped):
        train_loop.learn(line(), SIX, tmp_path / "stopped", 0, stop)
    resumed, steps = line(), []
    train_loop.learn(resumed, SIX, tmp_path / "stopped", 0, lambda done: steps.append(done.step))
    assert steps == [5, 6]
    assert equal(whole, resumed)


def test_time_at_it_goes_on_after_a_stop(tmp_path: Path) -> None:
    learner = line()
    train_loop.keep(learner, tmp_path, train_loop.TrainState(step=3, seconds=59.9, fraction=0.998, loss=1.0))
    done = train_loop.learn(line(), train_loop.Budget(None, 59.9), tmp_path, 1e9, lambda done: None)
    assert done.step == 4
    assert done.seconds > 59.9


def test_a_finished_phase_learns_no_more(tmp_path: Path) -> None:
    train_loop.learn(line(), SIX, tmp_path, 1e9, lambda done: None)
    again = train_loop.learn(line(), SIX, tmp_path, 1e9, lambda done: pytest.fail("it learned"))
    assert again.step == 6


def test_a_batch_in_parts_gives_nearly_the_same_weights() -> None:
    whole, parts = line(), line()
    parts.parts = 4
    assert whole.learn(0, 0.1) == pytest.approx(parts.learn(0, 0.1), rel=1e-4)
    assert torch.allclose(whole.networks["line"].weight, parts.networks["line"].weight, atol=1e-5)


def test_a_batch_too_large_for_the_device_is_halved() -> None:
    learner, sizes = line(), []
    judge = learner.loss

    def loss(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        if len(x) > 2:
            raise torch.cuda.OutOfMemoryError
        return judge(x)

    learner.loss = loss
    learner.learn(0, 0.1)
    assert sizes == [8, 4, 2, 2, 2, 2]


def test_drawing_ahead_changes_nothing_and_draws_nothing_twice(tmp_path: Path) -> None:
    whole, ahead, steps = line(), line(), []
    draw = ahead.draw

    def noted(step: int) -> train_loop.Batch:
        steps.append(step)
        return draw(step)

    ahead.draw, ahead.ahead = noted, True
    for name, learner in (("whole", whole), ("ahead", ahead)):
        train_loop.learn(learner, SIX, tmp_path / name, 1e9, lambda done: None)
    assert equal(whole, ahead)
    assert steps == [0, 1, 2, 3, 4, 5, 6]


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path) -> None:
    learner = line()
    learner.loss = lambda x: next(learner.networks.parameters()).sum() * math.nan
    with pytest.raises(ArithmeticError, match="step 0"):
        train_loop.learn(learner, SIX, tmp_path, 1e9, lambda done: None)


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [train_loop.learning_rate(1.0, step, step / 1000) for step in (0, 99, 500, 750, 1000)]
    assert rates == pytest.approx([0.01, 1.0, 1.0, 0.51, 0.02])
