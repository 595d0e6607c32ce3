"""Small real things for the tests: an X-ray folder, and Stable Diffusion pipelines built from configurations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def write_xrays(root: Path, counts: Mapping[str, int], size: tuple[int, int] = (32, 32), suffix: str = ".png") -> Path:
    """`root/LABEL/pNNN-K.png`: two images a patient, gradients with noise, each different."""
    for number, (label, count) in enumerate(counts.items()):
        (root / label).mkdir(parents=True)
        for index in range(count):
            chance = np.random.default_rng([number, index])
            ramp = np.linspace(30 + 10 * number, 200, size[0])[None, :] + chance.normal(0, 12, (size[1], size[0]))
            name = f"p{number}{index // 2:03}-{index % 2}{suffix}"
            Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).save(root / label / name)
    return root


def write_pipeline(folder: Path, *, xl: bool = False) -> Path:
    """A Stable Diffusion (or XL) of a few thousand random weights that draws 32 x 32 pixels."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipe = _xl_pipeline(folder) if xl else _pipeline(folder)
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


def write_lora(folder: Path, checkpoint: Path) -> Path:
    """A LoRA adapter for the UNet of a checkpoint, with weights that change what it draws."""
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from peft import LoraConfig, get_peft_model_state_dict

    unet = UNet2DConditionModel.from_pretrained(checkpoint / "unet", use_safetensors=True)
    unet.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"]))
    chance = torch.Generator().manual_seed(0)
    state = {
        name: torch.randn(value.shape, generator=chance) for name, value in get_peft_model_state_dict(unet).items()
    }
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=state, safe_serialization=True)
    return folder


def _pipeline(folder: Path) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae=_autoencoder(),
        text_encoder=_text_encoder("CLIPTextModel"),
        tokenizer=_tokenizer(),
        unet=_unet(32),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _xl_pipeline(folder: Path) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionXLPipeline

    extra = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
    return StableDiffusionXLPipeline(
        vae=_autoencoder(),
        text_encoder=_text_encoder("CLIPTextModel"),
        text_encoder_2=_text_encoder("CLIPTextModelWithProjection"),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        unet=_unet(64, **extra, projection_class_embeddings_input_dim=32 + 6 * 8),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
    )


def _unet(cross_attention_dim: int, **extra: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=4,
        cross_attention_dim=cross_attention_dim,
        **extra,
    )


def _autoencoder() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=32,
    )


def _text_encoder(kind: str) -> Any:
    import transformers

    config = transformers.CLIPTextConfig(
        vocab_size=len(_tokenizer()),
        hidden_size=32,
        projection_dim=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return getattr(transformers, kind)(config)


def _tokenizer() -> Any:
    """A byte-pair vocabulary of the packaged prompts, since single letters would fill 77 tokens at once."""
    from balancer.adapt.text import build_tokenizer, train_vocabulary
    from balancer.prompts import load_pack

    return build_tokenizer(*train_vocabulary({"normal": load_pack("chest"), "nodule": load_pack("chest")}, 1200))
