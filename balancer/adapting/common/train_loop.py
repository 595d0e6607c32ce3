"""One loop for both networks: draw, learn, average, keep; killed anywhere, it goes on as if it had not been."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from balancer.adapting.common.clock import Clock
from balancer.adapting.common.loss_table import BATCH_LOSS, LOSS, RATE
from balancer.adapting.common.train_state import load_state, save_state

Batch = tuple[Tensor, ...]
_WARM_UP = 100
_FINAL_RATE = 0.02
_NUMBERS = ("loss", "batch_loss", "rate")  # of a state; they may be unknown


@dataclass(frozen=True, slots=True)
class Budget:
    """When learning ends: after so many steps or so many seconds, whichever is first."""

    steps: int | None
    seconds: float | None

    def fraction(self, step: int, seconds: float) -> float:
        """How much of it is done, from 0 to 1.

        >>> Budget(steps=10, seconds=None).fraction(5, 99.0)
        0.5
        """
        return max(_share(step, self.steps), _share(seconds, self.seconds))


def _share(done: float, most: float | None) -> float:
    if most is None:
        return 0.0
    return 1.0 if done >= most else done / most


@dataclass(slots=True)
class Trainer:
    """Networks that learn together, their running average, and what they learn from.

    `draw` gives the batch of a step, the same whenever it is asked; `loss` judges a batch, or a part of one. A batch
    that does not fit is learned in parts; before that, `spare` may find memory and says whether it did. With `ahead`
    the next batch is drawn while a GPU still works at this one. `shared` computes the gradients of a batch with others.
    """

    networks: nn.ModuleDict
    draw: Callable[[int], Batch]
    loss: Callable[..., Tensor]
    rate: float
    decay: float
    average: nn.ModuleDict = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)
    parts: int = 1
    spare: Callable[[], bool] = lambda: False
    ahead: bool = False
    shared: Callable[[Trainer, Batch], Tensor] | None = None
    _drawn: tuple[int, Batch] | None = field(init=False, default=None)
    _followed: tuple[list[Tensor], list[Tensor]] = field(init=False)

    def __post_init__(self) -> None:
        self.average = deepcopy(self.networks).requires_grad_(False).eval()
        pairs = zip(self.average.state_dict().values(), self.networks.state_dict().values(), strict=True)
        floating = [pair for pair in pairs if pair[0].is_floating_point()]  # they share memory with the weights
        self._followed = [a for a, _ in floating], [b for _, b in floating]
        self.optimizer = torch.optim.AdamW(
            self.networks.parameters(), lr=self.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )

    def learn(self, step: int, rate: float) -> float:
        """One step of the optimiser at a learning rate; gives the batch's loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self._batch(step)
        loss = self.gradients(batch, len(batch[0])) if self.shared is None else self.shared(self, batch)
        nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._follow(min(self.decay, (1 + step) / (10 + step)))
        self._drawn = (step + 1, self.draw(step + 1)) if self.ahead else None
        return float(loss)  # waits for the GPU: all of the step is under way by now

    def _batch(self, step: int) -> Batch:
        return self._drawn[1] if self._drawn is not None and self._drawn[0] == step else self.draw(step)

    def gradients(self, batch: Batch, whole: int) -> Tensor:
        """Leave the gradients of a batch, or a part of a `whole` one of so many images, in the networks; its loss."""
        try:
            losses = [self._part_gradients(part, whole) for part in _parts(batch, self.parts)]
            return torch.stack(losses).sum()
        except torch.cuda.OutOfMemoryError:
            spared = self.spare()
            if not spared and self.parts >= len(batch[0]):
                raise
        self.optimizer.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        self.parts *= 1 if spared else 2  # the same batch in smaller parts
        return self.gradients(batch, whole)

    def _part_gradients(self, part: Batch, whole: int) -> Tensor:
        loss = self.loss(*part) * (len(part[0]) / whole)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        torch._foreach_lerp_(*self._followed, 1 - decay)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All that a checkpoint must hold, by file and by name."""
        names = [name for name, _ in self.networks.named_parameters()]
        moments = self.optimizer.state_dict()["state"]
        kept = {f"{key}.{names[i]}": t for i, state in moments.items() for key, t in state.items()}
        return {
            "networks": self.networks.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": kept,
        }

    def restore(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take up what `tensors` gave."""
        self.networks.load_state_dict(dict(tensors["networks"]))
        self.average.load_state_dict(dict(tensors["average"]))
        for name, parameter in self.networks.named_parameters():
            moments = {key: tensors["optimizer"].get(f"{key}.{name}") for key in ("exp_avg", "exp_avg_sq")}
            if (step := tensors["optimizer"].get(f"step.{name}")) is not None:
                # like the parameter in memory too: the fused optimiser walks them side by side
                like = {key: torch.empty_like(parameter).copy_(t) for key, t in moments.items() if t is not None}
                self.optimizer.state[parameter] = {"step": step.to(parameter.device), **like}


@dataclass(frozen=True, slots=True)
class TrainState:
    """How far learning is: steps, seconds at it, fraction of its limit, and the newest loss (a running mean).

    `clock` is what the whole training had taken by then, in seconds. `batch_loss` and `rate` are the loss of the last
    step's batch and the learning rate that it was taken with.
    """

    step: int = 0
    seconds: float = 0.0
    fraction: float = 0.0
    loss: float = math.nan
    clock: float = 0.0
    batch_loss: float = math.nan
    rate: float = math.nan

    @property
    def figures(self) -> dict[str, float]:
        """What loggers are told of the last step."""
        return {LOSS: self.loss, BATCH_LOSS: self.batch_loss, RATE: self.rate}


def learning_rate(peak: float, step: int, fraction: float) -> float:
    """Rising over 100 steps, level to the half, then down along a cosine to 2%.

    >>> learning_rate(1.0, 1000, 0.5), round(learning_rate(1.0, 1000, 1.0), 3)
    (1.0, 0.02)
    """
    warm = min(1.0, (step + 1) / _WARM_UP)
    falling = 0.5 * (1 + math.cos(math.pi * max(0.0, 2 * fraction - 1)))
    return peak * warm * (_FINAL_RATE + (1 - _FINAL_RATE) * falling)


def resume(learner: Trainer, root: Path) -> TrainState:
    """Put the learner into the newest state kept under `root`; gives how far that is."""
    found = load_state(root)
    if found is None:
        return TrainState()
    learner.restore(found[0])
    facts = found[1]
    loss, *last = (math.nan if (value := facts.get(name)) is None else value for name in _NUMBERS)
    clock = facts.get("clock", facts["seconds"])  # version 0.1 counted the time at the optimiser alone
    return TrainState(facts["step"], facts["seconds"], facts["fraction"], loss, clock, *last)


def learn(
    learner: Trainer,
    limit: Budget,
    root: Path,
    every_seconds: float,
    watch: Callable[[TrainState], object],
    done: TrainState | None = None,
    clock: Clock | None = None,
) -> TrainState:
    """Learn up to the limit from the newest state under `root`, keeping one there every so many seconds.

    `watch` is called after every step, and ends it by saying True. `done` is what `resume` gave, if it was asked
    before. A loss that is no number ends it with ArithmeticError.
    """
    clock = Clock() if clock is None else clock
    done = resume(learner, root) if done is None else done
    saved = clock.seconds()
    start = saved - done.seconds
    while done.fraction < 1:
        rate = learning_rate(learner.rate, done.step, done.fraction)
        loss = learner.learn(done.step, rate)
        done = _after(done, loss, rate, start, clock.seconds(), limit)
        if done.fraction >= 1 or done.clock - saved >= every_seconds:
            keep(learner, root, done)
            saved = done.clock
        if watch(done) is True:
            break
    return done


def keep(learner: Trainer, root: Path, done: TrainState) -> None:
    """Keep the learner's state under `root`."""
    numbers = {name: None if math.isnan(value := getattr(done, name)) else value for name in _NUMBERS}
    facts = {"step": done.step, "seconds": done.seconds, "fraction": done.fraction, "clock": done.clock, **numbers}
    save_state(root, done.step, learner.tensors(), facts)


def _after(done: TrainState, loss: float, rate: float, start: float, now: float, limit: Budget) -> TrainState:
    if not math.isfinite(loss):
        raise ArithmeticError(f"the loss of step {done.step} is {loss}")
    step = done.step + 1
    mean = loss if math.isnan(done.loss) else done.loss + 0.02 * (loss - done.loss)
    return TrainState(step, now - start, limit.fraction(step, now - start), mean, now, loss, rate)


def _parts(batch: Batch, parts: int) -> list[Batch]:
    return list(zip(*(tensor.chunk(parts) for tensor in batch), strict=True))
