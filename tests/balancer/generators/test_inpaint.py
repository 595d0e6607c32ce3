import json

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline, StableDiffusionPipeline, UNet2DConditionModel

from balancer import DoctorSettings, Workspace, doctor
from balancer.collection.run_lengths import runs_to_text, to_runs
from balancer.errors import GenerationError, ModelError
from balancer.generators.img2img import encode_image
from balancer.generators.inpaint import hidden, latent_masks
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.imaging.decode import read_grey
from balancer.jobs import Job, ModeDraw
from tests.balancer.generators.test_stable_diffusion import from_images, jobs
from tests.support.tiny_models import write_pipeline

MASK = np.zeros((32, 32), bool)
MASK[9:15, 20:25] = True
FEW = SamplingOptions(steps=6, batch_size=4, device="cpu")


def painted(config, root, masks, strength=0.9):
    made = from_images(config, root, [strength] * len(masks))
    return [
        Job(**{**vars(job), "method": ModeDraw("inpaint", job.method.source, strength, None, mask, "a box")})
        for job, mask in zip(made, [runs_to_text(to_runs(mask)) for mask in masks], strict=True)
    ]


@pytest.fixture(scope="module")
def inpainting(tmp_path_factory, checkpoint):
    """The tiny checkpoint with a UNet of nine channels, as those for inpainting have."""
    folder = tmp_path_factory.mktemp("models") / "tiny-inpaint"
    pipe = StableDiffusionPipeline.from_pretrained(checkpoint, use_safetensors=True, local_files_only=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel.from_config({**pipe.unet.config, "in_channels": 9})
    parts = {**pipe.components, "unet": unet}
    StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("xl", [False, True], ids=["sd", "xl"])
def test_outside_the_mask_latents_stay_those_of_the_source(tmp_path, xrays, xl):
    found = find_checkpoint(str(write_pipeline(tmp_path / "m", xl=xl)))
    config = resolve_config(found, None, FEW)
    maker = StableDiffusion(found, None, config, "cpu", xrays)
    some = painted(config, xrays, [MASK, ~MASK])
    with torch.inference_mode():
        latents = maker._painted(some, 0.9)
        chance = [torch.Generator().manual_seed(job.seed) for job in some]
        begun = torch.cat(
            [encode_image(maker.pipe.vae, maker._source(job), g) for job, g in zip(some, chance, strict=True)]
        )
        inside = latent_masks(some, 2)[:, :, ::2, ::2].expand_as(begun) > 0
    torch.testing.assert_close(latents[~inside], begun[~inside])
    assert (latents[inside] - begun[inside]).abs().mean() > 0.05


def test_masks_strengths_and_text_are_drawn_in_one_batch_as_each_would_be_alone(checkpoint, xrays):
    found = find_checkpoint(str(checkpoint))
    config = resolve_config(found, None, FEW)
    maker = StableDiffusion(found, None, config, "cpu", xrays)
    some = [*painted(config, xrays, [MASK, np.roll(MASK, 5)]), *from_images(config, xrays, [0.9]), *jobs(config, 1)]
    together, alone = maker.generate(some), [maker.generate([job])[0] for job in some]
    assert all(np.abs(one.astype(int) - other).max() <= 1 for one, other in zip(together, alone, strict=True))
    assert len({image.tobytes() for image in together}) == 4


def test_a_checkpoint_for_inpainting_paints_its_own_way_and_nothing_else(inpainting, xrays):
    found = find_checkpoint(str(inpainting))
    assert (found.is_for_inpainting, found.is_xl, found.pipeline) == (True, False, "StableDiffusionInpaintPipeline")
    config = resolve_config(found, None, FEW)
    maker = StableDiffusion(found, None, config, "cpu", xrays)
    first, other = painted(config, xrays, [MASK, np.roll(MASK, 8)])
    images = maker.generate([first, other])
    assert [image.shape for image in images] == [(32, 32)] * 2
    again = maker.generate([first])[0]
    assert np.abs(again.astype(int) - images[0]).max() <= 1
    with pytest.raises(GenerationError, match="for inpainting"):
        maker.generate(jobs(config, 1))
    source = read_grey(xrays / first.method.source.path)
    assert (hidden(source, first)[MASK] == 128).all()


def test_a_job_with_a_mask_comes_back_and_one_without_is_written_as_before(checkpoint, xrays):
    config = resolve_config(find_checkpoint(str(checkpoint)), None, FEW)
    job, plain = painted(config, xrays, [MASK])[0], jobs(config, 1)[0]
    again = Job.from_json(job.to_json())
    assert (again, again.id) == (job, job.id)
    np.testing.assert_array_equal(again.mask, MASK)
    assert plain.mask.all()
    assert json.loads(plain.to_json())["method"].keys() == {"mode", "source", "strength", "reference"}


def test_doctor_draws_with_it(inpainting, tmp_path):
    found = doctor(Workspace.open(tmp_path), DoctorSettings(model=str(inpainting)))
    assert {check.name: check.state for check in found.checks}["time"] == "ok"


def test_it_cannot_be_adapted(inpainting):
    from balancer.adapting.lora.base_model import _require_plain_denoiser
    from balancer.generators.models.pipeline import load_pipeline

    found = find_checkpoint(str(inpainting))
    with pytest.raises(ModelError, match="as for inpainting"):
        _require_plain_denoiser(load_pipeline(found, torch.float32), found)
