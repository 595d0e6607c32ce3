"""What a network is trained for: one class an image by softmax, or several findings by a sigmoid each.

The only place where loss and prediction differ between the two; `analysis.data.targets` has the two forms of targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.data.targets import Targets, has_several
from balancer.collection.label_sets import DENIED, GIVEN


class Objective(Protocol):
    """Loss and prediction of logits (N, C); `weights` (C,) are of classes, or of a finding's positive images."""

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """One number to be lowered."""
        ...

    def balanced_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The same where every class, or both sides of every finding, weigh the same; not a number without images."""
        ...

    def probabilities(self, logits: Tensor) -> Tensor:
        """(N, C) probabilities."""
        ...


@dataclass(frozen=True, slots=True)
class OneClass:
    """One class an image: (N,) targets."""

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Cross entropy."""
        return F.cross_entropy(logits, targets, weight=weights)

    def balanced_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy, the mean over the classes of their means over images."""
        losses = F.cross_entropy(logits, targets, reduction="none").double()
        return torch.stack([losses[targets == each].mean() for each in targets.unique()]).mean()  # type: ignore[no-untyped-call]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax."""
        return logits.double().softmax(dim=1).float()


@dataclass(frozen=True, slots=True)
class Findings:
    """Several findings an image: (N, F) marks, of which unknown ones have no part in any loss."""

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Binary cross entropy, the mean over all known marks.

        >>> marks = torch.tensor([[1, -1], [0, -2]])
        >>> Findings().loss(torch.tensor([[0.0, 9.0], [0.0, -9.0]]), marks)
        tensor(0.6931)
        """
        known = (targets >= DENIED).to(logits.dtype)
        wanted = (targets == GIVEN).to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(logits, wanted, known, reduction="sum", pos_weight=weights)
        return losses / known.sum().clamp(min=1)

    def balanced_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross entropy: the mean over findings of the means over images with it and without it.

        A finding that only one side has does not count.
        """
        sides = [(targets == mark).double() for mark in (GIVEN, DENIED)]
        losses = F.binary_cross_entropy_with_logits(logits.double(), sides[0], reduction="none")
        means = torch.stack([(losses * side).sum(dim=0) / side.sum(dim=0) for side in sides]).mean(dim=0)
        return means[~means.isnan()].mean()

    def probabilities(self, logits: Tensor) -> Tensor:
        """A sigmoid a finding."""
        return logits.double().sigmoid().float()


ONE_CLASS, FINDINGS = OneClass(), Findings()


def objective_for(targets: Targets) -> Objective:
    """The objective that fits these targets."""
    return FINDINGS if has_several(targets) else ONE_CLASS
