import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from balancer.collection.scan import Sample
from balancer.errors import CollectionError, GenerationError, ModelError, OutOfMemory
from balancer.files import sha256_of
from balancer.filling.runner import Batch, LocalRunner
from balancer.generators.models.checkpoint import find_adapter, find_checkpoint
from balancer.generators.models.tokens import require_tokens_fit
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.imaging.decode import OutputFormat
from balancer.jobs import Job, ModeDraw, job_seed
from balancer.prompting.packs import load_pack
from balancer.prompting.prompts import make_prompt
from tests.support.tiny_models import write_lora, write_pipeline, write_single_file

OUTPUT = OutputFormat("PNG", ".png", "L", 8, None)
QUICK = SamplingOptions(steps=2, batch_size=4, device="cpu")


def jobs(config, count=4, label="nodule"):
    pack = load_pack("chest")
    prompts = [make_prompt(pack, label, index) for index in range(count)]
    return [
        Job(label, i, prompt, job_seed(0, label, i), config, ModeDraw(), OUTPUT) for i, prompt in enumerate(prompts)
    ]


def generator(folder, adapter=None, sampling=QUICK):
    found = find_checkpoint(str(folder))
    file, ref = (None, None) if adapter is None else find_adapter(adapter)
    config = resolve_config(found, ref, sampling)
    return StableDiffusion(found, file, config, "cpu"), config


@pytest.mark.parametrize("xl", [False, True], ids=["sd", "xl"])
def test_every_job_gets_its_grey_image(tmp_path, xl):
    maker, config = generator(write_pipeline(tmp_path / "m", xl=xl))
    images = maker.generate(jobs(config))
    assert [(image.shape, image.dtype) for image in images] == [((32, 32), np.uint8)] * 4
    assert len({image.tobytes() for image in images}) == 4


def test_an_image_depends_on_its_own_job_and_not_on_its_place(checkpoint):
    maker, config = generator(checkpoint)
    first, second, *_ = jobs(config)
    forth, back = maker.generate([first, second]), maker.generate([second, first])
    np.testing.assert_array_equal(forth[0], back[1])
    np.testing.assert_array_equal(forth[1], back[0])


def test_the_same_batch_gives_the_same_bytes_in_another_generator(checkpoint):
    (one, config), (two, _) = generator(checkpoint), generator(checkpoint)
    np.testing.assert_array_equal(one.generate(jobs(config)), two.generate(jobs(config)))


def test_guidance_and_prompt_take_part(checkpoint):
    maker, config = generator(checkpoint)
    job = jobs(config, 1)[0]
    other = replace(job, config=replace(config, guidance_scale=9.0))
    assert maker.generate([job])[0].tobytes() != maker.generate([other])[0].tobytes()


def test_images_of_different_guidance_are_made_in_one_batch(checkpoint):
    maker, config = generator(checkpoint)
    batch = [
        replace(job, config=replace(config, guidance_scale=n))
        for n, job in zip((9, 1, 9, 1), jobs(config), strict=True)
    ]
    together, alone = maker.generate(batch), [maker.generate([job])[0] for job in batch]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.astype(int), other.astype(int), atol=1)


def test_an_adapter_changes_the_image_and_its_record(checkpoint, tmp_path):
    adapter = write_lora(tmp_path / "lora", checkpoint)
    plain, config = generator(checkpoint)
    adapted, adapted_config = generator(checkpoint, adapter)
    assert plain.generate(jobs(config, 1))[0].tobytes() != adapted.generate(jobs(adapted_config, 1))[0].tobytes()
    assert (adapted_config.adapter.name, adapted_config.adapter_scale) == ("lora", 1.0)
    assert jobs(config, 1)[0].id != jobs(adapted_config, 1)[0].id


def test_one_file_with_its_configuration_draws_what_its_folder_draws(checkpoint, tmp_path):
    single, config = generator(write_single_file(tmp_path / "model.safetensors", checkpoint))
    whole, _ = generator(checkpoint)
    np.testing.assert_array_equal(single.generate(jobs(config, 2)), whole.generate(jobs(config, 2)))
    assert config.model.name == "model.safetensors"


def test_half_precision_files_alone_are_a_model_too(checkpoint, tmp_path):
    half = shutil.copytree(checkpoint, tmp_path / "half")
    for file in half.rglob("*.safetensors"):
        file.rename(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    assert find_checkpoint(str(half)).variant == "fp16"
    maker, config = generator(half)
    whole, _ = generator(checkpoint)
    np.testing.assert_array_equal(maker.generate(jobs(config, 2)), whole.generate(jobs(config, 2)))


def test_one_file_without_its_configuration_is_refused(checkpoint, tmp_path):
    single = write_single_file(tmp_path / "model.safetensors", checkpoint)
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(ModelError, match="without a folder model"):
        find_checkpoint(str(single))


def test_what_a_checkpoint_is(checkpoint):
    found = find_checkpoint(str(checkpoint))
    assert (found.ref.name, found.ref.revision, len(found.ref.sha256)) == ("tiny-sd", None, 64)
    assert (found.scale_factor, found.native_size, found.is_xl, found.variant) == (2, 32, False, None)


def test_other_weights_are_another_model(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "tiny-sd")
    assert find_checkpoint(str(copy)).ref == find_checkpoint(str(checkpoint)).ref
    weights = copy / "vae" / "diffusion_pytorch_model.safetensors"
    save_file({name: value * 2 for name, value in load_file(weights).items()}, weights)
    assert find_checkpoint(str(copy)).ref != find_checkpoint(str(checkpoint)).ref


def broken(checkpoint, tmp_path, mend):
    copy = shutil.copytree(checkpoint, tmp_path / "broken")
    mend(copy)
    with pytest.raises(ModelError) as caught:
        find_checkpoint(str(copy))
    return str(caught.value)


def index_with(**entries):
    def mend(folder):
        index = json.loads((folder / "model_index.json").read_text())
        (folder / "model_index.json").write_text(json.dumps({**index, **entries}))

    return mend


@pytest.mark.parametrize(
    ("mend", "found"),
    [
        (lambda folder: (folder / "model_index.json").unlink(), "model_index.json"),
        (lambda folder: (folder / "model_index.json").write_text("{"), "model_index.json"),
        (lambda folder: shutil.rmtree(folder / "vae"), "broken lacks its vae"),
        (index_with(unet=[None, None]), "broken lacks its unet"),
        (index_with(unet=["evil", "UNet2DConditionModel"]), "evil.UNet2DConditionModel as its unet"),
        (index_with(text_encoder=["transformers", "T5EncoderModel"]), "transformers.T5EncoderModel"),
        (index_with(_class_name="FluxPipeline"), "a FluxPipeline"),
        (lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").unlink(), "lacks its unet's weights"),
        (
            lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").rename(f / "unet" / "model.bin"),
            "broken holds model.bin",
        ),
    ],
)
def test_what_is_not_a_whole_safe_stable_diffusion_is_refused_before_loading(checkpoint, tmp_path, mend, found):
    assert found in broken(checkpoint, tmp_path, mend)


def test_a_checkpoint_as_pickle_is_refused(tmp_path):
    (tmp_path / "sd.ckpt").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=r"holds sd\.ckpt"):
        find_checkpoint(str(tmp_path / "sd.ckpt"))


def test_a_fetched_name_is_found_in_the_local_cache(checkpoint, tmp_path):
    revision = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--somebody--xray-sd"
    shutil.copytree(checkpoint, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    program = (
        "from balancer.generators.models.checkpoint import find_checkpoint\n"
        "ref = find_checkpoint('somebody/xray-sd').ref; print(ref.name, ref.revision, len(ref.sha256))"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["somebody/xray-sd", revision, "64"]


@pytest.mark.parametrize("name", ["nobody/nothing", "no such folder", "../x"])
def test_an_unknown_name_says_how_to_get_a_model(name):
    with pytest.raises(ModelError, match="balance adapt --from-scratch"):
        find_checkpoint(name)


def test_without_a_name_the_newest_adapted_one_is_taken(checkpoint, tmp_path):
    assert find_checkpoint(None, [checkpoint, tmp_path / "older"]).ref.name == "tiny-sd"
    with pytest.raises(ModelError, match="which adapt made here, is missing"):
        find_checkpoint(None, [tmp_path / "gone", checkpoint])
    with pytest.raises(ModelError, match="no model that was adapted here"):
        find_checkpoint(None, [])


def test_weights_that_do_not_load_are_a_message(checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "cut")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cut"):
        generator(copy)


def test_an_adapter_of_another_model_is_a_message(checkpoint, tmp_path):
    other = write_pipeline(tmp_path / "other", xl=True)
    with pytest.raises(ModelError, match="a LoRA adapter that fits"):
        generator(checkpoint, write_lora(tmp_path / "lora", other))


def test_an_adapter_that_matches_nothing_is_a_message(checkpoint, tmp_path):
    layers = {f"transformer.foo.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}
    save_file(layers, tmp_path / "nothing.safetensors")
    with pytest.raises(ModelError, match="a LoRA adapter that fits"):
        generator(checkpoint, tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("damage", ["tokenizer.json", "all"])
def test_a_damaged_vocabulary_is_a_message(checkpoint, tmp_path, damage):
    copy = shutil.copytree(checkpoint, tmp_path / "m")
    for file in (copy / "tokenizer").iterdir():
        if file.name != "tokenizer_config.json":
            file.write_text("{") if damage == file.name else file.unlink()
    with pytest.raises(ModelError, match="needed"):
        require_tokens_fit(find_checkpoint(str(copy)), [make_prompt(load_pack("chest"), "nodule", 0)])


def test_a_configuration_without_sizes_is_a_message(checkpoint, tmp_path):
    for part, what in (("unet", "sample_size"), ("vae", "block_out_channels")):
        copy = shutil.copytree(checkpoint, tmp_path / part)
        (copy / part / "config.json").write_text("{}")
        with pytest.raises(ModelError, match=what):
            _ = find_checkpoint(str(copy)).native_size


def test_guidance_is_a_number(checkpoint):
    with pytest.raises(ModelError, match="guidance"):
        resolve_config(find_checkpoint(str(checkpoint)), None, SamplingOptions(guidance_scale=float("nan")))


def test_sizes_that_the_model_cannot_make_are_refused(checkpoint):
    with pytest.raises(ModelError, match="--size 32"):
        resolve_config(find_checkpoint(str(checkpoint)), None, SamplingOptions(size=33))
    assert resolve_config(find_checkpoint(str(checkpoint)), None, SamplingOptions(size=64)).width == 64
    wide = resolve_config(find_checkpoint(str(checkpoint)), None, SamplingOptions(size=64, aspect=99))
    assert (wide.width, wide.height) == (88, 48)  # twice as wide as high, at most


def test_a_device_that_is_not_there_is_refused(checkpoint):
    with pytest.raises(ModelError, match="--device tpu"):
        resolve_config(find_checkpoint(str(checkpoint)), None, SamplingOptions(device="tpu"))


def test_a_prompt_that_would_be_cut_is_refused(checkpoint):
    found = find_checkpoint(str(checkpoint))
    prompt = make_prompt(load_pack("chest"), "nodule", 0)
    require_tokens_fit(found, [prompt])
    with pytest.raises(ModelError, match="at most 77 tokens"):
        require_tokens_fit(found, [replace(prompt, text="spiculated nodule " * 50)])


class Small:
    """A generator with room for two images."""

    def __init__(self):
        self.calls = []

    def generate(self, batch):
        self.calls.append(len(batch))
        if len(batch) > 2:
            raise OutOfMemory(needed="", found="", next_step="")
        return [np.full((2, 2), job.index, np.uint8) for job in batch]


def test_a_batch_that_does_not_fit_is_halved_and_stays_halved(checkpoint):
    config = resolve_config(find_checkpoint(str(checkpoint)), None, QUICK)
    small = Small()
    batches = [Batch(jobs(config, 8)), Batch(jobs(config, 8))]
    made = list(LocalRunner()(lambda: small, batches))
    assert [each.images[:, 0, 0].tolist() for each in made] == [list(range(8))] * 2
    assert small.calls == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]


def from_images(config, root, strengths):
    """Jobs that begin with real images of another class; `None`: from text."""
    files = sorted((root / "NORMAL").iterdir())
    sources = [Sample(f"NORMAL/{file.name}", "NORMAL", None, sha256_of(file)) for file in files]
    made = zip(jobs(config, len(strengths)), strengths, sources, strict=False)
    return [job if s is None else replace(job, method=ModeDraw("mix", source, s)) for job, s, source in made]


@pytest.mark.parametrize("xl", [False, True], ids=["sd", "xl"])
def test_source_and_strength_take_part(tmp_path, xrays, xl):
    found = find_checkpoint(str(write_pipeline(tmp_path / "m", xl=xl)))
    config = resolve_config(found, None, SamplingOptions(steps=10, batch_size=4, device="cpu"))
    maker = StableDiffusion(found, None, config, "cpu", xrays)
    weak, strong = from_images(config, xrays, [0.1])[0], from_images(config, xrays, [0.9])[0]
    other = replace(weak, method=from_images(config, xrays, [0.1, 0.1])[1].method)
    images = maker.generate([weak, strong, other, jobs(config, 1)[0]])
    assert len({image.tobytes() for image in images}) == 4
    assert all((image.shape, image.dtype) == ((32, 32), np.uint8) for image in images)


def test_a_batch_of_several_strengths_is_what_each_would_be_alone(checkpoint, xrays):
    found = find_checkpoint(str(checkpoint))
    config = resolve_config(found, None, SamplingOptions(steps=4, batch_size=4, device="cpu"))
    maker = StableDiffusion(found, None, config, "cpu", xrays)
    several = from_images(config, xrays, [0.5, None, 0.9, 0.5])
    together, alone = maker.generate(several), [maker.generate([job])[0] for job in several]
    assert all(np.abs(one.astype(int) - other).max() <= 1 for one, other in zip(together, alone, strict=True))
    text = generator(checkpoint, sampling=SamplingOptions(steps=4, batch_size=4, device="cpu"))[0].generate(
        [several[1]]
    )
    np.testing.assert_array_equal(alone[1], text[0])


def test_a_source_that_changed_or_a_missing_collection_is_refused(checkpoint, xrays):
    found = find_checkpoint(str(checkpoint))
    config = resolve_config(found, None, QUICK)
    job = from_images(config, xrays, [0.5])[0]
    with pytest.raises(GenerationError, match="a job of mode mix without"):
        StableDiffusion(found, None, config, "cpu").generate([job])
    (xrays / job.method.source.path).write_bytes(b"another")
    with pytest.raises(CollectionError, match="another content"):
        StableDiffusion(found, None, config, "cpu", xrays).generate([job])
