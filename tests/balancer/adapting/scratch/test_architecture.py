"""Each choice of the from-scratch trainer, on networks of a few thousand weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from balancer.adapting.common import losses, rng
from balancer.adapting.scratch import captions
from balancer.adapting.scratch.architecture import USUAL, Architecture
from balancer.adapting.scratch.networks import build_autoencoder, build_scheduler, signal_shares
from balancer.adapting.scratch.train import train_from_scratch
from balancer.errors import ModelError
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.scheduler import USUAL as USUAL_WAY
from balancer.generators.scheduler import ZERO_TERMINAL, our_scheduler
from balancer.generators.stable_diffusion import SamplingOptions, StableDiffusion, resolve_config
from balancer.imaging.decode import OutputFormat
from balancer.jobs import Job, ModeDraw, job_seed
from balancer.prompting.packs import load_pack
from balancer.prompting.prompts import make_prompt
from tests.balancer.adapting.scratch.test_train import TINY, collection  # noqa: F401

PACKS = dict.fromkeys(("normal", "nodule"), load_pack("chest"))
ZERO = Architecture(zero_terminal_snr=True, noise_levels="even")


def test_zero_terminal_snr_ends_in_pure_noise_and_else_changes_little():
    usual, zero = signal_shares(USUAL), signal_shares(ZERO)
    assert float(usual[-1]) == pytest.approx(0.00466, abs=1e-5)
    assert (float(zero[-1]), zero[0]) == (0.0, usual[0])
    assert bool((zero.diff() < 0).all())
    # what draws has the same schedule, but for the rest that keeps its first sigma finite
    assert torch.allclose(build_scheduler(ZERO).alphas_cumprod[:-1], zero[:-1], atol=1e-6)


def test_what_draws_begins_where_the_schedule_ends():
    scheduler = our_scheduler(build_scheduler(ZERO).config)
    scheduler.set_timesteps(10)
    assert int(scheduler.timesteps[0]) == 999
    assert not scheduler.config.use_karras_sigmas


@pytest.mark.parametrize("levels", ["middle", "min-snr"])
def test_zero_terminal_snr_without_even_levels_is_refused(levels):
    with pytest.raises(ModelError, match="the last level is never trained"):
        Architecture(zero_terminal_snr=True, noise_levels=levels)


def test_levels_of_the_middle_are_logit_normal():
    chance = rng.generator(0, "levels", 0)
    levels = (rng.draw_timesteps(100_000, 1000, chance, middle=True) + 0.5) / 1000
    normal = torch.logit(levels)
    assert float(normal.mean()) == pytest.approx(0, abs=0.01)
    assert float(normal.std()) == pytest.approx(1, abs=0.01)
    assert float((levels < 0.25).float().mean()) == pytest.approx(0.136, abs=0.002)  # where ln(1/3) cuts the normal


def test_without_min_snr_all_noise_levels_count_alike():
    predicted, target = torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1)
    shares = torch.tensor([0.0, 0.5])
    assert float(losses.velocity_loss(predicted, target, shares, min_snr=False)) == 1
    assert float(losses.velocity_loss(predicted, target, shares)) == 0.25


def test_without_edges_the_loss_is_that_of_grey_values():
    flat, step = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    step[..., 8:] = 1
    assert float(losses.reconstruction_loss(flat, step, 0)) == 0.5
    assert float(losses.reconstruction_loss(flat, step, 2.0)) > 0.5


@pytest.mark.parametrize("kind", ["tiny", "kl"])
def test_an_autoencoder_halves_as_often_and_gives_grey(kind):
    settings = replace(TINY, design=Architecture(autoencoder=kind))
    autoencoder = build_autoencoder(settings).eval()
    with torch.no_grad():
        found = autoencoder.encode(torch.rand(2, 3, 16, 16))
        latents = found.latents if kind == "tiny" else found.latent_dist.mean
        decoded = autoencoder.decode(latents).sample
    assert latents.shape == (2, 4, 4, 4)
    assert decoded.shape == (2, 3, 16, 16)
    assert torch.allclose(decoded[:, 0], decoded[:, 1], atol=1e-6)


def test_classes_begin_nearly_as_one_and_common_words_do_not():
    tokenizer = captions.build_tokenizer(*captions.train_vocabulary(PACKS, TINY.vocabulary))
    apart = captions.distinct_tokens(tokenizer, PACKS)
    assert apart
    torch.manual_seed(0)
    plain = captions.build_text_encoder(TINY, tokenizer, PACKS).get_input_embeddings().weight.detach()
    torch.manual_seed(0)
    settings = replace(TINY, design=Architecture(factored=True))
    rows = captions.build_text_encoder(settings, tokenizer, PACKS).get_input_embeddings().weight.detach()
    own, others = sorted(apart), [token for token in range(len(rows)) if token not in apart]
    assert torch.equal(rows[others], plain[others])
    assert torch.allclose(rows[own].mean(dim=0), plain[own].mean(dim=0), atol=1e-6)
    assert torch.allclose(rows[own].std(dim=0), 0.1 * plain[own].std(dim=0), rtol=1e-3)


def test_a_fifth_of_the_captions_says_what_all_classes_have_in_common():
    settings = replace(TINY, design=Architecture(factored=True), batch_size=2000, caption_dropout=1e-9)
    found = captions.draw_captions(PACKS, ["nodule"] * 2000, 0, settings)
    usual = captions.draw_captions(PACKS, ["nodule"] * 2000, 0, replace(settings, design=USUAL))
    common = [caption for caption, whole in zip(found, usual, strict=True) if caption != whole]
    assert 340 < len(common) < 460
    assert not any("nodule" in caption for caption in common)


def test_common_captions_name_no_class():
    for label in PACKS:
        prompt = make_prompt(PACKS[label], label, 0, 0)
        assert prompt.slots["finding"] not in captions.common_text(prompt)


@pytest.mark.parametrize(
    ("design", "scheduler"),
    [
        (Architecture(autoencoder="kl", edge_weight=0.0), f"{USUAL_WAY}, stochastic"),
        (ZERO, f"{ZERO_TERMINAL}, stochastic"),
        (Architecture(factored=True), f"{USUAL_WAY}, stochastic"),
        (Architecture(stochastic=False), USUAL_WAY),
    ],
    ids=["kl", "zero terminal", "factored", "deterministic"],
)
def test_a_checkpoint_of_each_design_draws_as_fill_draws(collection, tmp_path: Path, design, scheduler):  # noqa: F811
    root, samples = collection
    settings = replace(TINY, steps=2, sample_every=0.9, design=design)
    made = train_from_scratch(samples, root, PACKS, settings, tmp_path / "small", "ab" * 32)
    checkpoint = find_checkpoint(str(made))
    config = resolve_config(checkpoint, None, SamplingOptions(steps=3, device="cpu"))
    assert config.scheduler == scheduler
    assert config.guidance_scale == (1.0 if design.stochastic else 3.0)
    prompt, file = make_prompt(PACKS["nodule"], "nodule", 0, 0), OutputFormat("PNG", ".png", "L", 8, None)
    job = Job("nodule", 0, prompt, job_seed(0, "nodule", 0), config, ModeDraw(), file)
    generator = StableDiffusion(checkpoint, None, config, "cpu")
    latents, (image,) = generator.draw([job])
    _, beside = generator.draw([replace(job, seed=job.seed + 1), job])
    assert image.shape == (16, 16)
    assert (beside[1] == image).all()  # its noise is its own, whatever is drawn with it
    assert bool(latents.isfinite().all())
    assert float(latents.std()) > 0.1
