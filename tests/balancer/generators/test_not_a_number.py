"""Values that are not numbers: with half precision made again in float32, otherwise an error that names the cause."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from balancer.dataset.provenance import provenance_bytes
from balancer.devices import MADE_AGAIN
from balancer.errors import NotANumber
from balancer.filling.runner import Batch, Maker
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.jobs import Candidate, Verdict
from tests.balancer.generators.test_stable_diffusion import jobs
from tests.support.tiny_models import write_lora

JUDGED = Verdict("accept", {}, (), "nobody")


def drawing(folder, precision="float16", adapter=None, **options):
    found = find_checkpoint(str(folder))
    sampling = SamplingOptions(steps=2, batch_size=2, device="cpu", precision=precision)
    config = resolve_config(found, None, sampling)
    return StableDiffusion(found, adapter, config, "cpu", **options), jobs(config, 2)


@pytest.fixture
def spoilt(checkpoint, tmp_path):
    """A copy of the checkpoint, one tensor of which is changed."""

    def change(part, name, how):
        folder = shutil.copytree(checkpoint, tmp_path / "spoilt")
        file = next((folder / part).glob("*.safetensors"))
        weights = load_file(file)
        key = next(each for each in weights if each.endswith(name))
        save_file({**weights, key: how(weights[key])}, file)
        return folder

    return change


def with_nan(value):
    value = value.clone()
    value.view(-1)[0] = float("nan")
    return value


def larger(value):
    """Weights that stay within half precision, and what they give does not; the normalisation behind undoes it."""
    return value * 2e5


@pytest.mark.parametrize(("part", "name"), [("vae", "decoder.conv_in.weight"), ("unet", "conv_in.weight")])
def test_what_overflows_in_half_precision_is_made_in_float32_and_recorded(spoilt, part, name):
    folder = spoilt(part, name, larger)
    half, batch = drawing(folder)
    exact, _ = drawing(folder, "float32")
    made = Maker(lambda: half)(Batch(batch))
    np.testing.assert_array_equal(made.images, exact.generate(batch))
    assert made.device.endswith(MADE_AGAIN)
    row = provenance_bytes([("a.png", "", Candidate("nodule", folder, "", batch[0], device=made.device), JUDGED)])
    assert b",float32,2," in row
    assert MADE_AGAIN.encode() in row
    assert not Maker(lambda: exact)(Batch(batch)).device.endswith(MADE_AGAIN)


def test_the_latents_of_an_adapters_check_are_made_again_too(spoilt):
    half, batch = drawing(spoilt("unet", "conv_in.weight", larger))
    latents, images = half.draw(batch)
    assert bool(torch.isfinite(latents).all())
    assert half.made_again
    assert images[0].std() > 0


def test_networks_that_are_being_taught_are_not_replaced_by_those_of_the_files(spoilt):
    half, batch = drawing(spoilt("vae", "decoder.conv_in.weight", larger), again=False)
    with pytest.raises(NotANumber, match="finite numbers from the autoencoder"):
        half.generate(batch)


@pytest.mark.parametrize(
    ("part", "name"),
    [("vae", "decoder.conv_in.weight"), ("unet", "conv_in.weight"), ("text_encoder", "final_layer_norm.weight")],
)
@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_weights_that_are_no_numbers_are_named(spoilt, part, name, precision):
    maker, batch = drawing(spoilt(part, name, with_nan), precision)
    with pytest.raises(NotANumber, match=rf"spoilt: {part}: .*{name} holds values that are not a number"):
        maker.generate(batch)


def test_an_adapter_that_is_no_number_is_named(checkpoint, tmp_path):
    folder = write_lora(tmp_path / "mine", checkpoint)
    file = next(folder.glob("*.safetensors"))
    save_file({name: with_nan(value) for name, value in load_file(file).items()}, file)
    maker, batch = drawing(checkpoint, "float32", file)
    with pytest.raises(NotANumber, match=r"mine/.*holds values that are not a number"):
        maker.generate(batch)


def test_a_prediction_beyond_all_sense_is_the_denoisers(spoilt):
    maker, batch = drawing(spoilt("unet", "conv_out.weight", lambda value: value * 1e38), "float32")
    with pytest.raises(NotANumber, match=r"from the denoiser\n.*in float32 too, from weights that are finite"):
        maker.generate(batch)


def test_a_noise_schedule_that_makes_no_numbers_is_named(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "spoilt")
    place = folder / "scheduler" / "scheduler_config.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "beta_end": 3.0}))
    with pytest.raises(NotANumber, match=r"spoilt: scheduler/scheduler_config\.json"):
        drawing(folder, "float32")


def test_a_schedule_that_spoils_sound_predictions_is_told_from_the_denoiser(checkpoint):
    maker, batch = drawing(checkpoint, "float32")
    step = maker.pipe.scheduler.step
    maker.pipe.scheduler.step = lambda *given, **more: tuple(each * float("nan") for each in step(*given, **more)[:1])
    with pytest.raises(NotANumber, match="a noise schedule whose steps stay finite"):
        maker.generate(batch)
