"""The weights of a classifier in training, averaged and watched on validation images; the best are kept.

The learning rate stays as it is and the weights are averaged instead (Polyak and Juditsky 1992), late ones more than
early ones by a polynomial (Shamir and Zhang 2013, arXiv:1212.1824). No schedule needs to know where the training ends:
a training of 800 steps begins with the one of 400, and its loss falls only while it learns, so that it can be told
whether it had ended.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from analysis.data.targets import Targets
from analysis.statistics.convergence import Course, is_over, next_check
from analysis.vision.objectives import objective_for

_POWER = 8.0  # about the last ninth of all steps weighs in the average
_AT_ONCE = 512
_HOPELESS = 1e6  # the loss of a training that ran away


@dataclass(frozen=True, slots=True)
class Monitor:
    """Validation images (V, side, side) uint8 and their targets, looked at now and then.

    `log_prior` (C,) are the logarithms of the class shares, or of the odds of findings, that the training takes for
    granted: taken off the logits, trainings that sample their classes in different ways can be told from each other by
    the same loss. With `to_plateau` the training looks for its own end, which it does not find before `least` steps.
    """

    greys: npt.NDArray[np.uint8]
    targets: Targets
    log_prior: npt.NDArray[np.floating]
    to_plateau: bool = False
    least: int = 100


class Checkpoints:
    """What a training hands over: the averaged weights of the step with the lowest loss, the start included."""

    def __init__(self, network: nn.Module, monitor: Monitor, logits: Callable[[nn.Module, Tensor], Tensor]) -> None:
        self._monitor, self._logits = monitor, logits
        self._average = AveragedModel(network, avg_fn=_polynomial, use_buffers=True)
        self._images, self._targets = torch.from_numpy(monitor.greys), torch.from_numpy(monitor.targets)
        self._prior = torch.from_numpy(np.asarray(monitor.log_prior, np.float32))
        self._objective = objective_for(monitor.targets)
        equal = torch.zeros(len(monitor.targets), len(monitor.log_prior))
        self._guess = float(self._objective.balanced_loss(equal, self._targets))
        self._kept, self.course, self._next = network, Course(), 0
        self._check(0)

    def after(self, network: nn.Module, step: int, last: bool) -> bool:
        """Take over the weights of a step; whether the training has found its own end."""
        self._average.update_parameters(network)
        if step < self._next and not last:
            return False
        self._check(step)
        return self._monitor.to_plateau and is_over(self.course, self._monitor.least, self._guess)

    def best(self) -> nn.Module:
        """The network with the lowest loss."""
        return self._kept

    def _check(self, step: int) -> None:
        loss = min(self._loss(), _HOPELESS)
        if not self.course.losses or loss < self.course.lowest:
            self._kept = copy.deepcopy(self._average.module)
        self.course = Course((*self.course.steps, step), (*self.course.losses, loss))
        self._next = next_check(step)

    def _loss(self) -> float:
        """The loss in which every class, or both sides of every finding, weigh the same."""
        pieces = [
            self._logits(self._average.module, self._images[start : start + _AT_ONCE]).float().cpu()
            for start in range(0, len(self._images), _AT_ONCE)
        ]
        mean = float(self._objective.balanced_loss(torch.cat(pieces) - self._prior, self._targets))
        return mean if math.isfinite(mean) else _HOPELESS


def _polynomial(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    """The average after one more step: the new weights count (p + 1) / (n + p)."""
    return average + (current - average) * ((_POWER + 1) / (count + 1 + _POWER))
