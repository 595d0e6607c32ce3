"""The base at work: words as the pipeline reads them, latents as it decodes them, one step in each precision."""

import numpy as np
import pytest
import torch

from balancer.adapting.common.device import TrainingDevice
from balancer.adapting.lora.base_model import adapting_device, load_base
from balancer.adapting.lora.captions import TextEncoders, make_caption_set
from balancer.adapting.lora.latents import Encoder, moved
from balancer.adapting.lora.settings import LoraSettings
from balancer.collection.attributes import Attributes
from balancer.collection.scan import Sample
from balancer.errors import ModelError
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.prompting.packs import load_pack
from tests.support.tiny_models import write_pipeline

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=[False, True], ids=["sd", "xl"])
def base(request, tmp_path_factory):
    return find_checkpoint(str(write_pipeline(tmp_path_factory.mktemp("m") / "base", xl=request.param)))


def desk_of(base, bfloat16=False, **settings):
    return load_base(base, LoraSettings(rank=2, **settings), TrainingDevice(CPU, bfloat16))


def condition(model, texts):
    words = model.readers.encode(model.readers.tokens(texts))
    return (*words, torch.tensor([[32, 32, 0, 0, 32, 32.0]] * len(texts))) if len(words) == 2 else words


def batch(model, count=2):
    chance = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, count, 4, 16, 16, generator=chance).unbind()
    return clean, noise, torch.tensor([10, 900])[:count], *condition(model, ["a nodule", ""][:count])


@torch.no_grad()
def test_words_are_read_as_the_pipeline_reads_them(base):
    pipe = desk_of(base).generator.pipe
    readers = TextEncoders.of(pipe)
    ours = readers.encode(readers.tokens(["a nodule"]))
    theirs = pipe.encode_prompt(
        prompt="a nodule", device=CPU, num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    assert torch.equal(ours[0], theirs[0])
    if len(ours) == 2:
        assert torch.equal(ours[1], theirs[2])


@torch.no_grad()
def test_latents_are_scaled_as_the_pipeline_decodes_them(base):
    model = desk_of(base)
    vae = model.generator.pipe.vae
    pictures = torch.randint(0, 256, (2, 32, 32), dtype=torch.uint8)
    mean, deviation = Encoder(vae, CPU, (32, 32)).encode(pictures)
    colour = pictures.float().div(127.5).sub(1)[:, None].expand(-1, 3, -1, -1)
    assert torch.allclose(mean / vae.config.scaling_factor, vae.encode(colour).latent_dist.mean, atol=1e-5)
    assert float(deviation.min()) > 0


def test_new_layers_change_nothing_at_first_and_learn_alone(base):
    model = desk_of(base)
    pipe = model.generator.pipe
    model.losses(*batch(model)).mean().backward()
    learned = {id(weight) for weight in model.layers.weights.parameters()}
    with_gradient = {id(weight) for weight in pipe.unet.parameters() if weight.grad is not None}
    assert with_gradient == learned
    with torch.no_grad():
        before = model.losses(*batch(model))
        pipe.unet.disable_adapters()
        assert torch.equal(model.losses(*batch(model)), before)


def test_half_precision_of_the_base_leaves_the_new_layers_exact(base):
    model = desk_of(base, bfloat16=True)
    losses = model.losses(*batch(model))
    losses.mean().backward()
    assert {weight.dtype for weight in model.layers.weights.parameters()} == {torch.float32}
    assert model.generator.pipe.unet.conv_in.weight.dtype == torch.bfloat16
    assert torch.allclose(losses, desk_of(base).losses(*batch(desk_of(base))), rtol=0.05)


def test_saving_memory_changes_no_gradient(base):
    plain, saving = desk_of(base), desk_of(base)
    assert saving.save_memory()
    assert not saving.save_memory()
    for model in (plain, saving):
        model.losses(*batch(model)).mean().backward()
    pairs = zip(plain.layers.weights.parameters(), saving.layers.weights.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad, atol=1e-6) for a, b in pairs)


def test_bfloat16_is_for_gpus():
    assert adapting_device(TrainingDevice(CPU, True)) == TrainingDevice(CPU, False)
    assert adapting_device(TrainingDevice(torch.device("cuda"), True)).bfloat16


def test_captions_say_what_is_known_and_a_tenth_is_dropped():
    samples = [Sample(f"{place}.png", "nodule", None, "") for place in range(200)]
    known = [Attributes("female", "65+", "lateral")] * 200
    caption_set = make_caption_set({"nodule": load_pack("chest")}, samples, known, seed=0, dropout=0.1)
    assert caption_set.variants == 16
    assert 0.03 < float((caption_set.chosen == caption_set.texts.index("")).float().mean()) < 0.07
    told = [text for text in caption_set.texts if "nodule" in text]
    assert told
    assert all("lateral" in text for text in told)


def test_books_join():
    packs, samples = {"nodule": load_pack("chest")}, [Sample("a.png", "nodule", None, "")]
    one = make_caption_set(packs, samples * 3, [Attributes()] * 3, seed=0, dropout=0.1)
    two = make_caption_set(packs, samples * 2, [Attributes()] * 2, seed=7, dropout=None)
    both = one.joined(two)
    assert both.chosen.shape == (16, 5)
    assert [both.texts[place] for place in both.chosen[5, 3:]] == [two.texts[place] for place in two.chosen[0]]
    assert "" not in two.texts


def test_versions_are_moved_a_little_and_never_mirrored():
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)[None].repeat(64, axis=0)
    for image in range(20):
        picture, sizes = moved(ramp, (32, 32), seed=0, image=image, version=1)
        assert (np.diff(picture[16].astype(int)) >= 0).all()
        assert sizes[:2] == (64, 64)
        assert sizes[4:] == (32, 32)
        assert 0 <= max(sizes[2:4]) <= 3  # 8% of 32 pixels
    assert len({moved(ramp, (32, 32), 0, image, 1)[1] for image in range(20)}) > 3


def test_a_base_for_inpainting_is_refused(base, tmp_path):
    import json
    import shutil

    from diffusers import UNet2DConditionModel

    copy = shutil.copytree(base.folder, tmp_path / "inpaint")
    config = json.loads((copy / "unet" / "config.json").read_text())
    UNet2DConditionModel.from_config({**config, "in_channels": 9}).save_pretrained(copy / "unet")
    with pytest.raises(ModelError, match="UNet has 9"):
        desk_of(find_checkpoint(str(copy)))
