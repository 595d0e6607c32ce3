"""Guidance in a part of the steps: fewer passes of the denoiser, the same where it covers all, and part of a job."""

from dataclasses import replace

import numpy as np
import pytest

from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.jobs import Job
from tests.balancer.generators.test_stable_diffusion import from_images, jobs
from tests.support.tiny_models import write_pipeline


def drawing(folder, root=None, steps=5):
    found = find_checkpoint(str(folder))
    config = resolve_config(found, None, SamplingOptions(steps=steps, batch_size=2, device="cpu"))
    return StableDiffusion(found, None, config, "cpu", root), config


def seen(maker):
    """How many images the denoiser gets at each of its passes."""
    counts = []
    maker.pipe.unet.conv_in.register_forward_pre_hook(lambda _, given: counts.append(len(given[0])))
    return counts


@pytest.mark.parametrize("xl", [False, True], ids=["sd", "xl"])
def test_the_denoiser_sees_half_outside_of_the_interval(tmp_path, xl):
    maker, config = drawing(write_pipeline(tmp_path / "m", xl=xl))
    counts = seen(maker)
    maker.generate(jobs(replace(config, guidance_interval=(0.2, 0.6)), 2))
    assert counts == [2, 4, 4, 2, 2]


def test_the_whole_interval_is_plain_guidance_and_none_is_no_guidance(checkpoint):
    maker, config = drawing(checkpoint)

    def drawn(**changes):
        return np.stack(maker.generate(jobs(replace(config, **changes), 2))).astype(int)

    np.testing.assert_array_equal(drawn(guidance_interval=(0.0, 1.0)), drawn())
    unguided = drawn(guidance_interval=(0.0, 0.01))
    assert np.abs(unguided - drawn(guidance_scale=1.0)).max() <= 1
    assert np.abs(unguided - drawn()).max() > 1


def test_an_edited_image_counts_from_the_noise_that_it_begins_with(checkpoint, xrays):
    maker, config = drawing(checkpoint, xrays)
    counts = seen(maker)
    maker.generate(from_images(replace(config, guidance_interval=(0.0, 0.6)), xrays, [0.6]))
    assert counts == [2, 1, 1]


def test_it_is_part_of_a_job_and_jobs_without_are_as_they_were(checkpoint):
    _, config = drawing(checkpoint)
    plain, limited = jobs(config, 1)[0], jobs(replace(config, guidance_interval=(0.2, 0.8)), 1)[0]
    assert plain.id != limited.id
    assert "interval" not in plain.to_json()
    assert Job.from_json(limited.to_json()) == limited
    assert Job.from_json(plain.to_json()) == plain
