"""A few quick images from prompts, to refine their wording by eye; and how long an image takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from balancer.devices import choose_device
from balancer.generators.models.selection import ModelSelection
from balancer.generators.models.tokens import require_tokens_fit
from balancer.generators.plugins import LoadedPlugin, family_config
from balancer.generators.protocol import ImageGenerator
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.scheduler import edit_steps, fewest_steps
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.imaging.decode import GreyImage, OutputFormat
from balancer.jobs import GenerationConfig, Job, ModeDraw, job_seed
from balancer.prompting.prompts import Prompt

QUICK_STEPS, LARGEST = 12, 512
_NO_FILE = OutputFormat("PNG", ".png", "L", 8, None)


def draw_prompts(
    labelled: Sequence[tuple[str, Prompt]],
    choice: ModelSelection | LoadedPlugin,
    progress: Callable[[int, int], None],
) -> list[GreyImage]:
    """One image for each class and prompt, in a few steps, at the model's own size or at most 512 pixels.

    Raises:
        ModelError: the model cannot be loaded, or a prompt is too long for it.
        GenerationError: it cannot draw.
    """
    generator, config = (
        _of_a_family(choice) if isinstance(choice, LoadedPlugin) else _quick(choice, [prompt for _, prompt in labelled])
    )
    jobs = [
        Job(label, index, prompt, job_seed(0, "sample", index), config, ModeDraw(), _NO_FILE)
        for index, (label, prompt) in enumerate(labelled)
    ]
    images: list[GreyImage] = []
    for start in range(0, len(jobs), config.batch_size):
        images += generator.generate(jobs[start : start + config.batch_size])
        progress(len(images), len(jobs))
    return images


def _of_a_family(family: LoadedPlugin) -> tuple[ImageGenerator, GenerationConfig]:
    return family.generator, family_config(family, SamplingOptions(steps=QUICK_STEPS))


def _quick(choice: ModelSelection, prompts: Sequence[Prompt]) -> tuple[ImageGenerator, GenerationConfig]:
    checkpoint = choice.checkpoint
    require_tokens_fit(checkpoint, prompts)
    sampling = SamplingOptions(steps=QUICK_STEPS, size=min(checkpoint.native_size, LARGEST), aspect=choice.aspect)
    config = resolve_config(checkpoint, choice.adapter, sampling)
    return StableDiffusion(checkpoint, choice.file, config, choose_device("auto"), expected=prompts), config


def seconds_per_image(generator: StableDiffusion, job: Job, mean_steps: float) -> float:
    """Time one image on a processor by as few denoising steps as there can be, each timed; for large models.

    Prompts, encoding and decoding count once, and the denoiser for each of `mean_steps`.
    """
    began: list[float] = []
    taken: list[float] = []
    generator.read([job.prompt])
    denoiser = generator.denoiser
    hooks = [
        denoiser.register_forward_pre_hook(lambda *_: began.append(time.perf_counter())),
        denoiser.register_forward_hook(lambda *_: taken.append(time.perf_counter() - began[-1])),
    ]
    short = replace(job, config=replace(job.config, steps=fewest_steps(job.method.strength)))
    start = time.perf_counter()
    try:
        generator.generate([short])
    finally:
        for hook in hooks:
            hook.remove()
    rest = time.perf_counter() - start - sum(taken)
    return rest + mean_steps * min(taken)


def seconds_per_batch(generator: ImageGenerator, jobs: Sequence[Job], mean_steps: float) -> float:
    """Time one batch from a few steps: what a step takes and what comes on top do not depend on their number.

    `mean_steps` is how many an image takes on average, of all that are to be made.
    """
    few = max(fewest_steps(job.method.strength) for job in jobs)

    def timed(steps: int) -> float:
        short = [replace(job, config=replace(job.config, steps=steps)) for job in jobs]
        began = time.perf_counter()
        generator.generate(short)
        return time.perf_counter() - began

    def taken(steps: int) -> int:
        return sum(edit_steps(steps, job.method.strength) for job in jobs)

    timed(few)  # the first batch also pays for warming up
    short, longer = timed(few), timed(3 * few)
    step = max(0.0, (longer - short) / (taken(3 * few) - taken(few)))
    return max(short - step * taken(few), 0.0) + step * mean_steps * len(jobs)
