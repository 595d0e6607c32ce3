"""Images from text, or from real images, with any Stable Diffusion checkpoint of diffusers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from balancer.collection.scan import Sample
from balancer.devices import choose_device, usual_precision
from balancer.errors import GenerationError, ModelError, NotANumber, OutOfMemory
from balancer.generators.guidance import Interval, guided_within
from balancer.generators.img2img import SourceCache, editing_pipeline, encode_image
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.pipeline import fuse_adapter, load_pipeline, load_tokenizer
from balancer.generators.not_a_number import DECODER, DENOISER, ENCODER, cause_of, require_numbers, require_schedule
from balancer.generators.scheduler import (
    guidance_rescale,
    our_scheduler,
    read_schedule,
    schedule_name,
    usual_guidance,
)
from balancer.imaging.decode import GreyImage
from balancer.jobs import GenerationConfig, Job, ModelRef
from balancer.prompting.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

T = TypeVar("T")
_DECODED_AT_ONCE = 8
_CPU_BATCHES = ((128, 16), (256, 8), (512, 4))
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """What the user may choose about generation; `None` and "auto" are chosen here."""

    steps: int = 25
    guidance_scale: float | None = None
    size: int | None = None
    batch_size: int | None = None
    device: str = "auto"
    adapter_scale: float = 1.0
    precision: str = "auto"
    guidance_interval: Interval | None = None


def resolve_config(checkpoint: Checkpoint, adapter: ModelRef | None, sampling: SamplingOptions) -> GenerationConfig:
    """All settings that an image depends on, each with its value; the same on every run on the same machine.

    Raises:
        ModelError: a size that the model cannot make, or a device that is not there.
    """
    size, multiple = sampling.size or checkpoint.native_size, math.lcm(8, checkpoint.scale_factor)
    if size % multiple or size <= 0:
        raise ModelError(
            needed=f"a size that is a multiple of {multiple} pixels for this model",
            found=f"--size {size}",
            next_step=f"use --size {max(1, round(size / multiple)) * multiple}",
        )
    schedule = read_schedule(checkpoint.folder)
    guidance = usual_guidance(schedule) if sampling.guidance_scale is None else sampling.guidance_scale
    if not 0 <= guidance < math.inf:
        raise ModelError(needed="a guidance scale of 0 or more", found=f"{guidance}", next_step="use --guidance 3")
    device = choose_device(sampling.device)
    return GenerationConfig(
        model=checkpoint.ref,
        adapter=adapter,
        adapter_scale=sampling.adapter_scale if adapter else 0.0,
        scheduler=schedule_name(schedule),
        steps=sampling.steps,
        guidance_scale=guidance,
        width=size,
        height=size,
        dtype=sampling.precision if sampling.precision != "auto" else usual_precision(device),
        batch_size=sampling.batch_size or _fitting_batch(checkpoint, size, device),
        guidance_interval=sampling.guidance_interval,
    )


def require_tokens_fit(checkpoint: Checkpoint, prompts: Iterable[Prompt]) -> None:
    """Refuse prompts of which the checkpoint's text encoder would silently drop the end.

    Raises:
        ModelError: a prompt or negative has more tokens than the encoder takes.
    """
    count_tokens, limit = token_counter(checkpoint)
    for text in dict.fromkeys(text for prompt in prompts for text in (prompt.text, prompt.negative)):
        count = count_tokens(text)
        if count > limit:
            raise ModelError(
                needed=f"prompts of at most {limit} tokens, which is what this model reads",
                found=f"{count} tokens: {text!r}",
                next_step="shorten it in the template pack, then check: balance prompts",
            )


def token_counter(checkpoint: Checkpoint) -> tuple[Callable[[str], int], int]:
    """A function that counts the tokens of a text as the checkpoint reads it, and how many it reads.

    Raises:
        ModelError: its tokenizer cannot be loaded.
    """
    tokenizer = load_tokenizer(checkpoint)
    limit = int(checkpoint.config("text_encoder").get("max_position_embeddings", 77))
    return (lambda text: len(tokenizer(text, truncation=False, verbose=False)["input_ids"])), limit


class StableDiffusion:
    """An `ImageGenerator`: one checkpoint with at most one adapter, on one device.

    `root` is the collection that real images are read from, where jobs begin with one. What half precision cannot
    draw, since its numbers overflow, is drawn again in float32 by the same weights, read anew; not where `again` is
    false, as for networks that are being taught and are no longer those of the files.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        adapter: Path | None,
        config: GenerationConfig,
        device: str,
        root: Path | None = None,
        *,
        again: bool = True,
    ) -> None:
        import torch

        self._made_of, self._again = (checkpoint, adapter, config, root), again
        self._exact: StableDiffusion | None = None
        self._made_again = False
        self._device = device
        self._dtype = getattr(torch, config.dtype)
        self._pipe = load_pipeline(checkpoint, self._dtype)
        if adapter is not None:
            fuse_adapter(self._pipe, adapter, config.adapter_scale)
        self._pipe.scheduler = our_scheduler(self._pipe.scheduler.config)
        require_schedule(self._pipe.scheduler.alphas_cumprod, checkpoint.ref.name)
        self._pipe.set_progress_bar_config(disable=True)
        self._pipe.to(device)
        if device.startswith("cuda"):  # on a processor it would change the bytes of the images
            for network in (self._pipe.unet, self._pipe.vae):
                network.to(memory_format=torch.channels_last)
        self._embedded: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
        self._sources = None if root is None else SourceCache(root)
        self._lent: Mapping[Sample, GreyImage] = {}
        self._editing: Any = None

    def generate(self, jobs: Sequence[Job]) -> list[GreyImage]:
        """Return one uint8 array of shape (config.height, config.width) a job, in order.

        Jobs of one strength and guidance are drawn together, and so are those from text alone.

        Raises:
            OutOfMemory: the batch does not fit on the device.
            NotANumber: the networks give values that are no numbers, in float32 too.
            CollectionError: a real image that one begins with is gone or changed.
        """
        return self._or_again(lambda maker: maker._generate(jobs))

    def draw(self, jobs: Sequence[Job]) -> tuple[torch.Tensor, list[GreyImage]]:
        """The latents of each job from text, (n, channels, h, w) in float32 on the CPU, and its image.

        Raises:
            OutOfMemory: the batch does not fit on the device.
            NotANumber: the networks give values that are no numbers, in float32 too.
        """
        return self._or_again(lambda maker: maker._draw(jobs))

    @property
    def made_again(self) -> bool:
        """Whether the last images had to be made again, in float32."""
        return self._made_again

    def _or_again(self, work: Callable[[StableDiffusion], T]) -> T:
        """The work, and where that gives what is no number, the same in float32."""
        import torch

        self._made_again = False
        try:
            return work(self)
        except NotANumber as error:
            checkpoint, adapter, config, root = self._made_of
            if self._dtype == torch.float32:
                raise cause_of(error, self._pipe, checkpoint.ref.name, adapter, lambda: work(self)) from error
            if not self._again:
                raise
        exact = replace(config, dtype="float32")
        with _translated(1):
            self._exact = self._exact or StableDiffusion(checkpoint, adapter, exact, self._device, root)
        self._exact.lend(self._lent)
        found = self._exact._or_again(work)
        self._made_again = True
        return found

    def _generate(self, jobs: Sequence[Job]) -> list[GreyImage]:
        import torch

        images: dict[int, GreyImage] = {}
        with torch.inference_mode(), _translated(len(jobs)):
            for strength, guidance in dict.fromkeys(map(_drawn_with, jobs)):
                places = [place for place, job in enumerate(jobs) if _drawn_with(job) == (strength, guidance)]
                some = [jobs[place] for place in places]
                latents = self._from_text(some) if strength is None else self._from_images(some, strength)
                images.update(zip(places, self.decode(latents).cpu().numpy(), strict=True))
        return [images[place] for place in range(len(jobs))]

    def _draw(self, jobs: Sequence[Job]) -> tuple[torch.Tensor, list[GreyImage]]:
        import torch

        with torch.inference_mode(), _translated(len(jobs)):
            latents = self._from_text(jobs)
            return latents.float().cpu(), list(self.decode(latents).cpu().numpy())

    def lend(self, sources: Mapping[Sample, GreyImage]) -> None:
        """Take the real images that the next jobs begin with, each of shape (config.height, config.width)."""
        self._lent = sources

    @property
    def pipe(self) -> Any:
        """The pipeline of diffusers that draws, for those who teach its networks."""
        return self._pipe

    def forget(self) -> None:
        """Encode prompts anew: the text encoder has changed."""
        self._embedded.clear()

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents to uint8 of shape (n, height, width), a few at a time, on the device."""
        import torch

        return torch.cat([self._decode(part) for part in torch.split(latents, _DECODED_AT_ONCE)])

    def _from_text(self, jobs: Sequence[Job]) -> torch.Tensor:
        config = jobs[0].config
        with guided_within(self._pipe, config.guidance_interval):
            latents: torch.Tensor = self._pipe(
                **self._embeddings([job.prompt for job in jobs]),
                generator=_generators(jobs),
                num_inference_steps=config.steps,
                guidance_scale=config.guidance_scale,
                guidance_rescale=guidance_rescale(self._pipe.scheduler.config),
                width=config.width,
                height=config.height,
                output_type="latent",
            ).images
        return require_numbers(latents, DENOISER)

    def _from_images(self, jobs: Sequence[Job], strength: float) -> torch.Tensor:
        """Begin with a real image each, noised as far as the strength says."""
        import torch

        self._editing = self._editing or editing_pipeline(self._pipe)
        generators, config = _generators(jobs), jobs[0].config
        begun = torch.cat(
            [encode_image(self._pipe.vae, self._source(job), each) for job, each in zip(jobs, generators, strict=True)]
        )
        with guided_within(self._editing, config.guidance_interval):
            latents: torch.Tensor = self._editing(
                **self._embeddings([job.prompt for job in jobs]),
                image=require_numbers(begun, DECODER),
                strength=strength,
                generator=generators,
                num_inference_steps=config.steps,
                guidance_scale=config.guidance_scale,
                output_type="latent",
            ).images
        return require_numbers(latents, DENOISER)

    def _source(self, job: Job) -> GreyImage:
        if job.method.source is not None and job.method.source in self._lent:
            return self._lent[job.method.source]
        if self._sources is None or job.method.source is None:
            raise GenerationError(
                needed="a real image to start from, and the collection that it is in",
                found=f"a job of mode {job.method.mode} without",
                next_step="use --mode text",
            )
        return self._sources.read(job.method.source, job.config.width, job.config.height)

    def _embeddings(self, prompts: Sequence[Prompt]) -> dict[str, Any]:
        import torch

        found = [self._embed(prompt) for prompt in prompts]
        return {name: torch.cat([each[name] for each in found]) for name in found[0]}

    def _embed(self, prompt: Prompt) -> dict[str, Any]:
        """The text encoder's output, computed once for each different prompt."""
        key = (prompt.text, prompt.negative)
        if key not in self._embedded:
            names = (
                "prompt_embeds",
                "negative_prompt_embeds",
                "pooled_prompt_embeds",
                "negative_pooled_prompt_embeds",
            )
            values = self._pipe.encode_prompt(
                prompt=prompt.text,
                negative_prompt=prompt.negative,
                device=self._device,
                num_images_per_prompt=1,
                do_classifier_free_guidance=True,
            )
            found = {name: value for name, value in zip(names, values, strict=False) if value is not None}
            for value in found.values():
                require_numbers(value, ENCODER)
            self._embedded[key] = found  # only XL has pooled ones
        return self._embedded[key]

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents to uint8 of shape (n, height, width), the mean of the three colours, on the device."""
        import torch

        vae = self._pipe.vae
        latents = latents.to(vae.dtype)
        mean, std = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
        if mean is not None and std is not None:
            shift, scale = (
                torch.tensor(v, device=latents.device, dtype=latents.dtype).view(1, -1, 1, 1) for v in (mean, std)
            )
            latents = latents * scale / vae.config.scaling_factor + shift
        else:
            latents = latents / vae.config.scaling_factor
        colour = require_numbers(vae.decode(latents, return_dict=False)[0].float(), DECODER)
        grey = (colour / 2 + 0.5).mean(dim=1)
        return (grey.clamp(0, 1) * 255).round().to(torch.uint8)


def _drawn_with(job: Job) -> tuple[float | None, float]:
    """What jobs have in common that are drawn at once."""
    return job.method.strength, job.config.guidance_scale


def _generators(jobs: Sequence[Job]) -> list[torch.Generator]:
    """A source of noise for each job, so that no image depends on what is drawn beside it."""
    import torch

    return [torch.Generator("cpu").manual_seed(job.seed) for job in jobs]


@contextmanager
def _translated(count: int) -> Iterator[None]:
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            needed=f"device memory for {count} images at once",
            found=str(error).splitlines()[0],
            next_step=f"use --batch-size {count // 2}, or a smaller --size"
            if count > 1
            else "use a smaller --size, or another device: --device cpu",
        ) from error
    except (RuntimeError, ValueError, IndexError) as error:
        raise GenerationError(
            needed="a pipeline that runs with these settings",
            found=str(error).splitlines()[0],
            next_step="check that the model supports this --size; or try --device cpu",
        ) from error


def _fitting_batch(checkpoint: Checkpoint, size: int, device: str) -> int:
    """How many images to make at once: from the device's whole memory, so that it is the same on every run."""
    import torch

    if not device.startswith("cuda"):
        return next((batch for side, batch in _CPU_BATCHES if size <= side), 1)
    weights = sum(file.stat().st_size for file in checkpoint.weights)
    total = torch.cuda.get_device_properties(torch.device(device)).total_memory
    image = 0.7 * _GIB * (size / 512) ** 2  # measured order of a UNet pass with guidance in half precision
    room = 0.8 * total - weights - _DECODED_AT_ONCE * image
    return int(2 ** max(0, min(6, int(room / image).bit_length() - 1))) if room > image else 1
