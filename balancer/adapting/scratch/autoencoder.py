"""The first phase: an autoencoder of pictures, and the latents of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from balancer.adapting.common import rng
from balancer.adapting.common.class_mixing import sampling_weights
from balancer.adapting.common.data_parallel import team_of
from balancer.adapting.common.device import TrainingDevice
from balancer.adapting.common.image_tensors import ImageTensors
from balancer.adapting.common.losses import LATENT_WEIGHT, latent_penalty, reconstruction_loss
from balancer.adapting.common.train_loop import Batch, Trainer, TrainState
from balancer.adapting.common.train_state import load_tensors
from balancer.adapting.scratch.networks import build_autoencoder, make_grey
from balancer.adapting.scratch.phases import AUTOENCODER, Run, helping, learn, new_networks, new_trainer
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.adapting.scratch.start import load_autoencoder
from balancer.files import write_whole

LATENT_NOISE = 0.1
"""Standard deviation of what is added to the latents while learning: the denoiser will not be exact either."""

LATENTS_SHARE = 0.25
"""Of the time that is left after the autoencoder, what computing latents may take at most."""


def train_autoencoder(run: Run, pictures: ImageTensors) -> tuple[Any, TrainState]:
    """The averaged autoencoder, and how long it learned."""
    if run.settings.slower:  # it is taken as it is
        model: Any = _networks(run)[AUTOENCODER]
        return model.eval(), TrainState(fraction=1.0, loss=0.0)
    weights = sampling_weights(run.balanced_by(run.samples))

    def draw(step: int) -> Batch:
        return _draw(run, pictures, weights, step)

    learner = _learner(run, draw)
    with team_of(run.devices, partial(_helper, run.settings)) as team:
        learner.shared = None if team is None else team.gradients
        done = learn(run, AUTOENCODER, learner)
    autoencoder: Any = learner.average[AUTOENCODER]
    make_grey(autoencoder)
    return autoencoder, done


def _networks(run: Run) -> nn.ModuleDict:
    networks = new_networks(run, AUTOENCODER, {AUTOENCODER: lambda: build_autoencoder(run.settings)})
    if run.settings.start is not None:
        load_autoencoder(networks[AUTOENCODER], Path(run.settings.start))
    return networks


def _learner(run: Run, draw: Callable[[int], Batch]) -> Trainer:
    networks = _networks(run)
    model: Any = networks[AUTOENCODER]

    def loss(batch: Tensor, noise: Tensor) -> Tensor:
        with run.machine.autocast():
            latents = model.encoder(batch)
            decoded = model.decoder(latents + LATENT_NOISE * noise)
        grey, wanted = decoded.float().mean(dim=1, keepdim=True), batch[:, :1]
        return reconstruction_loss(grey, wanted) + LATENT_WEIGHT * latent_penalty(latents)

    return new_trainer(run, AUTOENCODER, networks, draw, loss)


def _helper(settings: ScratchSettings, machine: TrainingDevice) -> Trainer:
    """What another process needs for its part of a batch."""
    run = helping(replace(settings, start=None), machine)  # its weights come with every batch
    return _learner(run, lambda step: ())


def scaled_latents(run: Run, autoencoder: Any, pictures: ImageTensors) -> tuple[Tensor, list[int]]:
    """Latents, (n, channels, h, w) on the CPU, of unit variance, and the places of their images among the samples.

    They are all, unless minutes are counted and too few are left; then of each class some. The autoencoder's config
    keeps their scale.
    """
    path = run.work / "latents.safetensors"
    if not path.exists():
        encoded, places = _encode(run, autoencoder, pictures)
        write_whole(path, save({"latents": encoded, "places": torch.tensor(places)}))
    kept = load_tensors(path, run.work)
    latents = kept["latents"]
    scale = 1 / float(latents.double().std())
    autoencoder.register_to_config(scaling_factor=scale)
    return latents * scale, kept.get("places", torch.arange(len(latents))).tolist()


def _draw(run: Run, pictures: ImageTensors, weights: Tensor, step: int) -> Batch:
    settings, cells = run.settings, run.settings.size // run.settings.factor
    chance = rng.generator(settings.seed, AUTOENCODER, step)
    batch = pictures.batch(rng.draw_indices(weights, settings.autoencoder_batch_size, chance))
    noise = torch.randn(len(batch), settings.latent_channels, cells, cells, generator=chance)
    return run.machine.send(batch, noise)


@torch.no_grad()
def _encode(run: Run, autoencoder: Any, pictures: ImageTensors) -> tuple[Tensor, list[int]]:
    order, size = _class_by_class(run.balanced_by(run.samples)), run.settings.batch_size
    until, encoded = run.time_for(LATENTS_SHARE), []
    for first in range(0, len(order), size):
        batch = pictures.batch(torch.tensor(order[first : first + size])).to(run.machine.device)
        encoded.append(autoencoder.encode(batch).latents.float().cpu().contiguous())
        run.progress("latents", min(first + size, len(order)), len(order), "")
        if run.clock.seconds() > until:
            break
    latents = torch.cat(encoded)
    places = sorted(range(len(latents)), key=lambda row: order[row])
    return latents[places].contiguous(), sorted(order[: len(latents)])


def _class_by_class(labels: Sequence[str]) -> list[int]:
    """The places of all images: the first of each class, then the second of each, so that none is missing early.

    >>> _class_by_class(["a", "a", "a", "b"])
    [0, 3, 1, 2]
    """
    seen: Counter[str] = Counter()
    ranks = []
    for label in labels:
        ranks.append(seen[label])
        seen[label] += 1
    return sorted(range(len(labels)), key=lambda place: ranks[place])
