"""The second phase: UNet and text encoder learn to take the noise off latents, as the caption says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from balancer.adapting.common import losses, rng
from balancer.adapting.common.device import compiled
from balancer.adapting.common.image_tensors import contact_sheet, draw_samples
from balancer.adapting.common.train_loop import Batch, Done
from balancer.adapting.scratch import captions
from balancer.adapting.scratch.networks import TIMESTEPS, build_pipeline, build_unet, signal_shares
from balancer.adapting.scratch.phases import DENOISER, Run, learn, new_learner, new_networks
from balancer.files import write_whole


def train_denoiser(run: Run, autoencoder: Any, tokenizer: Any, latents: Tensor) -> tuple[nn.ModuleDict, Done]:
    """The averaged networks, "unet" and "text_encoder", and how long they learnt."""
    networks = _new_networks(run, tokenizer)
    levels = run.settings.design.noise_levels
    weights, alpha_bars = rng.sampling_weights(run.labels), signal_shares(run.settings.design)

    def draw(step: int) -> Batch:
        chance = rng.generator(run.settings.seed, DENOISER, step)
        chosen = rng.draw_indices(weights, run.settings.batch_size, chance)
        times = rng.draw_timesteps(len(chosen), TIMESTEPS, chance, middle=levels == "middle")
        noise = torch.randn(latents[chosen].shape, generator=chance)
        labels = [run.samples[i].label for i in chosen]
        known = [run.known(run.samples[i]) for i in chosen]
        tokens = captions.tokenize(tokenizer, captions.draw_captions(run.packs, labels, step, run.settings, known))
        return run.machine.send(latents[chosen], noise, times, tokens, alpha_bars[times])

    encode, unet = _fast(run, networks, draw)

    def loss(clean: Tensor, noise: Tensor, times: Tensor, tokens: Tensor, alpha_bar: Tensor) -> Tensor:
        with run.machine.autocast():
            predicted = unet(losses.noised(clean, noise, alpha_bar), times, encode(tokens)[0])[0]
        target = losses.velocity(clean, noise, alpha_bar)
        return losses.velocity_loss(predicted, target, alpha_bar, min_snr=levels == "min-snr")

    learner = new_learner(run, DENOISER, networks, draw, loss)

    def look(done: Done) -> None:
        if _is_due(run, done):
            _draw_sheet(run, autoencoder, learner.average, tokenizer, done)

    done = learn(run, DENOISER, learner, look)
    look(done)  # once more, should the last sheet have been lost with a killed run
    return learner.average, done


def _new_networks(run: Run, tokenizer: Any) -> nn.ModuleDict:
    builders = {
        "unet": lambda: build_unet(run.settings),
        "text_encoder": lambda: captions.build_text_encoder(run.settings, tokenizer, run.packs),
    }
    networks = new_networks(run, DENOISER, builders)
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


def _fast(
    run: Run, networks: nn.ModuleDict, draw: Callable[[int], Batch]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Text encoder and UNet, compiled if that is wanted and works."""
    encoder, unet = _any(networks, "text_encoder"), _any(networks, "unet")
    if not run.settings.compile:
        return encoder, unet
    run.progress(DENOISER, 0, 1, "compiling, which takes a minute or two")
    clean, _, times, tokens, _ = draw(0)
    encode = compiled(encoder, (tokens,), run.machine)
    with run.machine.autocast():
        words = encode(tokens)[0].detach().requires_grad_()
    return encode, compiled(unet, (clean, times, words), run.machine)


def _is_due(run: Run, done: Done) -> bool:
    """Whether another `sample_every` of the training is done since the last sheet."""
    every = run.settings.sample_every
    wanted = int(done.fraction / every + 1e-9) if done.fraction < 1 else -int(-1 // every)
    return wanted > sum(1 for _ in (run.work / "samples").glob("*.png"))


def _draw_sheet(run: Run, autoencoder: Any, average: nn.ModuleDict, tokenizer: Any, done: Done) -> None:
    path = run.work / "samples" / f"{done.step:06d}.png"
    run.progress("samples", 0, 1, "drawing sample pictures")
    networks = average["text_encoder"], tokenizer, average["unet"]
    pipeline = build_pipeline(autoencoder, *networks, run.settings.design)
    write_whole(path, contact_sheet(draw_samples(pipeline, run.packs, run.settings.seed)))
    run.progress("samples", 1, 1, f"{run.work.name}/samples/{path.name}")
