"""The networks of a small Stable Diffusion, and the pipeline that holds them."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderTiny,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)

from balancer.adapting.scratch.settings import ScratchSettings

TIMESTEPS = 1000
_HEADS = 4


def build_autoencoder(settings: ScratchSettings) -> Any:
    """An autoencoder from (N, 3, size, size) in [-1, 1] to (N, channels, size / factor, size / factor).

    `AutoencoderTiny`, without attention and normalisation, learns several times as many pictures a second as
    `AutoencoderKL`. Its three colour channels start equal, so that they stay so: what comes out is grey.
    """
    stages = settings.factor.bit_length()
    model = AutoencoderTiny(
        encoder_block_out_channels=(settings.autoencoder_width,) * stages,
        decoder_block_out_channels=(settings.autoencoder_width,) * stages,
        num_encoder_blocks=(1,) + (2,) * (stages - 1),
        num_decoder_blocks=(2,) * (stages - 1) + (1,),
        latent_channels=settings.latent_channels,
    )
    make_grey(model)
    return model


@torch.no_grad()
def make_grey(autoencoder: Any) -> None:
    """Give the decoder's three colours one mean weight, so that no picture has a tint."""
    last = autoencoder.decoder.layers[-1]
    last.weight.copy_(last.weight.mean(dim=0, keepdim=True).expand_as(last.weight))
    last.bias.copy_(last.bias.mean().expand_as(last.bias))


def build_unet(settings: ScratchSettings) -> Any:
    """A `UNet2DConditionModel` on (N, channels, h, w) latents that attends to the caption below full resolution.

    The finest level has no attention, which costs most there. The caption also reaches every layer through the
    time embedding (`addition_embed_type="text"`), so that the class is learned early.
    """
    deeper = len(settings.unet_channels) - 1
    return UNet2DConditionModel(
        sample_size=settings.size // settings.factor,
        in_channels=settings.latent_channels,
        out_channels=settings.latent_channels,
        block_out_channels=settings.unet_channels,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * deeper),
        up_block_types=(*("CrossAttnUpBlock2D",) * deeper, "UpBlock2D"),
        mid_block_type="UNetMidBlock2D",
        layers_per_block=1,
        norm_num_groups=min(16, *settings.unet_channels),
        attention_head_dim=_HEADS,
        cross_attention_dim=settings.text_width,
        addition_embed_type="text",
        addition_embed_type_num_heads=_HEADS,
    )


def build_scheduler() -> Any:
    """Stable Diffusion's own noise schedule, sampled by DPM-Solver++ (Lu et al. 2022); the UNet predicts v."""
    return DPMSolverMultistepScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        algorithm_type="sde-dpmsolver++",
        use_karras_sigmas=True,
        timestep_spacing="leading",
        steps_offset=1,
    )


def build_pipeline(
    autoencoder: Any,
    text_encoder: Any,
    tokenizer: Any,
    unet: Any,
) -> Any:
    """An ordinary `StableDiffusionPipeline`, without a safety checker: that blacks out X-rays by mistake."""
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
