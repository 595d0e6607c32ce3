"""What a training takes over from an earlier checkpoint, and what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from balancer.adapting.scratch import start
from balancer.adapting.scratch.train import train_from_scratch
from balancer.errors import ModelError
from balancer.prompting.packs import load_pack
from tests.balancer.adapting.scratch.test_train import PACK, TINY, collection, hashes, trained

__all__ = ["collection", "trained"]

TEXTS = "text_encoder/model.safetensors"


class Words:
    """A vocabulary of a few words, as long as it is told."""

    def __init__(self, *words: str, longest: int) -> None:
        self.words, self.model_max_length = words, longest

    def get_vocab(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)


def embeddings(weights: dict[str, torch.Tensor], which: str) -> torch.Tensor:
    return next(tensor for name, tensor in weights.items() if name.endswith(f"embeddings.{which}_embedding.weight"))


def test_the_autoencoder_is_taken_as_it_is_and_the_rest_goes_on_from_it(
    collection: tuple[Path, list[Any]], trained: Path, tmp_path: Path
) -> None:
    root, samples = collection
    settings = replace(TINY, start=str(trained), steps=8)
    again = train_from_scratch(samples, root, load_pack("chest"), settings, tmp_path / "again", "ab" * 32)
    before, after = hashes(trained), hashes(again)
    assert after["vae/diffusion_pytorch_model.safetensors"] == before["vae/diffusion_pytorch_model.safetensors"]
    assert after["unet/diffusion_pytorch_model.safetensors"] != before["unet/diffusion_pytorch_model.safetensors"]
    assert after[TEXTS] != before[TEXTS]
    card = json.loads((again / "card.json").read_text())
    assert card["start"] == {"name": trained.name, "weights_sha256": before}
    assert set(card["training_files"]) == {sample.path for sample in samples}


def test_words_keep_what_they_meant_and_new_ones_begin_as_their_pieces(trained: Path) -> None:
    earlier = CLIPTokenizer.from_pretrained(trained / "tokenizer", local_files_only=True)
    weights = {name: tensor.float() for name, tensor in load_file(trained / TEXTS).items()}
    known, ids = embeddings(weights, "token"), earlier.get_vocab()
    pieces = earlier.tokenize("xylophone")
    assert len(pieces) > 1
    longest = earlier.model_max_length + 5
    whole = max(ids, key=len)
    words = Words(whole, "xylophone</w>", longest=longest)
    taken: dict[str, torch.Tensor] = {}

    class TextEncoder:
        def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
            taken.update(state)

    class Unet:
        def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
            assert state

    start.load_denoiser({"unet": Unet(), "text_encoder": TextEncoder()}, words, trained)  # type: ignore[arg-type]
    rows, places = embeddings(taken, "token"), embeddings(taken, "position")
    torch.testing.assert_close(rows[0], known[ids[whole]])
    torch.testing.assert_close(rows[1], known[[ids[piece] for piece in pieces]].mean(dim=0))
    earlier_places = embeddings(weights, "position")
    torch.testing.assert_close(places[: len(earlier_places)], earlier_places)
    assert len(places) == max(longest, len(earlier_places))
    assert (places[len(earlier_places) :] == earlier_places[-1]).all()


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda folder: (folder / "card.json").unlink(), "no card"),
        (lambda folder: (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink(), "no such file"),
        (lambda folder: (folder / TEXTS).write_bytes(b"broken"), "cannot be read"),
    ],
)
def test_what_is_no_checkpoint_from_scratch_is_refused(
    damage: Any, found: str, collection: tuple[Path, list[Any]], trained: Path, tmp_path: Path
) -> None:
    root, samples = collection
    shutil.copytree(trained, tmp_path / "start")
    damage(tmp_path / "start")
    settings = replace(TINY, start=str(tmp_path / "start"))
    with pytest.raises(ModelError, match=found):
        train_from_scratch(samples, root, PACK, settings, tmp_path / "again", "ab" * 32)


def test_networks_of_other_sizes_are_refused(collection: tuple[Path, list[Any]], trained: Path, tmp_path: Path) -> None:
    root, samples = collection
    settings = replace(TINY, start=str(trained), unet_channels=(32, 32))
    with pytest.raises(ModelError, match="other sizes"):
        train_from_scratch(samples, root, PACK, settings, tmp_path / "again", "ab" * 32)
