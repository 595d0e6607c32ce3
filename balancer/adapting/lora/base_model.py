"""The base model on one device: its networks with the new LoRA layers, and their predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from balancer.adapting.common.device import TrainingDevice
from balancer.adapting.common.losses import PREDICTIONS, denoising_losses, noised
from balancer.adapting.lora.captions import TextEncoders
from balancer.adapting.lora.layers import LoraWeights
from balancer.adapting.lora.settings import LoraSettings
from balancer.errors import ModelError
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.stable_diffusion import SamplingOptions, StableDiffusion, resolve_config
from balancer.jobs import GenerationConfig


@dataclass(frozen=True, slots=True)
class LoraModel:
    """A base that learns. `alpha_bars`, (timesteps,), are the signal's share at each noise level."""

    machine: TrainingDevice
    generator: StableDiffusion
    layers: LoraWeights
    readers: TextEncoders
    alpha_bars: Tensor
    prediction: str
    config: GenerationConfig
    learns_words: bool

    @property
    def unet(self) -> Any:
        """The UNet, with the new layers in it."""
        return self.generator.pipe.unet

    def losses(
        self, clean: Tensor, noise: Tensor, times: Tensor, *condition: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """The weighted denoising loss of each image, (N,).

        `condition` is the output of the text encoders, or tokens for them where they learn too; then, for XL, its
        six sizes. `weights`, (N, 1, h, w), say how much the squared error of each cell counts.
        """
        alpha_bar = self.alpha_bars[times]
        with self.machine.autocast():
            predicted = self._predict(noised(clean, noise, alpha_bar), times, condition)
        if weights is not None:  # what is predicted is linear in image and noise, and so is its error
            predicted, clean, noise = (each * weights.sqrt() for each in (predicted, clean, noise))
        return denoising_losses(self.prediction, predicted, clean, noise, alpha_bar)

    def _predict(self, latents: Tensor, times: Tensor, condition: tuple[Tensor, ...]) -> Tensor:
        is_xl = len(self.readers.encoders) == 2
        words, sizes = (condition[:-1], condition[-1]) if is_xl else (condition, None)
        if self.learns_words:
            words = self.readers.encode(words)
        extra = {"text_embeds": words[1], "time_ids": sizes} if is_xl else None
        predicted: Tensor = self.unet(
            latents.to(getattr(torch, self.config.dtype)),
            times,
            encoder_hidden_states=words[0],
            added_cond_kwargs=extra,
            return_dict=False,
        )[0]
        return predicted

    def save_memory(self) -> bool:
        """Recompute what a backward pass needs instead of keeping it; whether that was not done already."""
        if self.unet.is_gradient_checkpointing:
            return False
        self.unet.enable_gradient_checkpointing()
        if self.learns_words:
            for encoder in self.readers.encoders:
                encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return True


def load_base(checkpoint: Checkpoint, settings: LoraSettings, machine: TrainingDevice) -> LoraModel:
    """Load a base and add its new layers.

    Raises:
        ModelError: it cannot be loaded, or cannot be taught this way.
    """
    usual = SamplingOptions(settings.look_steps, size=settings.size, device=str(machine.device))
    config = replace(resolve_config(checkpoint, None, usual), dtype="bfloat16" if machine.bfloat16 else "float32")
    generator = StableDiffusion(checkpoint, None, config, str(machine.device), again=False)
    pipe = generator.pipe
    pipe.vae.float()
    prediction = _prediction(pipe, checkpoint)
    _require_plain_unet(pipe, checkpoint)
    layers = LoraWeights.add(pipe, settings.rank, settings.text_encoder, settings.seed)
    if machine.device.type == "cuda":
        pipe.unet.to(memory_format=torch.channels_last)
    alpha_bars = pipe.scheduler.alphas_cumprod.float().to(machine.device)
    readers = TextEncoders.of(pipe)
    return LoraModel(machine, generator, layers, readers, alpha_bars, prediction, config, settings.text_encoder)


def adapting_device(machine: TrainingDevice) -> TrainingDevice:
    """The device in the precision that adapters are trained in: bfloat16 on a GPU that has it, else float32."""
    return TrainingDevice(machine.device, machine.bfloat16 and machine.device.type == "cuda")


def _prediction(pipe: Any, checkpoint: Checkpoint) -> str:
    found = pipe.scheduler.config.get("prediction_type", "epsilon")
    if found in PREDICTIONS:
        return str(found)
    raise ModelError(
        needed=f"a base that predicts {', '.join(PREDICTIONS[:2])} or {PREDICTIONS[2]}",
        found=f"{checkpoint.ref.name}, whose scheduler has {found}",
        next_step="adapt a Stable Diffusion 1.x, 2.x or XL: balance adapt --base FOLDER",
    )


def _require_plain_unet(pipe: Any, checkpoint: Checkpoint) -> None:
    wanted, found = pipe.vae.config.latent_channels, pipe.unet.config.in_channels
    if wanted != found:
        raise ModelError(
            needed=f"a base that generates from text only: a UNet with {wanted} channels",
            found=f"{checkpoint.ref.name}, whose UNet has {found}, as for inpainting",
            next_step="adapt the standard model of the same family: balance adapt --base FOLDER",
        )
