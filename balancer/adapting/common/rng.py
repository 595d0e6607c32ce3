"""Everything random about training, each draw a pure function of the seed, what it is for, and the step."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def generator(seed: int, purpose: str, step: int) -> torch.Generator:
    """The random generator of one step, on the CPU so that every device draws the same.

    >>> a, b = (torch.rand(1, generator=generator(0, "noise", step)) for step in (7, 7))
    >>> bool(a == b)
    True
    """
    digest = hashlib.sha256(f"{seed}\x00{purpose}\x00{step}".encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def draw_indices(weights: Tensor, count: int, chance: torch.Generator) -> Tensor:
    """The images of one batch, (count,), drawn with replacement."""
    return torch.multinomial(weights, count, replacement=True, generator=chance)


def draw_timesteps(count: int, total: int, chance: torch.Generator) -> Tensor:
    """Noise levels of one batch, (count,) of 0 to total - 1, spread evenly over the whole range.

    One shared offset instead of independent draws lowers the variance of the loss (Kingma et al. 2021, "Variational
    Diffusion Models", appendix I.1).

    >>> sorted((draw_timesteps(4, 1000, generator(0, "t", 0)) // 250).tolist())
    [0, 1, 2, 3]
    """
    offset = torch.rand((), generator=chance, dtype=torch.float64)
    places = torch.randperm(count, generator=chance)
    shares = (offset + places / count) % 1
    return (shares * total).long().clamp(max=total - 1)
