"""How the networks of a training from scratch are built and taught: the choices that are screened by short runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from balancer.errors import ModelError

EDGE_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Design:
    """The choices; the defaults are what training from scratch uses. They are no options of the command line.

    `autoencoder` is diffusers' `AutoencoderTiny` or `AutoencoderKL`. `edge_weight` is that of the edges in the
    reconstruction loss, 0 for grey values alone. `min_snr` weighs noise levels by Hang et al. (2023).
    `zero_terminal_snr` ends the noise schedule in pure noise (Lin et al. 2023), which needs `min_snr` off: it gives
    that last step no weight. `factored` lets all classes begin as one, says of a share of the images only what all
    classes have in common, and so lets a rare class borrow their anatomy.

    >>> Design(zero_terminal_snr=True, min_snr=False).edge_weight
    2.0
    """

    autoencoder: Literal["tiny", "kl"] = "tiny"
    edge_weight: float = EDGE_WEIGHT
    min_snr: bool = True
    zero_terminal_snr: bool = False
    factored: bool = False

    def __post_init__(self) -> None:
        if self.zero_terminal_snr and self.min_snr:
            raise ModelError(
                needed="min_snr=False with zero_terminal_snr, or the last step is never learnt",
                found="both",
                next_step="leave one of the two out; balance adapt --help lists what can be chosen",
            )


USUAL = Design()
