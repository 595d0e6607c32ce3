"""From a checkpoint's folder to diffusers' pipeline: weights loaded from this machine alone, an adapter fused in."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from balancer.errors import ModelError
from balancer.generators.models.adapter_format import is_kohya, layer_names
from balancer.generators.models.checkpoint import Checkpoint

_LAYER = re.compile(r"(lora_A|lora_down|lora\.down|_lora\.down|lora_linear_layer\.down)(\.|$)")
_DENOISERS = {"unet": "a UNet", "transformer": "a transformer"}
_NAME = "balance"
_LOADED = (f".lora_A.{_NAME}", f".lora_embedding_A.{_NAME}")


def load_pipeline(checkpoint: Checkpoint, dtype: Any, parts: Collection[str] = ()) -> Any:
    """The checkpoint as its pipeline of diffusers, in this precision; with `parts`, of these parts alone.

    Raises:
        ModelError: diffusers cannot load it.
    """
    os.environ.setdefault("DIFFUSERS_DISABLE_REMOTE_CODE", "1")
    import diffusers
    import transformers

    for library in (diffusers, transformers):  # their bars and hints are not the user's
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    kind = getattr(diffusers, checkpoint.pipeline)
    extras: dict[str, Any] = {part: None for part in checkpoint.family.parts if parts and part not in parts}
    if checkpoint.family.whole and not checkpoint.is_xl:
        extras |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    try:
        if checkpoint.single_file is not None:
            pipe = kind.from_single_file(
                str(checkpoint.single_file),
                config=str(checkpoint.folder),
                local_files_only=True,
                dtype=dtype,
                **extras,
            )
        else:
            pipe = kind.from_pretrained(
                str(checkpoint.folder),
                use_safetensors=True,
                local_files_only=True,
                variant=checkpoint.variant,
                dtype=dtype,
                **extras,
            )
    except Exception as error:  # whatever a foreign file makes diffusers raise
        raise not_loaded(checkpoint, error) from error
    if checkpoint.is_xl and getattr(pipe.vae.config, "force_upcast", False):
        pipe.vae.float()  # XL's VAE overflows in half precision
    return pipe


def let_go(pipe: Any, parts: Iterable[str]) -> None:
    """Give the memory of a pipeline's networks back at once; it is of no use afterwards."""
    for part in parts:
        getattr(pipe, part).to("meta")


def fuse_adapter(pipe: Any, adapter: Path, scale: float) -> None:
    """Add a LoRA adapter, times `scale`, to the weights of a pipeline.

    Raises:
        ModelError: it does not fit this model.
    """
    try:
        names = layer_names(adapter)
        _require_family(pipe, names)
        if not hasattr(pipe, "load_lora_weights"):
            _fuse_by_peft(pipe, adapter, names, scale)
            return
        pipe.load_lora_weights(
            str(adapter.parent),
            weight_name=adapter.name,
            adapter_name=_NAME,
            use_safetensors=True,
            local_files_only=True,
        )
        _require_all_layers(pipe, names)
        pipe.fuse_lora(lora_scale=scale)
        pipe.unload_lora_weights()
    except Exception as error:  # whatever a foreign file makes diffusers raise
        raise ModelError(
            needed="a LoRA adapter that fits this model",
            found=f"{adapter.name}: {' '.join(str(error).split())[:300] or type(error).__name__}",
            next_step="use the model that the adapter was trained on: balance fill --model BASE --adapter ADAPTER",
        ) from error


def _fuse_by_peft(pipe: Any, adapter: Path, names: Sequence[str], scale: float) -> None:
    """The same for a transformer whose pipeline cannot load adapters: of one rank, under diffusers' names."""
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
    from peft.tuners.lora import LoraLayer
    from safetensors.torch import load_file

    weights = {name.removeprefix("transformer."): value for name, value in load_file(adapter).items()}
    ranks = {value.shape[0] for name, value in weights.items() if ".lora_A." in name}
    if len(ranks) != 1 or not all(name.startswith("transformer.") for name in names):
        raise ValueError("layers of a transformer of one rank under diffusers' names were needed")
    layers = sorted({name.split(".lora_")[0] for name in weights})
    rank = ranks.pop()
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=layers), pipe.transformer, _NAME)
    set_peft_model_state_dict(pipe.transformer, weights, adapter_name=_NAME)
    _require_all_layers(pipe, names)
    for name, layer in list(pipe.transformer.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.scale_layer(scale)
            layer.merge()
            pipe.transformer.set_submodule(name, layer.get_base_layer())


def _require_family(pipe: Any, names: Sequence[str]) -> None:
    """Refuse layers of a UNet for a transformer and the other way round, and of text encoders that are not there."""
    parts = {name.split(".")[0] for name in names}
    if is_kohya(names) and getattr(pipe, "unet", None) is None:
        raise ValueError("layers of a UNet under kohya's names, which diffusers does not convert for this family")
    for part, words in _DENOISERS.items():
        if part in parts and getattr(pipe, part, None) is None:
            raise ValueError(f"layers of {words}, which this model has not got: it is an adapter of another family")
    foreign = sorted(part for part in parts if part.startswith("text_encoder") and getattr(pipe, part, None) is None)
    if foreign:
        raise ValueError(f"layers of its {foreign[0]}, which encodes prompts before and takes none")


def _require_all_layers(pipe: Any, layers: Sequence[str]) -> None:
    """Refuse what diffusers only warns of in its log: layers of the file that the model has not got."""
    wanted = sum(1 for name in layers if _LAYER.search(name))
    parts = [getattr(pipe, part, None) for part in ("unet", "transformer", "text_encoder", "text_encoder_2")]
    names = [name for part in parts if part is not None for name, _ in part.named_modules()]
    found = sum(1 for name in names if name.endswith(_LOADED))
    if found == 0:
        raise ValueError("this model has none of its layers")
    if found < wanted:
        raise ValueError(f"{wanted - found} of its {wanted} layers are not in this model")


def not_loaded(checkpoint: Checkpoint, error: Exception) -> ModelError:
    """The error for a checkpoint that a library cannot load."""
    return ModelError(
        needed=f"a {checkpoint.pipeline} that diffusers can load",
        found=f"{checkpoint.ref.name}: {(str(error) or type(error).__name__).splitlines()[0]}",
        next_step="copy the model folder again, or name another: balance fill --model FOLDER",
    )
