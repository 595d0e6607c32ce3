"""What is done once instead of at each step leaves images and weights as they are."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from balancer.generators.guidance import guided_within
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.models.pipeline import load_pipeline
from balancer.generators.packed import can_pack, pack, prompts_read_once, unpack
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.scheduler import our_scheduler
from balancer.generators.stable_diffusion import StableDiffusion
from tests.balancer.generators.test_stable_diffusion import jobs
from tests.support.tiny_models import write_pipeline

needs_packing = pytest.mark.skipif(not can_pack("cpu", torch.float32), reason="torch has no oneDNN for this processor")


def plain(checkpoint):
    """The pipeline as diffusers would draw with it."""
    pipe = load_pipeline(checkpoint, torch.float32)
    pipe.scheduler = our_scheduler(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def latents_of(pipe, some, config):
    """What diffusers' own loop makes of jobs, in one batch."""
    return pipe(
        [job.prompt.text for job in some],
        negative_prompt=[job.prompt.negative for job in some],
        generator=[torch.Generator().manual_seed(job.seed) for job in some],
        num_inference_steps=config.steps,
        guidance_scale=config.guidance_scale,
        width=config.width,
        height=config.height,
        output_type="latent",
    ).images


@pytest.mark.parametrize("xl", [False, True], ids=["sd", "xl"])
def test_latents_are_those_of_diffusers_own_loop(tmp_path, xl):
    checkpoint = find_checkpoint(str(write_pipeline(tmp_path / "m", xl=xl)))
    config = resolve_config(checkpoint, None, SamplingOptions(steps=3, batch_size=2, device="cpu"))
    some, pipe = jobs(config, 2), plain(checkpoint)
    theirs = latents_of(pipe, some, config)
    ours, images = StableDiffusion(checkpoint, None, config, "cpu").draw(some)
    torch.testing.assert_close(ours, theirs, atol=1e-2, rtol=1e-2)
    theirs = pipe.vae.decode(theirs / pipe.vae.config.scaling_factor, return_dict=False)[0].detach()
    for image, colour in zip(images, theirs, strict=True):
        grey = (colour / 2 + 0.5).mean(dim=0).clamp(0, 1) * 255
        torch.testing.assert_close(torch.from_numpy(image).float(), grey, atol=1, rtol=0)


@needs_packing
def test_weights_are_packed_until_somebody_reads_them(checkpoint):
    found = find_checkpoint(str(checkpoint))
    config = resolve_config(found, None, SamplingOptions(steps=2, batch_size=2, device="cpu"))
    maker = StableDiffusion(found, None, config, "cpu")
    packed = maker.generate(jobs(config, 2))
    assert maker.denoiser.conv_in.weight.numel() == 0
    for name, network in (("unet", maker.pipe.unet), ("vae", maker.pipe.vae)):
        for key, value in getattr(plain(found), name).state_dict().items():
            assert torch.equal(network.state_dict()[key], value)
        assert all(weight.requires_grad for weight in network.parameters())
    for one, other in zip(packed, maker.generate(jobs(config, 2)), strict=True):
        torch.testing.assert_close(torch.from_numpy(one).int(), torch.from_numpy(other).int(), atol=1, rtol=0)


@needs_packing
def test_a_packed_network_takes_inputs_of_any_size(checkpoint):
    unet = plain(find_checkpoint(str(checkpoint))).unet
    words = torch.randn(3, 77, unet.config.cross_attention_dim)
    given = [torch.randn(count, 4, side, side) for count, side in ((2, 16), (3, 8), (1, 24))]
    with torch.inference_mode():
        before = [unet(each, 10, words[: len(each)], return_dict=False)[0] for each in given]
        pack(unet)
        after = [unet(each, 10, words[: len(each)], return_dict=False)[0] for each in given]
        torch.testing.assert_close(after, before, atol=1e-2, rtol=1e-2)
        unpack(unet)
        unpack(unet)  # the second has nothing to do
        assert torch.equal(unet(given[0], 10, words[:2], return_dict=False)[0], before[0])


def test_a_prompt_is_read_at_the_first_step_alone(checkpoint):
    pipe = plain(find_checkpoint(str(checkpoint)))
    words = [torch.randn(2, 77, pipe.unet.config.cross_attention_dim) for _ in range(2)]
    latents = torch.randn(2, 4, 16, 16)

    def step(given):
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            made = pipe.unet(latents, 10, given, return_dict=False)[0]
        return made, counter.get_total_flops()

    usual = [step(each) for each in words]
    with prompts_read_once(pipe):
        first, again, other = step(words[0]), step(words[0]), step(words[1])
        assert first[1] == other[1] == usual[0][1] > again[1] == step(words[1])[1]
    assert step(words[0])[1] == usual[0][1]
    for made, wanted in ((first, 0), (again, 0), (other, 1)):
        assert torch.equal(made[0], usual[wanted][0])


def test_limited_guidance_with_prompts_read_once_is_limited_guidance(checkpoint):
    found = find_checkpoint(str(checkpoint))
    config = resolve_config(found, None, SamplingOptions(steps=10, batch_size=2, device="cpu"))
    limited = replace(config, guidance_interval=(0.3, 0.8))
    some, pipe = jobs(limited, 2), plain(found)
    with torch.inference_mode(), guided_within(pipe, limited.guidance_interval):
        theirs = latents_of(pipe, some, config)
    ours, _ = StableDiffusion(found, None, limited, "cpu").draw(some)
    torch.testing.assert_close(ours, theirs, atol=1e-2, rtol=1e-2)
