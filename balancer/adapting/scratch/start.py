"""Beginning a training with the networks of an earlier checkpoint from scratch, whatever words it knew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPTokenizer

from balancer.adapting.common.model_card import weight_hashes
from balancer.errors import ModelError
from balancer.generators.models.model_card import CARD, read_card

_WORDS, _PLACES = "embeddings.token_embedding.weight", "embeddings.position_embedding.weight"


SLOWER = 3.0
"""What was learned before is changed by so many times smaller steps."""


def facts_of(folder: Path) -> dict[str, Any]:
    """What the card of a training says of the checkpoint in `folder` that it began with, and what that learned from."""
    card = read_card(folder)
    files = card.get("training_files")
    if not isinstance(files, dict):
        raise _unfit(folder / CARD, "no card with its training images")
    began = {"start": {"name": folder.name, "weights_sha256": weight_hashes(folder)}}
    return {**began, **({"pretrained": card["pretrained"]} if "pretrained" in card else {}), "training_files": files}


def load_autoencoder(model: nn.Module, folder: Path) -> None:
    """Give an autoencoder the weights of the checkpoint in `folder`.

    Raises:
        ModelError: there is none, or its networks have other sizes.
    """
    _load(model, folder / "vae" / "diffusion_pytorch_model.safetensors")


def load_denoiser(networks: nn.ModuleDict, tokenizer: Any, folder: Path) -> None:
    """Give "unet" and "text_encoder" the weights of the checkpoint in `folder`, whatever its vocabulary was.

    A word of `tokenizer` begins as the mean of the pieces that the earlier tokenizer read it as; places beyond the
    earlier length begin as its last one.

    Raises:
        ModelError: there is none, or its networks have other sizes.
    """
    _load(networks["unet"], folder / "unet" / "diffusion_pytorch_model.safetensors")
    place = folder / "text_encoder" / "model.safetensors"
    earlier = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    weights = _read(place)
    words = next(name for name in weights if name.endswith(_WORDS))
    places = next(name for name in weights if name.endswith(_PLACES))
    weights[words] = _words(weights[words], earlier, tokenizer)
    longer = tokenizer.model_max_length - len(weights[places])
    weights[places] = torch.cat([weights[places], weights[places][-1:].expand(max(0, longer), -1)])
    _fill(networks["text_encoder"], weights, place)


def _words(known: torch.Tensor, earlier: Any, tokenizer: Any) -> torch.Tensor:
    """The embeddings (V, width) of a new vocabulary, from those (W, width) of an earlier one."""
    ids = earlier.get_vocab()
    rows = known.mean(dim=0).repeat(len(tokenizer), 1)
    for word, place in tokenizer.get_vocab().items():
        pieces = [word] if word in ids else earlier.tokenize(_plain(word))
        if pieces:
            rows[place] = known[[ids[piece] for piece in pieces]].mean(dim=0)
    return rows


def _plain(word: str) -> str:
    """A word of a byte-pair vocabulary as it is written."""
    return word.removesuffix("</w>")


def _load(network: nn.Module, place: Path) -> None:
    _fill(network, _read(place), place)


def _read(place: Path) -> dict[str, torch.Tensor]:
    try:
        return {name: weights.float() for name, weights in load_file(place).items()}
    except Exception as error:  # whatever is wrong with the file, there is nothing to begin with
        raise _unfit(place, "a file that cannot be read" if place.exists() else "no such file") from error


def _fill(network: nn.Module, weights: dict[str, torch.Tensor], place: Path) -> None:
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise _unfit(place, "networks with other sizes") from error


def _unfit(place: Path, found: str) -> ModelError:
    return ModelError(
        needed=f"a checkpoint that balance trained from scratch, with the same sizes: {place.name}",
        found=found,
        next_step="leave --start out, or name another: balance adapt --from-scratch --start FOLDER",
    )
