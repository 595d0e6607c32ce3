"""Small real things for the tests: an X-ray folder, and Stable Diffusion pipelines built from configurations."""

from __future__ import annotations

import re
import shutil
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


def write_kohya_lora(folder: Path, checkpoint: Path) -> Path:
    """The adapter of `write_lora` under the names that kohya's scripts give layers."""
    from safetensors.torch import load_file, save_file

    names = {"lora_A": "lora_down", "lora_B": "lora_up"}
    layers = load_file(next(write_lora(folder / "plain", checkpoint).iterdir()))
    found = {}
    for name, value in layers.items():
        layer, kind, _ = name.removeprefix("unet.").rsplit(".", 2)
        key = f"lora_unet_{layer.replace('.', '_')}"
        found |= {f"{key}.{names[kind]}.weight": value, f"{key}.alpha": value.new_tensor(2.0)}
    save_file(found, folder / "kohya.safetensors")
    return folder / "kohya.safetensors"


def write_single_file(path: Path, checkpoint: Path) -> Path:
    """The same weights in one file under the names of the original Stable Diffusion, its configuration beside it."""
    from safetensors.torch import load_file, save_file

    def weights(part: str) -> dict[str, Any]:
        return load_file(next((checkpoint / part).glob("*.safetensors")))

    unet = {"model.diffusion_model." + _renamed(name, _UNET_NAMES): value for name, value in weights("unet").items()}
    vae = {"first_stage_model." + _renamed(name, _VAE_NAMES): value for name, value in weights("vae").items()}
    vae = {name: value[:, :, None, None] if _is_attention(name, value) else value for name, value in vae.items()}
    words = ((name.removeprefix("text_model."), value) for name, value in weights("text_encoder").items())
    text = {f"cond_stage_model.transformer.text_model.{name}": value for name, value in words}
    save_file({name: value.contiguous() for name, value in (unet | vae | text).items()}, path)
    shutil.copytree(checkpoint, path.with_suffix(""), ignore=shutil.ignore_patterns("*.safetensors"))
    return path


_UNET_NAMES = (
    (r"^conv_in\.", "input_blocks.0.0."),
    (r"^time_embedding\.linear_1\.", "time_embed.0."),
    (r"^time_embedding\.linear_2\.", "time_embed.2."),
    (r"^conv_norm_out\.", "out.0."),
    (r"^conv_out\.", "out.2."),
    (r"^down_blocks\.0\.resnets\.0\.", "input_blocks.1.0."),
    (r"^down_blocks\.0\.downsamplers\.0\.conv\.", "input_blocks.2.0.op."),
    (r"^down_blocks\.1\.resnets\.0\.", "input_blocks.3.0."),
    (r"^down_blocks\.1\.attentions\.0\.", "input_blocks.3.1."),
    (r"^mid_block\.resnets\.0\.", "middle_block.0."),
    (r"^mid_block\.attentions\.0\.", "middle_block.1."),
    (r"^mid_block\.resnets\.1\.", "middle_block.2."),
    (r"^up_blocks\.0\.resnets\.(\d)\.", r"output_blocks.\1.0."),
    (r"^up_blocks\.0\.attentions\.(\d)\.", r"output_blocks.\1.1."),
    (r"^up_blocks\.0\.upsamplers\.0\.conv\.", "output_blocks.1.2.conv."),
    (r"^up_blocks\.1\.resnets\.0\.", "output_blocks.2.0."),
    (r"^up_blocks\.1\.resnets\.1\.", "output_blocks.3.0."),
    (r"\.(\d)\.norm1\.(weight|bias)$", r".\1.in_layers.0.\2"),
    (r"\.(\d)\.conv1\.", r".\1.in_layers.2."),
    (r"\.time_emb_proj\.", ".emb_layers.1."),
    (r"\.(\d)\.norm2\.(weight|bias)$", r".\1.out_layers.0.\2"),
    (r"\.(\d)\.conv2\.", r".\1.out_layers.3."),
    (r"\.conv_shortcut\.", ".skip_connection."),
)
_VAE_NAMES = (
    (r"down_blocks\.(\d)\.resnets\.", r"down.\1.block."),
    (r"down_blocks\.(\d)\.downsamplers\.0\.", r"down.\1.downsample."),
    (r"up_blocks\.0\.resnets\.", "up.1.block."),
    (r"up_blocks\.0\.upsamplers\.0\.", "up.1.upsample."),
    (r"up_blocks\.1\.resnets\.", "up.0.block."),
    (r"mid_block\.resnets\.0\.", "mid.block_1."),
    (r"mid_block\.resnets\.1\.", "mid.block_2."),
    (r"mid_block\.attentions\.0\.", "mid.attn_1."),
    (r"attn_1\.group_norm\.", "attn_1.norm."),
    (r"attn_1\.to_([qkv])\.", r"attn_1.\1."),
    (r"attn_1\.to_out\.0\.", "attn_1.proj_out."),
    (r"conv_norm_out\.", "norm_out."),
    (r"conv_shortcut\.", "nin_shortcut."),
)


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        if "transformer_blocks" not in name or pattern.startswith("^"):
            name = re.sub(pattern, replacement, name)
    return name


def _is_attention(name: str, value: Any) -> bool:
    return "attn_1" in name and ".norm." not in name and value.ndim == 2


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
    from balancer.adapting.scratch.captions import build_tokenizer, train_vocabulary
    from balancer.prompting.packs import load_pack

    return build_tokenizer(*train_vocabulary({"normal": load_pack("chest"), "nodule": load_pack("chest")}, 2400))
