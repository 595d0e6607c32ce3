"""What can be set about training from scratch, checked once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from balancer.errors import ModelError

DEFAULT_MINUTES = 30.0
_DESIGN = {
    **{"autoencoder": "tiny", "edge_weight": 2.0, "noise_levels": "min-snr", "zero_terminal_snr": False},
    **{"stochastic": True, "factored": False},
}
"""How the networks are built and taught, as earlier versions recorded it: what they began can go on."""
_UNRECORDED = (("workers", 1), ("pretrain_share", None))
"""What earlier versions did not record."""
MACHINE_FIELDS = ("minutes", "device", "compile", "checkpoint_every_seconds", "sample_every")
"""What may change between two sittings of one training: it says where and how long, and not what is learned."""


@dataclass(frozen=True, slots=True)
class ScratchSettings:
    """Everything about one training from scratch; `start` is an earlier checkpoint whose networks it begins with.

    Pictures are `size` x `size` pixels. `steps` counts the optimiser's steps of both networks together, `minutes`
    the time on the clock, all of it; neither means 30 minutes. `autoencoder_share` of them goes to the autoencoder.
    `compile` allows compilation, where it pays back. `sample_every` is a fraction of the denoiser's training,
    `checkpoint_every_seconds` what a killed run may lose. `workers` processes share each batch.
    `pretrain_share`: it goes on from a pretraining, which had that share of the whole; both networks learn on at full
    rate.

    >>> ScratchSettings(steps=100).autoencoder_steps
    30
    >>> ScratchSettings().total_minutes
    30.0
    """

    size: int = 64
    steps: int | None = None
    minutes: float | None = None
    batch_size: int = 32
    seed: int = 0
    device: str = "auto"
    compile: bool = True
    learning_rate: float = 1e-3
    autoencoder_learning_rate: float = 2e-3
    autoencoder_share: float = 0.3
    autoencoder_batch_size: int = 16
    autoencoder_width: int = 64
    latent_channels: int = 4
    unet_channels: tuple[int, ...] = (64, 128, 192)
    text_width: int = 128
    text_layers: int = 2
    vocabulary: int = 2400
    caption_dropout: float = 0.1
    average_decay: float = 0.999
    checkpoint_every_seconds: float = 120.0
    sample_every: float = 0.25
    start: str | None = None
    workers: int = 1
    pretrain_share: float | None = None

    def __post_init__(self) -> None:
        refuse_steps_and_minutes(self.steps, self.minutes)
        _refuse_size(self.size, self.factor * 2 ** (len(self.unet_channels) - 1))
        refuse_small("steps", self.steps, 2)
        refuse_small("batch_size", self.batch_size, 1)
        refuse_small("workers", self.workers, 1)
        refuse_small("autoencoder_batch_size", self.autoencoder_batch_size, 1)
        refuse_small("minutes", self.minutes, 0.01)
        refuse_fraction("autoencoder_share", self.autoencoder_share)
        refuse_fraction("sample_every", self.sample_every)
        refuse_fraction("caption_dropout", self.caption_dropout)

    @property
    def factor(self) -> int:
        """Pixels that one latent cell covers along an edge: 4, and 8 above 128 pixels."""
        return 4 if self.size <= 128 else 8

    @property
    def slower(self) -> bool:
        """Whether it goes on from what was learned of a collection before, and changes it by small steps."""
        return self.start is not None and self.pretrain_share is None

    @property
    def total_minutes(self) -> float | None:
        """The time to train for, or `None` when steps are counted."""
        return None if self.steps is not None else (self.minutes or DEFAULT_MINUTES)

    @property
    def autoencoder_steps(self) -> int | None:
        """The autoencoder's steps, or `None` when time is counted."""
        return None if self.steps is None else min(self.steps - 1, max(1, round(self.steps * self.autoencoder_share)))

    def to_json(self) -> dict[str, Any]:
        """The fields by name, as JSON knows them; without the place that `start` is, and what is left as usual."""
        fields = {each[0]: each[1] for each in asdict(self).items() if each[0] != "start" and each not in _UNRECORDED}
        return {"design": _DESIGN, **{name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}}


def refuse_steps_and_minutes(steps: int | None, minutes: float | None) -> None:
    """Raise a ModelError where steps and minutes are given."""
    if steps is not None and minutes is not None:
        raise ModelError(
            needed="a number of steps or of minutes",
            found=f"both: {steps} steps and {minutes:g} minutes",
            next_step="give --steps or --minutes, not both",
        )


def _refuse_size(size: int, multiple: int) -> None:
    if size <= 0 or size % multiple:
        raise ModelError(
            needed=f"an image size that is a multiple of {multiple} pixels, by which the networks reduce it",
            found=str(size),
            next_step=f"use --size {max(multiple, round(size / multiple) * multiple)}",
        )


def refuse_small(name: str, value: float | None, least: float) -> None:
    """Raise a ModelError where a setting is given and below the least it may be."""
    if value is not None and not value >= least:
        raise ModelError(
            needed=f"{name} of at least {least:g}",
            found=f"{value:g}",
            next_step=f"increase --{name.replace('_', '-')}",
        )


def refuse_fraction(name: str, value: float) -> None:
    """Raise a ModelError where a share is not between 0 and 1."""
    if not 0 < value < 1:
        raise ModelError(
            needed=f"a share above 0 and below 1 for --{name.replace('_', '-')}",
            found=f"{value:g}",
            next_step=f"use --{name.replace('_', '-')} 0.5, or leave it out for the default",
        )
