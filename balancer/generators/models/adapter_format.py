"""In which format the layers of an adapter are written, told by their names, before any is loaded."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from safetensors import safe_open

from balancer.errors import ModelError

KOHYA = ("lora_unet_", "lora_te_", "lora_te1_", "lora_te2_")
_LYCORIS = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "oft_": "OFT",
    "lora_mid": "LoCon with a middle layer",
    "a1": "GLoRA",
    "w_norm": "norm layers",
}


def layer_names(file: Path) -> list[str]:
    """The names of all tensors in a safetensors file."""
    with safe_open(file, "numpy") as content:
        return list(content.keys())


def lycoris_kind(names: Collection[str]) -> str | None:
    """What of LyCORIS an adapter is made of; `None` for LoRA layers alone.

    >>> lycoris_kind(["lora_unet_mid.hada_w1_a"]), lycoris_kind(["unet.mid.lora_A.weight"])
    ('LoHa', None)
    """
    words = {word for name in names for word in name.split(".")}
    begun = {f"{word.partition('_')[0]}_" for word in words}
    return next((kind for mark, kind in _LYCORIS.items() if mark in words | begun), None)


def is_kohya(names: Collection[str]) -> bool:
    """Whether layers are named as kohya's scripts name them.

    >>> is_kohya(["lora_unet_mid_block.lora_up.weight"]), is_kohya(["unet.mid_block.lora_A.weight"])
    (True, False)
    """
    return any(name.startswith(KOHYA) for name in names)


def require_lora(file: Path) -> None:
    """Refuse an adapter that is made of something else than LoRA layers.

    Raises:
        ModelError: it is of LyCORIS.
    """
    kind = lycoris_kind(layer_names(file))
    if kind is not None:
        raise ModelError(
            needed="an adapter of LoRA layers",
            found=f"{file.name}, of LyCORIS ({kind}), which diffusers does not load",
            next_step="train it as plain LoRA, or adapt the base here: balance adapt --base FOLDER",
        )
