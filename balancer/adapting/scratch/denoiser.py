"""The second phase: UNet and text encoder learn to take the noise off latents, as the caption says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from balancer.adapting.common import losses, rng
from balancer.adapting.common.class_mixing import sampling_weights
from balancer.adapting.common.data_parallel import team_of
from balancer.adapting.common.device import TrainingDevice, compiled
from balancer.adapting.common.image_tensors import STEPS, contact_sheet, draw_samples
from balancer.adapting.common.train_loop import Batch, Trainer, TrainState
from balancer.adapting.scratch import captions
from balancer.adapting.scratch.networks import TIMESTEPS, build_pipeline, build_scheduler, build_unet
from balancer.adapting.scratch.phases import DENOISER, Run, helping, learn, new_networks, new_trainer
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.adapting.scratch.start import load_denoiser
from balancer.collection.scan import Sample
from balancer.files import write_whole

_PAYS_BACK = 600.0
"""Seconds of training from which on a GPU is worth a compilation, which takes a minute or two there."""
_TRIALS = 4
_SHEET_SHARE = 0.02
"""A sheet on the way takes no more than this share of the time."""
_SAVING = 5.0
"""Seconds to leave for saving the checkpoint."""

Network = Callable[..., Any]
Loss = Callable[..., Tensor]


def train_denoiser(
    run: Run, autoencoder: Any, tokenizer: Any, latents: Tensor, samples: Sequence[Sample]
) -> tuple[nn.ModuleDict, TrainState]:
    """The averaged networks, "unet" and "text_encoder", and how long they learned; each latent is of its sample."""
    networks = _new_networks(run, tokenizer)
    weights, alpha_bars = sampling_weights(run.balanced_by(samples)), build_scheduler().alphas_cumprod

    def draw(step: int) -> Batch:
        chance = rng.generator(run.settings.seed, DENOISER, step)
        chosen = rng.draw_indices(weights, run.settings.batch_size, chance)
        times = rng.draw_timesteps(len(chosen), TIMESTEPS, chance)
        noise = torch.randn(latents[chosen].shape, generator=chance)
        labels = [samples[i].label for i in chosen]
        known = [run.known(samples[i]) for i in chosen]
        tokens = captions.tokenize(tokenizer, captions.draw_captions(run.packs, labels, step, run.settings, known))
        return run.machine.send(latents[chosen], noise, times, tokens, alpha_bars[times])

    loss = _quickest(run, networks, partial(_judged_by, run), draw)
    learner = new_trainer(run, DENOISER, networks, draw, loss)
    sheets = Sheets.of(run, autoencoder, learner.average, tokenizer)
    with team_of(run.devices, partial(_helper, run.settings, tokenizer)) as team:
        learner.shared = None if team is None else team.gradients
        done = learn(run, DENOISER, learner, sheets.draw_if_due, sheets.seconds + _SAVING)
    sheets.draw_if_due(done)  # once more, should the last sheet have been lost with a killed run
    return learner.average, done


def _judged_by(run: Run, encode: Network, unet: Network) -> Loss:
    def loss(clean: Tensor, noise: Tensor, times: Tensor, tokens: Tensor, alpha_bar: Tensor) -> Tensor:
        with run.machine.autocast():
            predicted = unet(losses.noised(clean, noise, alpha_bar), times, encode(tokens)[0])[0]
        return losses.denoising_losses("v_prediction", predicted, clean, noise, alpha_bar).mean()

    return loss


def _helper(settings: ScratchSettings, tokenizer: Any, machine: TrainingDevice) -> Trainer:
    """What another process needs for its part of a batch."""
    run = helping(replace(settings, start=None), machine)  # its weights come with every batch
    networks = _new_networks(run, tokenizer)
    loss = _judged_by(run, _any(networks, "text_encoder"), _any(networks, "unet"))
    return new_trainer(run, DENOISER, networks, lambda step: (), loss)


def _new_networks(run: Run, tokenizer: Any) -> nn.ModuleDict:
    builders = {
        "unet": lambda: build_unet(run.settings),
        "text_encoder": lambda: captions.build_text_encoder(run.settings, tokenizer),
    }
    networks = new_networks(run, DENOISER, builders)
    if run.settings.start is not None:
        load_denoiser(networks, tokenizer, Path(run.settings.start))
    if run.machine.device.type == "cpu":
        _attend_plainly(networks)
    return networks


def _attend_plainly(networks: nn.ModuleDict) -> None:
    """Attention by plain products: for so few cells and words the fused kernel's backward pass is far slower."""
    unet, encoder = (_any(networks, name) for name in ("unet", "text_encoder"))
    unet.set_attn_processor(AttnProcessor())
    encoder.set_attn_implementation("eager")


def _any(networks: nn.ModuleDict, name: str) -> Any:
    return networks[name]


def _quickest(
    run: Run, networks: nn.ModuleDict, judged_by: Callable[[Network, Network], Loss], draw: Callable[[int], Batch]
) -> Loss:
    """The loss by the networks as they are, or compiled where that pays back in the time that is left.

    On processors it was measured to take minutes and to gain nothing, with AVX2 and with AVX-512.
    """
    encoder, unet = _any(networks, "text_encoder"), _any(networks, "unet")
    plain = judged_by(encoder, unet)
    if not run.settings.compile or run.machine.device.type != "cuda":
        return plain
    batch = draw(0)
    each = _step_seconds(run, networks, plain, batch)
    if _seconds_to_come(run, each) < _PAYS_BACK:
        return plain
    run.progress(DENOISER, 0, 1, "compiling, which takes one or two minutes")
    fast = judged_by(*_compiled(run, encoder, unet, batch))
    return fast if _step_seconds(run, networks, fast, batch) < each else plain


def _compiled(run: Run, encoder: Any, unet: Any, batch: Batch) -> tuple[Network, Network]:
    clean, _, times, tokens, _ = batch
    encode = compiled(encoder, (tokens,), run.machine)
    with run.machine.autocast():
        words = encode(tokens)[0].detach().requires_grad_()
    return encode, compiled(unet, (clean, times, words), run.machine)


def _step_seconds(run: Run, networks: nn.ModuleDict, loss: Loss, batch: Batch) -> float:
    """The quickest of a few passes there and back: the first ones prepare what the others use."""
    found = []
    for _ in range(_TRIALS):
        began = run.clock.seconds()
        value = loss(*batch)
        value.backward()  # type: ignore[no-untyped-call]
        float(value.detach())  # waits for the GPU
        found.append(run.clock.seconds() - began)
    networks.zero_grad(set_to_none=True)
    return min(found)


def _seconds_to_come(run: Run, each: float) -> float:
    limit = run.limit(DENOISER)
    return (limit.steps or 0) * each if limit.seconds is None else limit.seconds


@dataclass(frozen=True, slots=True)
class Sheets:
    """Sample pictures on the way and at the end; a sheet takes about so many `seconds`, which are part of the time."""

    run: Run
    pipeline: Any
    seconds: float

    @classmethod
    def of(cls, run: Run, autoencoder: Any, average: nn.ModuleDict, tokenizer: Any) -> Sheets:
        """The sheets of a training; how long one takes is measured where time is counted."""
        networks = _any(average, "text_encoder"), tokenizer, _any(average, "unet")
        pipeline = build_pipeline(autoencoder, *networks)
        return cls(run, pipeline, 0.0 if run.settings.total_minutes is None else _sheet_seconds(run, pipeline))

    def draw_if_due(self, done: TrainState) -> None:
        """Draw the last sheet; or another on the way, where another `sample_every` of the training is done."""
        path = self.run.work / "samples" / f"{done.step:06d}.png"
        if path.exists() if done.fraction >= 1 else not self._is_due(done):
            return
        self.run.progress("samples", 0, 1, "generating sample images")
        write_whole(path, contact_sheet(draw_samples(self.pipeline, self.run.shown, self.run.settings.seed)))
        self.run.progress("samples", 1, 1, f"{self.run.work.name}/samples/{path.name}")

    def _is_due(self, done: TrainState) -> bool:
        minutes = self.run.settings.total_minutes
        if minutes is not None and self.seconds > _SHEET_SHARE * 60 * minutes:
            return False
        there = sum(1 for _ in (self.run.work / "samples").glob("*.png"))
        return int(done.fraction / self.run.settings.sample_every + 1e-9) > there


def _sheet_seconds(run: Run, pipeline: Any) -> float:
    """What a sheet will take, by one row of it in few steps; the first time prepares what the others use."""
    label, pack = next(iter(run.shown.items()))

    def timed(steps: int) -> float:
        began = run.clock.seconds()
        draw_samples(pipeline, {label: pack}, run.settings.seed, steps=steps)
        return run.clock.seconds() - began

    _, few, more = timed(2), timed(2), timed(4)
    return len(run.shown) * (few + (STEPS - 2) * max(0.0, more - few) / 2)
