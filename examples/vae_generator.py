"""A generator of another family, `balance fill --model vae:FILE.safetensors`: a class-conditional VAE's decoder.

A package brings it by an entry point in its pyproject.toml:

    [project.entry-points."balancer.generators"]
    vae = "examples.vae_generator:VAE"
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from balancer.imaging.decode import GreyImage
from balancer.jobs import Job

LATENT, SIDE = 8, 32


def decoder(classes: int) -> nn.Sequential:
    """From (n, LATENT + classes), noise beside a one-hot class, to (n, SIDE * SIDE) grey values from 0 to 1."""
    return nn.Sequential(nn.Linear(LATENT + classes, 64), nn.ReLU(), nn.Linear(64, SIDE * SIDE), nn.Sigmoid())


class VAE:
    """What the entry point names; the weights' metadata say which classes they know, in order."""

    def __init__(self, weights: str, device: str, root: Path) -> None:
        self.name, self.size = Path(weights).name, (SIDE, SIDE)
        self.sha256 = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
        with safe_open(weights, "pt") as file:
            self._classes = file.metadata()["classes"].split("\n")
            self._decoder = decoder(len(self._classes))
            self._decoder.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118

    @torch.inference_mode()
    def generate(self, jobs: Sequence[Job]) -> list[GreyImage]:
        """One image a job, its noise from the job's seed alone."""
        noise = [torch.randn(LATENT, generator=torch.Generator().manual_seed(job.seed)) for job in jobs]
        classes = torch.tensor([self._classes.index(job.label) for job in jobs])
        one_hot = nn.functional.one_hot(classes, len(self._classes))
        grey = self._decoder(torch.cat([torch.stack(noise), one_hot], dim=1)).view(-1, SIDE, SIDE)
        return list(grey.mul(255).round().to(torch.uint8).numpy())
