"""Small models of the families with transformers, by diffusers' and transformers' own classes, with random weights."""

from __future__ import annotations

from functools import cache
from inspect import signature
from pathlib import Path
from string import printable
from typing import Any

from tests.support.tiny_models import _autoencoder, _text_encoder, _tokenizer


def write_sana(folder: Path) -> Path:
    """A Sana of some ten thousand random weights that draws 32 x 32 pixels."""
    import torch
    from diffusers import AutoencoderDC, DPMSolverMultistepScheduler, SanaPipeline, SanaTransformer2DModel
    from transformers import Gemma2Config, Gemma2Model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = _trained("GemmaTokenizer")
        reads = Gemma2Config(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            max_position_embeddings=2048,
        )
        pipe = SanaPipeline(
            tokenizer=tokenizer,
            text_encoder=Gemma2Model(reads),
            vae=AutoencoderDC(
                latent_channels=4,
                attention_head_dim=2,
                encoder_block_types=("ResBlock", "ResBlock"),
                decoder_block_types=("ResBlock", "ResBlock"),
                encoder_block_out_channels=(8, 8),
                decoder_block_out_channels=(8, 8),
                encoder_qkv_multiscales=((), ()),
                decoder_qkv_multiscales=((), ()),
                encoder_layers_per_block=(1, 1),
                decoder_layers_per_block=(1, 1),
                downsample_block_type="conv",
                upsample_block_type="interpolate",
                decoder_norm_types="rms_norm",
                decoder_act_fns="silu",
                scaling_factor=0.41407,
            ),
            transformer=SanaTransformer2DModel(
                in_channels=4,
                out_channels=4,
                num_layers=1,
                num_attention_heads=2,
                attention_head_dim=8,
                num_cross_attention_heads=2,
                cross_attention_head_dim=8,
                cross_attention_dim=16,
                caption_channels=16,
                sample_size=16,
            ),
            scheduler=DPMSolverMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, beta_schedule="linear"
            ),
        )
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


def write_sd3(folder: Path) -> Path:
    """A Stable Diffusion 3 of some ten thousand random weights that draws 32 x 32 pixels."""
    import torch
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = _trained("T5Tokenizer")
        pipe = StableDiffusion3Pipeline(
            transformer=SD3Transformer2DModel(
                sample_size=16,
                patch_size=2,
                in_channels=8,
                out_channels=8,
                num_layers=2,
                attention_head_dim=8,
                num_attention_heads=2,
                joint_attention_dim=64,
                caption_projection_dim=16,
                pooled_projection_dim=64,
                pos_embed_max_size=16,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=AutoencoderKL(
                block_out_channels=(8, 16),
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                norm_num_groups=8,
                latent_channels=8,
                sample_size=32,
                scaling_factor=1.5305,
                shift_factor=0.0609,
                use_quant_conv=False,
                use_post_quant_conv=False,
            ),
            text_encoder=_text_encoder("CLIPTextModelWithProjection"),
            tokenizer=_tokenizer(),
            text_encoder_2=_text_encoder("CLIPTextModelWithProjection"),
            tokenizer_2=_tokenizer(),
            text_encoder_3=_t5(tokenizer, 64),
            tokenizer_3=tokenizer,
        )
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


def write_pixart(folder: Path) -> Path:
    """A PixArt-Sigma of some ten thousand random weights that draws 32 x 32 pixels."""
    import torch
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = _trained("T5Tokenizer")
        pipe = PixArtSigmaPipeline(
            tokenizer=tokenizer,
            text_encoder=_t5(tokenizer, 16),
            vae=_autoencoder(),
            transformer=PixArtTransformer2DModel(
                num_attention_heads=2,
                attention_head_dim=8,
                in_channels=4,
                out_channels=8,
                num_layers=1,
                cross_attention_dim=16,
                caption_channels=16,
                sample_size=16,
                use_additional_conditions=False,
            ),
            scheduler=DPMSolverMultistepScheduler(beta_schedule="linear", beta_start=0.0001, beta_end=0.02),
        )
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


def _t5(tokenizer: Any, width: int) -> Any:
    from transformers import T5Config, T5EncoderModel

    reads = T5Config(vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return T5EncoderModel(reads)


@cache
def _trained(name: str) -> Any:
    """A tokenizer of this class with a vocabulary of the packaged prompts and of Sana's instruction."""
    import transformers
    from diffusers import SanaPipeline

    from balancer.adapting.scratch.captions import texts
    from balancer.prompting.packs import load_pack

    words = sorted(texts({"nodule": load_pack("chest")}))
    instruction = signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default
    return getattr(transformers, name)().train_new_from_iterator([words, list(printable), 99 * instruction], 900)


FAMILIES = {"sana": write_sana, "sd3": write_sd3, "pixart": write_pixart}
