"""The families of models that can generate: what the pipeline of each in diffusers is made of, and how it is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from balancer.devices import usual_precision
from balancer.errors import ModelError
from balancer.jobs import Mode

_CLIP_TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast")
_FLOW_SCHEDULERS = ("FlowMatchEulerDiscreteScheduler", "DPMSolverMultistepScheduler")


@dataclass(frozen=True, slots=True)
class Family:
    """A pipeline of diffusers, `pipeline`, as it is used here.

    `parts` are the folders that it needs, each with the classes that are known; none means any scheduler. `denoiser`
    is the part that predicts, and `layers` of it get LoRA layers. `editing` is the pipeline that begins with a real
    image, where there is one; one that `paints` can make a part of a real image anew. `encoded` names what
    `encode_prompt` gives, in order; `condition` names what of it the denoiser is given. `tokens` says how many tokens
    are read where no configuration does, by tokenizer.

    A family that is `whole` stays in memory with its text encoders, which are small and may learn too. The others'
    encode first and are let go; they are in `half` precision on a GPU, draw with their own scheduler and with
    `guidance`. A family of `flow` matching is taught so, others by diffusion. `side` divides every width and height,
    and the pipeline is called with `call`.
    """

    name: str
    pipeline: str
    editing: str | None
    denoiser: str
    parts: Mapping[str, tuple[str, ...]]
    layers: tuple[str, ...]
    encoded: tuple[str, ...]
    condition: tuple[str, ...] = ("encoder_hidden_states",)
    paints: bool = False
    whole: bool = False
    flow: bool = False
    half: str = "bfloat16"
    guidance: float | None = None
    side: int = 8
    tokens: Mapping[str, int] = field(default_factory=dict)
    call: Mapping[str, Any] = field(default_factory=dict)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """How it can generate, where its denoiser is not for inpainting alone."""
        able = {"text": True, "image": self.editing, "mix": self.editing, "inpaint": self.paints}
        return tuple(mode for mode in get_args(Mode) if able[mode])

    def precision(self, device: str) -> str:
        """The numbers that it generates with on a device where the user names none."""
        usual = usual_precision(device)
        return self.half if usual == "float16" else usual

    @property
    def text_encoders(self) -> tuple[str, ...]:
        """The parts that read prompts."""
        return tuple(part for part in self.parts if part.startswith("text_encoder"))

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """The parts that cut prompts into tokens, one for each text encoder."""
        return tuple(part for part in self.parts if part.startswith("tokenizer"))

    @property
    def weighted(self) -> tuple[str, ...]:
        """The parts that have weights."""
        return (self.denoiser, "vae", *self.text_encoders)


_SD_LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2")
_SD_PARTS: Mapping[str, tuple[str, ...]] = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL", "AutoencoderTiny"),
    "text_encoder": ("CLIPTextModel",),
    "tokenizer": _CLIP_TOKENIZERS,
    "scheduler": (),  # any scheduler's configuration will do: ours is made from it
}
_POOLED = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
_MASKED = ("prompt_embeds", "prompt_attention_mask", "negative_prompt_embeds", "negative_prompt_attention_mask")

STABLE_DIFFUSION = Family(
    name="Stable Diffusion 1.x or 2.x",
    pipeline="StableDiffusionPipeline",
    editing="StableDiffusionImg2ImgPipeline",
    denoiser="unet",
    parts=_SD_PARTS,
    layers=_SD_LAYERS,
    encoded=("prompt_embeds", "negative_prompt_embeds"),
    paints=True,
    whole=True,
    half="float16",
)
STABLE_DIFFUSION_XL = Family(
    name="Stable Diffusion XL",
    pipeline="StableDiffusionXLPipeline",
    editing="StableDiffusionXLImg2ImgPipeline",
    denoiser="unet",
    parts={
        **_SD_PARTS,
        "text_encoder_2": ("CLIPTextModelWithProjection",),
        "tokenizer_2": _CLIP_TOKENIZERS,
    },
    layers=_SD_LAYERS,
    encoded=_POOLED,
    paints=True,
    whole=True,
    half="float16",
)
SANA = Family(
    name="Sana",
    pipeline="SanaPipeline",
    editing=None,
    denoiser="transformer",
    parts={
        "transformer": ("SanaTransformer2DModel",),
        "vae": ("AutoencoderDC",),
        "text_encoder": ("Gemma2Model",),
        "tokenizer": ("GemmaTokenizer", "GemmaTokenizerFast"),
        "scheduler": _FLOW_SCHEDULERS,
    },
    layers=("to_q", "to_k", "to_v", "to_out.0"),
    encoded=_MASKED,
    condition=("encoder_hidden_states", "encoder_attention_mask"),
    flow=True,
    guidance=4.5,
    side=32,
    tokens={"tokenizer": 299},  # of its 300 places one is that of the first token of the instruction before a prompt
    call={"use_resolution_binning": False, "negative_prompt": None},
)
STABLE_DIFFUSION_3 = Family(
    name="Stable Diffusion 3",
    pipeline="StableDiffusion3Pipeline",
    editing="StableDiffusion3Img2ImgPipeline",
    denoiser="transformer",
    parts={
        "transformer": ("SD3Transformer2DModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": ("CLIPTextModelWithProjection",),
        "text_encoder_2": ("CLIPTextModelWithProjection",),
        "text_encoder_3": ("T5EncoderModel",),
        "tokenizer": _CLIP_TOKENIZERS,
        "tokenizer_2": _CLIP_TOKENIZERS,
        "tokenizer_3": ("T5Tokenizer", "T5TokenizerFast"),
        "scheduler": _FLOW_SCHEDULERS,
    },
    layers=(
        *("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
        *("ff.net.0.proj", "ff.net.2"),
    ),
    encoded=_POOLED,
    condition=("encoder_hidden_states", "pooled_projections"),
    flow=True,
    guidance=4.5,
    tokens={"tokenizer_3": 256},
)

PIXART_SIGMA = Family(
    name="PixArt-Sigma",
    pipeline="PixArtSigmaPipeline",
    editing=None,
    denoiser="transformer",
    parts={
        "transformer": ("PixArtTransformer2DModel",),
        "vae": ("AutoencoderKL",),
        "text_encoder": ("T5EncoderModel",),
        "tokenizer": ("T5Tokenizer", "T5TokenizerFast"),
        "scheduler": ("DPMSolverMultistepScheduler",),
    },
    layers=_SD_LAYERS,
    encoded=_MASKED,
    condition=("encoder_hidden_states", "encoder_attention_mask"),
    guidance=4.5,
    tokens={"tokenizer": 300},
    call={"use_resolution_binning": False, "negative_prompt": None, "clean_caption": False},
)

_ALL = (STABLE_DIFFUSION, STABLE_DIFFUSION_XL, SANA, STABLE_DIFFUSION_3, PIXART_SIGMA)
_FOR_INPAINTING = (
    replace(STABLE_DIFFUSION, pipeline="StableDiffusionInpaintPipeline"),
    replace(STABLE_DIFFUSION_XL, pipeline="StableDiffusionXLInpaintPipeline"),
)
FAMILIES: Mapping[str, Family] = {each.pipeline: each for each in (*_ALL, *_FOR_INPAINTING)}
"""The families, by the class of their pipeline."""
NAMES = f"{', '.join(each.name for each in _ALL[:-1])} or {_ALL[-1].name}"
"""The families as messages list them."""


def require_family(found: str, pipeline: object) -> Family:
    """The family of a pipeline's class; `found` is what messages call the model.

    Raises:
        ModelError: there is none.
    """
    if isinstance(pipeline, str) and pipeline in FAMILIES:
        return FAMILIES[pipeline]
    known = ", ".join(f"{each.name} ({each.pipeline})" for each in _ALL)
    raise ModelError(
        needed=f"a model of one of these families: {known}",
        found=f"{found} has a {pipeline}",
        next_step="name a model of one of them: balance fill --model FOLDER",
    )
