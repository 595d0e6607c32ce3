"""Adapting bases of the families with transformers: learn, save, load, fuse, and go on after a kill."""

import json
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from balancer.adapting.lora.data import TrainingData
from balancer.adapting.lora.train import train_lora
from balancer.errors import ModelError
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.prompting.packs import load_pack
from tests.balancer.adapting.lora.test_train import FILE, QUICK, Killed, as_samples, stop_at
from tests.support.tiny_families import FAMILIES
from tests.support.tiny_models import write_xrays

KIND = {True: "flow", False: "epsilon"}
FEWER = replace(QUICK, steps=4, augmentations=1)


@pytest.fixture(
    scope="module", params=["sana", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sd3", "pixart"))]
)
def base(request, tmp_path_factory):
    return find_checkpoint(str(FAMILIES[request.param](tmp_path_factory.mktemp("models") / request.param)))


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    root = write_xrays(tmp_path_factory.mktemp("collection") / "train", {"normal": 3, "nodule": 2})
    packs = dict.fromkeys(("normal", "nodule"), load_pack("chest"))
    samples = as_samples(root)
    return TrainingData(samples, samples[:2], root, packs, "ab" * 32)


@pytest.fixture(scope="module")
def adapted(material, base, tmp_path_factory):
    return train_lora(material, base, FEWER, tmp_path_factory.mktemp("made") / "mine")


def test_it_learns_and_the_card_says_what(adapted, base):
    card = json.loads((adapted / "card.json").read_text())
    assert (card["base"]["pipeline"], card["prediction"], card["training"]["steps"]) == (
        base.pipeline,
        KIND[base.family.flow],
        4,
    )
    assert card["change"]["grey_levels"] > 0.01
    weights = load_file(adapted / FILE)
    assert {name.split(".")[0] for name in weights} == {"transformer"}
    learned = [bool(tensor.any()) for name, tensor in weights.items() if "lora_B" in name]
    assert sum(learned) > len(learned) / 2  # the last block of Stable Diffusion 3 gives no words on


def test_diffusers_loads_it_and_generates_something_else(adapted, base):
    pipe = getattr(diffusers, base.pipeline).from_pretrained(base.folder, use_safetensors=True, local_files_only=True)
    ask = {"num_inference_steps": 2, "output_type": "np", "height": 32, "width": 32, **base.family.call}
    ask.pop("negative_prompt", None)
    if base.pipeline == "PixArtSigmaPipeline":
        assert "loads no adapters" in (adapted / "README.md").read_text()
        return
    plain = pipe("a nodule", generator=torch.Generator().manual_seed(0), **ask).images
    pipe.load_lora_weights(str(adapted), weight_name=FILE, use_safetensors=True, local_files_only=True)
    assert np.abs(pipe("a nodule", generator=torch.Generator().manual_seed(0), **ask).images - plain).mean() > 1e-4


@pytest.mark.slow
def test_a_killed_run_ends_with_the_bytes_of_an_undisturbed_one(material, base, adapted, tmp_path):
    with pytest.raises(Killed):
        train_lora(material, base, FEWER, tmp_path / "mine", progress=stop_at("adapter", 2))
    train_lora(material, base, FEWER, tmp_path / "mine")
    assert (tmp_path / "mine" / FILE).read_bytes() == (adapted / FILE).read_bytes()


@pytest.mark.slow
def test_images_keep_their_proportions(material, base, tmp_path):
    wide = replace(FEWER, size=2 * base.side, aspect=2.0) if base.side == 32 else replace(FEWER, aspect=1.6667)
    card = json.loads((train_lora(material, base, wide, tmp_path / "mine") / "card.json").read_text())
    assert card["size"] == ([96, 32] if base.side == 32 else [40, 24])


def test_large_text_encoders_do_not_learn(material, base, tmp_path):
    with pytest.raises(ModelError, match="for --text-encoder a base whose text encoders are small"):
        train_lora(material, base, replace(FEWER, text_encoder=True), tmp_path / "mine")
