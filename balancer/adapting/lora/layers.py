"""LoRA layers in a base's networks: made, taken together as what learns, and saved as diffusers reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import save_file
from torch import Tensor, nn

from balancer.adapting.common.rng import generator
from balancer.generators.models.families import Family

FILE = "pytorch_lora_weights.safetensors"
_NAME = "default"
_TEXT_LAYERS = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True, slots=True)
class LoraWeights:
    """The new weights of each part of the pipeline, by part and by name; `/` stands for `.` in the names."""

    weights: nn.ModuleDict

    @classmethod
    def add(cls, pipe: Any, family: Family, rank: int, text_encoder: bool, seed: int) -> LoraWeights:
        """Freeze the base and add layers of a rank to its attention and feed-forward layers (Hu et al. 2021).

        They begin by changing nothing. The weights are in float32, and torch's own generator is left alone.
        """
        denoiser = family.denoiser
        chosen = [part for part in (denoiser, *family.text_encoders) if getattr(pipe, part, None) is not None]
        for network in (pipe.vae, *(getattr(pipe, part) for part in chosen)):
            network.requires_grad_(False).eval()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(seed, "lora weights", 0).initial_seed())
            layers = {part: family.layers if part == denoiser else _TEXT_LAYERS for part in chosen}
            learning = chosen if text_encoder else [denoiser]
            weights = {part: _add(getattr(pipe, part), layers[part], rank) for part in learning}
        return cls(nn.ModuleDict(weights))

    @property
    def count(self) -> int:
        """How many numbers are learned."""
        return sum(weight.numel() for weight in self.weights.parameters())

    @contextmanager
    def replaced(self, other: nn.Module) -> Iterator[None]:
        """Inside the block the networks have `other` weights, a running average for one."""
        own = [weight.detach().clone() for weight in self.weights.parameters()]
        self._set(list(other.parameters()))
        try:
            yield
        finally:
            self._set(own)

    @torch.no_grad()
    def _set(self, values: list[Tensor]) -> None:
        for weight, value in zip(self.weights.parameters(), values, strict=True):
            weight.copy_(value)


def save_layers(pipeline: type[Any], weights: Mapping[str, Tensor], folder: Path) -> Path:
    """Write weights, by part and name as `nn.ModuleDict.state_dict` names them, in diffusers' format."""
    kinds: dict[str, dict[str, Tensor]] = {}
    for name, weight in weights.items():
        part, _, layer = name.partition(".")
        plain = layer.replace("/", ".").replace(f".{_NAME}.", ".")
        kinds.setdefault(f"{part}_lora_layers", {})[plain] = weight.detach().float().cpu().contiguous()
    if hasattr(pipeline, "save_lora_weights"):
        pipeline.save_lora_weights(folder, safe_serialization=True, weight_name=FILE, **kinds)
    else:  # the same names, for pipelines that cannot load adapters themselves
        parts = {kind.removesuffix("_lora_layers"): layers for kind, layers in kinds.items()}
        named = {f"{part}.{name}": value for part, layers in parts.items() for name, value in layers.items()}
        save_file(named, folder / FILE, {"format": "pt"})
    return folder / FILE


def _add(network: Any, layers: Sequence[str], rank: int) -> nn.ParameterDict:
    where = next(network.parameters()).device
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(layers))
    if hasattr(network, "add_adapter"):
        network.add_adapter(config, adapter_name=_NAME)
    else:
        inject_adapter_in_model(config, network, _NAME)
    found = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    for weight in found.values():
        weight.data = weight.data.to(where, torch.float32)
    return nn.ParameterDict({name.replace(".", "/"): weight for name, weight in found.items()})
