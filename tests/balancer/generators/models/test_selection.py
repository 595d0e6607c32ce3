"""Which model draws, and whether an adapter fits it; with real, tiny checkpoints and adapters."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from balancer.errors import ModelError
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.models.licence import Licence, find_licence, is_from_scratch
from balancer.generators.models.selection import choose_model
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.stable_diffusion import StableDiffusion
from tests.support.tiny_models import write_lora, write_pipeline

FILE = "pytorch_lora_weights.safetensors"


@pytest.fixture
def adapter(tmp_path, checkpoint):
    """As `adapt` leaves one."""
    folder = write_lora(tmp_path / "mine", checkpoint)
    base = {"name": "tiny-sd", "sha256": find_checkpoint(str(checkpoint)).ref.sha256}
    (folder / "card.json").write_text(json.dumps({"kind": "lora", "base": base}))
    return folder


def nowhere(folder):
    return None


def test_the_newest_made_here_may_be_an_adapter_on_its_base(adapter, checkpoint):
    choice = choose_model(None, None, [adapter, checkpoint], {adapter: str(checkpoint)}.get)
    assert (choice.checkpoint.folder, choice.file, choice.folder) == (checkpoint, adapter / FILE, adapter)
    assert choice.adapter.name == "mine"


def test_a_model_that_is_named_is_taken_without_the_adapter(adapter, checkpoint):
    choice = choose_model(str(checkpoint), None, [adapter], nowhere)
    assert (choice.checkpoint.folder, choice.file) == (checkpoint, None)


def test_a_newer_checkpoint_comes_before_an_adapter(adapter, checkpoint):
    assert choose_model(None, None, [checkpoint, adapter], nowhere).file is None


def test_an_adapter_from_elsewhere_goes_on_the_newest_checkpoint(adapter, checkpoint, tmp_path):
    foreign = write_lora(tmp_path / "foreign", checkpoint)
    choice = choose_model(None, foreign, [adapter, checkpoint], nowhere)
    assert (choice.checkpoint.folder, choice.file) == (checkpoint, foreign / FILE)


def test_an_adapter_for_another_base_is_refused(adapter, tmp_path):
    other = write_pipeline(tmp_path / "other", xl=True)
    with pytest.raises(ModelError, match="the base that the adapter mine was made for"):
        choose_model(str(other), adapter, [], nowhere)


@pytest.mark.parametrize("place", [None, "no/such folder"])
def test_a_base_that_is_gone_is_named(adapter, place):
    with pytest.raises(ModelError, match="needed: tiny-sd, the base") as caught:
        choose_model(None, adapter, [], lambda folder: place)
    assert "balance fill --model tiny-sd --adapter mine" in caught.value.next_step


def changed(adapter, change):
    """The same adapter with some of its layers changed."""
    layers = load_file(adapter / FILE)
    save_file({name: tensor.contiguous() for name, tensor in change(layers).items()}, adapter / FILE)
    return adapter / FILE


def draw_with(checkpoint, file):
    found = find_checkpoint(str(checkpoint))
    return StableDiffusion(found, file, resolve_config(found, None, SamplingOptions(device="cpu")), "cpu")


def test_an_adapter_of_two_ranks_is_refused(adapter, checkpoint):
    def wider(layers):
        return {name: tensor[:1] if "lora_A" in name else tensor for name, tensor in layers.items()}

    with pytest.raises(ModelError, match="a LoRA adapter that fits this model"):
        draw_with(checkpoint, changed(adapter, wider))


def test_an_adapter_with_layers_that_the_model_lacks_is_refused(adapter, checkpoint):
    def more(layers):
        stem = "unet.mid_block.attentions.7.transformer_blocks.0.attn1.to_q"
        return {**layers, f"{stem}.lora_A.weight": torch.ones(2, 32), f"{stem}.lora_B.weight": torch.ones(32, 2)}

    with pytest.raises(ModelError, match="1 of its 17 layers"):
        draw_with(checkpoint, changed(adapter, more))


def test_an_adapter_that_fits_is_loaded(adapter, checkpoint):
    draw_with(checkpoint, adapter / FILE)


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\nlicense: creativeml-openrail-m\n---\n# x", Licence("creativeml-openrail-m", "README.md of the model")),
        ("---\nlicense: other\nlicense_name: xray\nlicense_link: LINK\n---\n", Licence("xray", "LINK")),
        ("# no head", Licence("", "")),
        ("---\n: [broken\n---\n", Licence("", "")),
        ("---\n- a list\n---\n", Licence("", "")),
    ],
)
def test_the_licence_is_read_from_the_head_of_the_model_card(checkpoint, tmp_path, text, licence):
    copy = shutil.copytree(checkpoint, tmp_path / "m")
    (copy / "README.md").write_text(text)
    assert find_licence(find_checkpoint(str(copy))) == licence


def test_a_licence_file_is_named(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "m")
    (copy / "LICENSE.md").write_text("terms")
    assert find_licence(find_checkpoint(str(copy))).name == "see its LICENSE.md"


def test_what_balance_trained_from_scratch_is_known_as_such(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "m")
    assert not is_from_scratch(find_checkpoint(str(copy)))
    (copy / "card.json").write_text('{"method": "from scratch"}')
    assert is_from_scratch(find_checkpoint(str(copy)))


def test_a_class_that_was_left_out_is_not_drawn_from_scratch_and_noted_of_an_adapter(adapter, checkpoint, tmp_path):
    from balancer.workspace.exposure import require_learned

    card = json.loads((adapter / "card.json").read_text())
    (adapter / "card.json").write_text(json.dumps({**card, "left_out": ["nodule"]}))
    choice = choose_model(str(checkpoint), adapter, [], nowhere)
    assert require_learned(choice, ["normal"]) == ""
    assert require_learned(choice, ["normal", "nodule"]).startswith("the adapter was not trained on nodule")
    alone = shutil.copytree(checkpoint, tmp_path / "small")
    (alone / "card.json").write_text(json.dumps({"kind": "checkpoint", "left_out": ["nodule"]}))
    with pytest.raises(ModelError, match="a model that was trained on nodule"):
        require_learned(choose_model(str(alone), None, [], nowhere), ["nodule"])
    assert require_learned(choose_model(str(alone), None, [], nowhere), ["normal"]) == ""
