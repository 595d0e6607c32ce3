"""The base model on one device: its networks with the new LoRA layers, and their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from balancer.adapting.common.device import TrainingDevice
from balancer.adapting.common.losses import PREDICTIONS, Diffusion, Flow, flow_sigmas
from balancer.adapting.lora.captions import TextEncoders
from balancer.adapting.lora.layers import LoraWeights
from balancer.adapting.lora.settings import LoraSettings
from balancer.errors import ModelError
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.families import NAMES, Family
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.scheduler import flow_shift, is_flow
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.jobs import GenerationConfig
from balancer.prompting.prompts import Prompt

_CALLED = {"unet": "UNet", "transformer": "transformer"}


@dataclass(frozen=True, slots=True)
class LoraModel:
    """A base that learns: what it draws with, its new layers, and the objective that they are taught by."""

    machine: TrainingDevice
    generator: StableDiffusion
    layers: LoraWeights
    readers: TextEncoders
    objective: Diffusion | Flow
    config: GenerationConfig
    learns_words: bool

    @property
    def family(self) -> Family:
        """How models of its kind are used."""
        return self.generator.family

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the images that it learns from, in pixels."""
        return self.config.width, self.config.height

    @property
    def denoiser(self) -> Any:
        """The UNet or transformer, with the new layers in it."""
        return getattr(self.generator.pipe, self.family.denoiser)

    def losses(
        self, clean: Tensor, noise: Tensor, times: Tensor, *condition: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """The weighted denoising loss of each image, (N,).

        `condition` is the output of the text encoders, or tokens for them where they learn too; then, for XL, its
        six sizes. `weights`, (N, 1, h, w), say how much the squared error of each cell counts.
        """
        with self.machine.autocast():
            predicted = self._predict(self.objective.noised(clean, noise, times), self.objective.told(times), condition)
        if weights is not None:  # what is predicted is linear in image and noise, and so is its error
            predicted, clean, noise = (each * weights.sqrt() for each in (predicted, clean, noise))
        return self.objective.losses(predicted, clean, noise, times)

    def _predict(self, latents: Tensor, times: Tensor, condition: tuple[Tensor, ...]) -> Tensor:
        if not self.family.whole:
            return self._predict_apart(latents, times, condition)
        is_xl = len(self.readers.encoders) == 2
        words, sizes = (condition[:-1], condition[-1]) if is_xl else (condition, None)
        if self.learns_words:
            words = self.readers.encode(words)
        extra = {"text_embeds": words[1], "time_ids": sizes} if is_xl else None
        predicted: Tensor = self.denoiser(
            latents.to(getattr(torch, self.config.dtype)),
            times,
            encoder_hidden_states=words[0],
            added_cond_kwargs=extra,
            return_dict=False,
        )[0]
        return predicted

    def _predict_apart(self, latents: Tensor, times: Tensor, condition: tuple[Tensor, ...]) -> Tensor:
        told = dict(zip(self.family.condition, condition, strict=True))
        scale = getattr(self.denoiser.config, "timestep_scale", 1.0)
        kind = getattr(torch, self.config.dtype)
        predicted: Tensor = self.denoiser(latents.to(kind), timestep=times * scale, **told, return_dict=False)[0]
        return predicted[:, : latents.shape[1]]  # beside it some predict a variance

    def save_memory(self) -> bool:
        """Recompute what a backward pass needs instead of keeping it; whether that was not done already."""
        if self.denoiser.is_gradient_checkpointing:
            return False
        self.denoiser.enable_gradient_checkpointing()
        if self.learns_words:
            for encoder in self.readers.encoders:
                encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return True


def load_base(
    checkpoint: Checkpoint, settings: LoraSettings, machine: TrainingDevice, expected: Sequence[Prompt] = ()
) -> LoraModel:
    """Load a base and add its new layers; `expected` are the prompts that samples are drawn from.

    Raises:
        ModelError: it cannot be loaded, or cannot be taught this way.
    """
    usual = SamplingOptions(settings.look_steps, size=settings.size, device=str(machine.device), aspect=settings.aspect)
    config = replace(resolve_config(checkpoint, None, usual), dtype="bfloat16" if machine.bfloat16 else "float32")
    generator = StableDiffusion(checkpoint, None, config, str(machine.device), expected=expected, again=False)
    pipe = generator.pipe
    pipe.vae.float()
    objective = _objective(pipe, checkpoint)
    _require_plain_denoiser(pipe, checkpoint)
    layers = LoraWeights.add(pipe, checkpoint.family, settings.rank, settings.text_encoder, settings.seed)
    if machine.device.type == "cuda":
        getattr(pipe, checkpoint.family.denoiser).to(memory_format=torch.channels_last)
    readers = TextEncoders.of(pipe)
    objective = objective.to(machine.device)
    return LoraModel(machine, generator, layers, readers, objective, config, settings.text_encoder)


def adapting_device(machine: TrainingDevice) -> TrainingDevice:
    """The device in the precision that adapters are trained in: bfloat16 on a GPU that has it, else float32."""
    return TrainingDevice(machine.device, machine.bfloat16 and machine.device.type == "cuda")


def _objective(pipe: Any, checkpoint: Checkpoint) -> Diffusion | Flow:
    """What the base was taught, by its scheduler."""
    config = pipe.scheduler.config
    flow, found = checkpoint.family.flow, config.get("prediction_type", "epsilon")
    if flow and is_flow(config):
        return Flow(flow_sigmas(config.num_train_timesteps, flow_shift(config)), config.num_train_timesteps)
    if not flow and found in PREDICTIONS:
        return Diffusion(pipe.scheduler.alphas_cumprod.float(), str(found))
    raise ModelError(
        needed=f"a base of {checkpoint.family.name} that predicts {'the flow' if flow else ' or '.join(PREDICTIONS)}",
        found=f"{checkpoint.ref.name}, whose scheduler has {found}",
        next_step=f"adapt a model of {NAMES}: balance adapt --base FOLDER",
    )


def require_teachable(checkpoint: Checkpoint, settings: LoraSettings) -> None:
    """Refuse to teach text encoders that do not stay in memory.

    Raises:
        ModelError: the settings ask for it.
    """
    if settings.text_encoder and not checkpoint.family.whole:
        raise ModelError(
            needed="for --text-encoder a base whose text encoders are small: Stable Diffusion 1.x, 2.x or XL",
            found=f"{checkpoint.ref.name}, {checkpoint.family.name}, whose captions are encoded before",
            next_step="adapt it without: balance adapt --base FOLDER",
        )


def _require_plain_denoiser(pipe: Any, checkpoint: Checkpoint) -> None:
    name = checkpoint.family.denoiser
    wanted, found = pipe.vae.config.latent_channels, getattr(pipe, name).config.in_channels
    if wanted != found:
        raise ModelError(
            needed=f"a base that generates from text only: a {_CALLED[name]} with {wanted} channels",
            found=f"{checkpoint.ref.name}, whose {_CALLED[name]} has {found}, as for inpainting",
            next_step="adapt the standard model of the same family: balance adapt --base FOLDER",
        )
