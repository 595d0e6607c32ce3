"""What can be set about adapting a base, checked once."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from balancer.adapting.scratch.settings import DEFAULT_MINUTES, refuse_fraction, refuse_small, refuse_steps_and_minutes
from balancer.errors import ModelError

BATCH_SIZE = 8
MACHINE_FIELDS = ("minutes", "device", "checkpoint_every_seconds", "validation_prompts")
"""What may change between two sittings of one training: it says where and how long, and not what is learned."""

_LATER = (("workers", 1), ("aspect", 1.0), ("prior_share", None), ("validation_prompts", ()))


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """How one LoRA adapter is trained: rank, learning rate, batch size, steps and time limit.

    Pictures have `size` x `size` pixels, by default as the base was trained; at an `aspect`, width over height, other
    than 1 about as many in other proportions. `steps` counts the optimiser's steps,
    `minutes` the time on the clock, all of it; neither means 30 minutes. `batch_size` images make a step, by default
    8, shared out among `workers` processes; what does not fit on a device is learned in parts. No image is seen more
    than `repetitions` times, in
    `augmentations` slightly moved versions. Every `look_every` of the training the holdout part is judged and samples
    are drawn, of each class and of `validation_prompts`; `patience` looks without a better loss end it. With a
    `prior_share` that much of each batch are images of the common classes, larger than the mean class.

    >>> LoraSettings(steps=100).total_minutes is None, LoraSettings().total_minutes
    (True, 30.0)
    """

    rank: int = 16
    text_encoder: bool = False
    size: int | None = None
    steps: int | None = None
    minutes: float | None = None
    batch_size: int = BATCH_SIZE
    seed: int = 0
    device: str = "auto"
    learning_rate: float = 1e-4
    caption_dropout: float = 0.1
    average_decay: float = 0.999
    augmentations: int = 4
    repetitions: int = 100
    look_every: float = 0.1
    look_columns: int = 2
    look_steps: int = 12
    sample_steps: int = 25
    patience: int = 3
    checkpoint_every_seconds: float = 60.0
    workers: int = 1
    aspect: float = 1.0
    prior_share: float | None = None
    validation_prompts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        refuse_steps_and_minutes(self.steps, self.minutes)
        for name in ("rank", "batch_size", "augmentations", "repetitions", "look_columns", "patience", "workers"):
            refuse_small(name, getattr(self, name), 1)
        refuse_small("steps", self.steps, 2)
        _refuse_rate(self.learning_rate)
        refuse_small("minutes", self.minutes, 0.01)
        for name in ("look_every", "caption_dropout"):
            refuse_fraction(name, getattr(self, name))
        if self.prior_share is not None:
            refuse_fraction("prior_share", self.prior_share)

    @property
    def total_minutes(self) -> float | None:
        """The time to train for, or `None` when steps are counted."""
        return None if self.steps is not None else (self.minutes or DEFAULT_MINUTES)

    def to_json(self) -> dict[str, Any]:
        """The fields by name, as JSON knows them; those that earlier versions did not have only where they are set."""
        return {name: value for name, value in asdict(self).items() if (name, value) not in _LATER}


def _refuse_rate(rate: float) -> None:
    if not 0 < rate < math.inf:
        raise ModelError(
            needed="a learning rate above 0", found=f"--learning-rate {rate:g}", next_step="use --learning-rate 0.0001"
        )
