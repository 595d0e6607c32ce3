"""How the networks of a training from scratch are built and taught: the choices that are screened by short runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from balancer.errors import ModelError

EDGE_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Architecture:
    """The choices; the defaults are what training from scratch uses. They are no options of the command line.

    `autoencoder` is diffusers' `AutoencoderTiny` or `AutoencoderKL`. `edge_weight` is that of the edges in the
    reconstruction loss, 0 for grey values alone. `noise_levels` are drawn evenly and weighed by "min-snr" (Hang et al.
    2023) or left "even", or drawn logit-normally, mostly in the "middle" (Esser et al. 2024): that is ahead after 1,000
    steps and behind after 4,000. `zero_terminal_snr` ends the schedule in pure noise (Lin et al. 2023), which needs
    "even": the others hardly teach that last level. `stochastic` has the checkpoint drawn by the solver that adds noise
    at each step: what learnt for so short a time draws blurs by the other. `factored` lets all classes begin as one,
    says of a share of images only what all classes have in common, and so lets a rare class borrow their anatomy.

    >>> Architecture(zero_terminal_snr=True, noise_levels="even").edge_weight
    2.0
    """

    autoencoder: Literal["tiny", "kl"] = "tiny"
    edge_weight: float = EDGE_WEIGHT
    noise_levels: Literal["middle", "min-snr", "even"] = "min-snr"
    zero_terminal_snr: bool = False
    stochastic: bool = True
    factored: bool = False

    def __post_init__(self) -> None:
        if self.zero_terminal_snr and self.noise_levels != "even":
            raise ModelError(
                needed="even noise levels with zero_terminal_snr, else the last level is never trained",
                found=self.noise_levels,
                next_step="leave zero_terminal_snr out; balance adapt --help lists what can be chosen",
            )


USUAL = Architecture()
