"""The networks of the from-scratch trainer, with a few thousand weights, and how its checkpoint draws."""

from dataclasses import replace
from pathlib import Path

import torch

from balancer.adapting.scratch.networks import build_autoencoder
from balancer.adapting.scratch.train import train_from_scratch
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.scheduler import USUAL as USUAL_WAY
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.imaging.decode import OutputFormat
from balancer.jobs import Job, ModeDraw, job_seed
from balancer.prompting.packs import load_pack
from balancer.prompting.prompts import make_prompt
from tests.balancer.adapting.scratch.test_train import TINY, collection  # noqa: F401

PACKS = dict.fromkeys(("normal", "nodule"), load_pack("chest"))


def test_an_autoencoder_halves_as_often_and_gives_grey():
    autoencoder = build_autoencoder(TINY).eval()
    with torch.no_grad():
        latents = autoencoder.encode(torch.rand(2, 3, 16, 16)).latents
        decoded = autoencoder.decode(latents).sample
    assert latents.shape == (2, 4, 4, 4)
    assert decoded.shape == (2, 3, 16, 16)
    assert torch.allclose(decoded[:, 0], decoded[:, 1], atol=1e-6)


def test_a_checkpoint_draws_as_fill_draws(collection, tmp_path: Path):  # noqa: F811
    root, samples = collection
    settings = replace(TINY, steps=2, sample_every=0.9)
    made = train_from_scratch(samples, root, PACKS, settings, tmp_path / "small", "ab" * 32)
    checkpoint = find_checkpoint(str(made))
    config = resolve_config(checkpoint, None, SamplingOptions(steps=3, device="cpu"))
    assert config.scheduler == f"{USUAL_WAY}, stochastic"
    assert config.guidance_scale == 1.0
    prompt, file = make_prompt(PACKS["nodule"], "nodule", 0, 0), OutputFormat("PNG", ".png", "L", 8, None)
    job = Job("nodule", 0, prompt, job_seed(0, "nodule", 0), config, ModeDraw(), file)
    generator = StableDiffusion(checkpoint, None, config, "cpu")
    latents, (image,) = generator.draw([job])
    _, beside = generator.draw([replace(job, seed=job.seed + 1), job])
    assert image.shape == (16, 16)
    assert (beside[1] == image).all()  # its noise is its own, whatever is drawn with it
    assert bool(latents.isfinite().all())
    assert float(latents.std()) > 0.1
