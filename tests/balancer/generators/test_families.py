"""Generating with tiny bases of the families with transformers, by diffusers' own pipelines."""

import gc
import json
import shutil
import sys
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from balancer.errors import GenerationError, ModelError
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.models.download import _require_weights, wanted_files
from balancer.generators.models.memory import largest_load, parameters_of, require_memory
from balancer.generators.models.tokens import require_texts_fit
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.stable_diffusion import StableDiffusion
from tests.balancer.generators.test_stable_diffusion import from_images, generator, jobs
from tests.support.tiny_families import FAMILIES
from tests.support.tiny_models import write_lora

LIMIT = {"sana": "299 tokens, which", "sd3": "77 tokens by its tokenizer, which", "pixart": "300 tokens, which"}

SIDE = {"sana": 32, "sd3": 8, "pixart": 8}


@pytest.fixture(scope="module", params=FAMILIES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def base(name, tmp_path_factory):
    return FAMILIES[name](tmp_path_factory.mktemp("models") / name)


@pytest.fixture(scope="module")
def drawn(base):
    maker, config = generator(base)
    wanted = jobs(config, 2)
    return maker, wanted, maker.generate(wanted)


def test_every_job_gets_its_grey_image_whatever_its_place(drawn):
    maker, wanted, images = drawn
    assert [(image.shape, image.dtype) for image in images] == [((32, 32), np.uint8)] * 2
    np.testing.assert_array_equal(maker.generate(wanted[::-1])[::-1], images)


def test_it_is_what_the_pipeline_of_diffusers_makes_of_the_prompt(base, drawn):
    maker, (job, _), _ = drawn
    pipe = getattr(diffusers, find_checkpoint(str(base)).pipeline).from_pretrained(base, local_files_only=True)
    ask = {"prompt": job.prompt.text, "negative_prompt": job.prompt.negative, "width": 32, "height": 32}
    extra = {each: value for each, value in maker.family.call.items() if each not in ask}
    latents = pipe(
        **ask,
        **extra,
        num_inference_steps=job.config.steps,
        guidance_scale=job.config.guidance_scale,
        generator=torch.Generator().manual_seed(job.seed),
        output_type="latent",
    ).images
    torch.testing.assert_close(maker.draw([job])[0], latents)


def test_text_encoders_and_denoiser_are_never_in_memory_together(base):
    before = {id(each) for each in models()}
    maker, config = generator(base)
    first, second = jobs(config, 2)
    maker.generate([first])
    old = maker._pipe
    maker.generate([second])
    assert maker._pipe is not old  # it made room for the text encoders that read another prompt
    assert {weight.device.type for weight in getattr(old, maker.family.denoiser).parameters()} == {"meta"}
    read = [each for each in models() if id(each) not in before and isinstance(each, PreTrainedModel)]
    assert {weight.device.type for each in read for weight in each.parameters()} <= {"meta"}


def models():
    return [each for each in gc.get_objects() if issubclass(type(each), torch.nn.Module)]


def test_source_and_strength_take_part_where_the_family_has_it(base, xrays):
    found = find_checkpoint(str(base))
    config = resolve_config(found, None, SamplingOptions(steps=4, batch_size=4, device="cpu"))
    maker = StableDiffusion(found, None, config, "cpu", xrays)
    weak, other = from_images(config, xrays, [0.3, 0.3])
    some = [weak, from_images(config, xrays, [0.9])[0], replace(weak, method=other.method)]
    if found.family.editing is None:
        with pytest.raises(GenerationError, match="which generates from text only"):
            maker.generate(some)
    else:
        assert len({image.tobytes() for image in maker.generate(some)}) == 3


def test_what_it_is_and_reads(base, name):
    found = find_checkpoint(str(base))
    assert (found.native_size, found.side) == (32, SIDE[name])
    assert found.largest_side == (64 if name == "sd3" else None)
    if name == "sd3":
        with pytest.raises(ModelError, match=r"at most 64 pixels a side.*\n.*96 x 96"):
            resolve_config(found, None, SamplingOptions(size=96))
    with pytest.raises(ModelError, match=f"prompts of at most {LIMIT[name]}"):
        require_texts_fit(found, ["a nodule", "1 " * 400])


def test_fetch_takes_all_that_it_needs(base):
    there = [path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file()]
    wanted = wanted_files([*there, "transformer/diffusion_pytorch_model.bin", "text_encoders/t5.safetensors"])
    assert wanted == sorted(there)
    _require_weights("owner/name", there, wanted)
    with pytest.raises(ModelError, match="without transformer"):
        _require_weights("owner/name", there, [path for path in wanted if "transformer" not in path])


def test_a_missing_text_encoder_is_named(base, tmp_path):
    copy = shutil.copytree(base, tmp_path / "copy")
    last = find_checkpoint(str(base)).family.text_encoders[-1]
    shutil.rmtree(copy / last)
    with pytest.raises(ModelError, match=f"copy lacks its {last}"):
        find_checkpoint(str(copy))


def test_weights_are_counted_before_they_are_loaded(base):
    found = find_checkpoint(str(base))
    count, needed = largest_load(found, "float32")
    assert needed == 4 * count < sum(4 * parameters_of(file) for file in found.weights)
    with pytest.raises(ModelError, match="billion numbers at once, in float32"):
        require_memory(found, "float32", "cpu", free=needed - 1)


def test_a_vocabulary_for_sentencepiece_alone_needs_the_package(base, tmp_path, monkeypatch):
    copy = shutil.copytree(base, tmp_path / "copy")
    last = find_checkpoint(str(base)).family.tokenizers[-1]
    (copy / last / "tokenizer.json").rename(copy / last / "spiece.model")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ModelError, match="pip install sentencepiece"):
        find_checkpoint(str(copy))


def test_an_adapter_of_another_family_is_refused(base, checkpoint, tmp_path):
    with pytest.raises(ModelError, match="layers of a UNet"):
        assert generator(base, write_lora(tmp_path / "lora", checkpoint))[0].pipe


def test_an_unsupported_family_is_named_with_those_that_are(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "flux")
    (copy / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(ModelError, match=r"Sana \(SanaPipeline\)[^|]*flux has a FluxPipeline"):
        find_checkpoint(str(copy))
