"""What an adapter changes: the same seeds drawn with it and without it, exactly as `fill` draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from balancer.adapting.common.image_tensors import contact_sheet
from balancer.errors import ModelError, OutOfMemory
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.protocol import ImageGenerator
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.imaging.decode import GreyImage, OutputFormat, resize
from balancer.jobs import GenerationConfig, Job, ModeDraw, ModelRef, job_seed
from balancer.prompting.packs import Packs
from balancer.prompting.prompts import Prompt, make_prompt

LEAST_GREY = 0.01
"""A smaller mean absolute difference, in grey levels of 255, is no change: nobody and no file could tell."""
_DRAWN = 32
_TILE = 96
_NO_FILE = OutputFormat("PNG", ".png", "L", 8, None)

Rows = Mapping[str, Sequence[GreyImage]]


@dataclass(frozen=True, slots=True)
class AdapterEffect:
    """Mean absolute difference of the pixels, in grey levels of 255, and of the latents, in their standard deviation
    without the adapter; over `images` pairs of the same seed."""

    grey_levels: float
    latents: float
    images: int


def sample_prompts(packs: Packs, columns: int, seed: int) -> dict[str, list[Prompt]]:
    """`columns` fixed prompts for each label."""
    return {label: [make_prompt(pack, label, n, seed) for n in range(columns)] for label, pack in packs.items()}


def sample_jobs(packs: Packs, config: GenerationConfig, columns: int, seed: int) -> list[Job]:
    """Fixed prompts and seeds, `columns` of them for each label."""
    return [
        Job(label, column, prompt, job_seed(seed, label, column), config, ModeDraw(), _NO_FILE)
        for label, prompts in sample_prompts(packs, columns, seed).items()
        for column, prompt in enumerate(prompts)
    ]


def own_prompts(texts: Sequence[str], packs: Packs) -> list[Prompt]:
    """The user's own prompts, with the negative text of the first class."""
    negative = next((pack.negative for pack in packs.values()), "")
    return [Prompt(text, negative, text, {}) for text in texts]


def own_jobs(prompts: Sequence[Prompt], config: GenerationConfig, columns: int, seed: int) -> list[Job]:
    """`columns` images of each of the user's prompts, as "prompt 1" and so on; all prompts have the same seeds."""
    return [
        Job(f"prompt {place + 1}", n, prompt, job_seed(seed, "validation", n), config, ModeDraw(), _NO_FILE)
        for place, prompt in enumerate(prompts)
        for n in range(columns)
    ]


def draw_rows(generator: ImageGenerator, jobs: Sequence[Job]) -> dict[str, list[GreyImage]]:
    """The images of all jobs, by label; a batch that does not fit is drawn in halves."""
    rows: dict[str, list[GreyImage]] = {}
    size = jobs[0].config.batch_size if jobs else 1
    while jobs:
        try:
            images = generator.generate(jobs[:size])
        except OutOfMemory:
            if size == 1:
                raise
            size //= 2
            continue
        for job, image in zip(jobs[:size], images, strict=True):
            rows.setdefault(job.label, []).append(image)
        jobs = jobs[size:]
    return rows


def sheet(rows: Rows) -> bytes:
    """A PNG with a row of small pictures for each name."""
    return contact_sheet({name: np.stack([_small(image) for image in images]) for name, images in rows.items()})


def columns_of_effect(classes: int) -> int:
    """How many images of each class are drawn with an adapter and without it."""
    return max(1, min(4, _DRAWN // classes))


def measure_effect(
    checkpoint: Checkpoint,
    adapter: Path,
    packs: Packs,
    sampling: SamplingOptions,
    seed: int,
    progress: Callable[[int, int], None],
) -> tuple[AdapterEffect, bytes]:
    """Draw the same seeds with and without an adapter: how much changes, and a picture of both, row above row."""
    columns = columns_of_effect(len(packs))
    plain = replace(resolve_config(checkpoint, None, sampling), batch_size=columns)
    fitted = replace(plain, adapter=ModelRef(adapter.parent.name, None, ""), adapter_scale=1.0)
    expected = [prompt for some in sample_prompts(packs, columns, seed).values() for prompt in some]
    drawn = []
    for turn, (file, config) in enumerate(((None, plain), (adapter, fitted))):
        generator = StableDiffusion(checkpoint, file, config, sampling.device, expected=expected)
        latents, images = [], []
        for row, (label, pack) in enumerate(packs.items()):
            found = generator.draw(sample_jobs({label: pack}, config, columns, seed))
            latents.append(found[0])
            images.append(found[1])
            progress(turn * len(packs) + row + 1, 2 * len(packs))
        drawn.append((torch.cat(latents), images))
        del generator
    (before, base), (after, changed) = drawn
    pairs = [(a, b) for rows in zip(base, changed, strict=True) for a, b in zip(*rows, strict=True)]
    grey = float(np.mean([np.abs(a.astype(np.float64) - b).mean() for a, b in pairs]))
    moved = float((after - before).abs().mean() / before.std().clamp(min=1e-12))
    rows = {}
    for place, label in enumerate(packs):
        rows[f"base {label}"], rows[f"with {label}"] = base[place], changed[place]
    return AdapterEffect(grey, moved, len(pairs)), sheet(rows)


def require_effect(change: AdapterEffect, name: str) -> None:
    """Refuse an adapter that changes nothing.

    Raises:
        ModelError: pictures of the same seeds are the same with it and without it.
    """
    if change.grey_levels >= LEAST_GREY:
        return
    raise ModelError(
        needed="an adapter that changes what the base generates",
        found=f"{name}: {change.images} images of the same seeds differ by {change.grey_levels:.4f} grey levels "
        f"of 255, their latents by {change.latents:.2g} standard deviations",
        next_step="train longer, with another --name: more --steps or --minutes",
    )


def _small(image: GreyImage) -> GreyImage:
    scale = min(1.0, _TILE / max(image.shape))
    height, width = (max(1, round(scale * side)) for side in image.shape)
    return resize(image, width, height)
