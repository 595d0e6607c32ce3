"""Images from text, or from real images, with any checkpoint of diffusers that is of one of the families."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.collection.scan import Sample
from balancer.devices import choose_device
from balancer.errors import GenerationError, ModelError, OutOfMemory
from balancer.generators.img2img import SourceCache, editing_pipeline, encode_image
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.memory import require_memory, resident_bytes
from balancer.generators.models.pipeline import fuse_adapter, let_go, load_pipeline
from balancer.generators.prompt_encoder import PromptEncoder
from balancer.generators.scheduler import default_guidance, guidance_rescale, our_scheduler, scheduler_name
from balancer.imaging.decode import GreyImage
from balancer.jobs import GenerationConfig, Job, ModelRef
from balancer.prompting.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

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


def resolve_config(checkpoint: Checkpoint, adapter: ModelRef | None, sampling: SamplingOptions) -> GenerationConfig:
    """All settings that an image depends on, each with its value; the same on every run on the same machine.

    Raises:
        ModelError: a size that the model cannot make, or a device that is not there.
    """
    size, multiple = sampling.size or checkpoint.native_size, checkpoint.side
    if size % multiple or size <= 0:
        raise ModelError(
            needed=f"a size that is a multiple of {multiple} pixels for this model",
            found=f"--size {size}",
            next_step=f"use --size {max(1, round(size / multiple)) * multiple}",
        )
    guidance = default_guidance(checkpoint) if sampling.guidance_scale is None else sampling.guidance_scale
    if not 0 <= guidance < math.inf:
        raise ModelError(needed="a guidance scale of 0 or more", found=f"{guidance}", next_step="use --guidance 3")
    device = choose_device(sampling.device)
    return GenerationConfig(
        model=checkpoint.ref,
        adapter=adapter,
        adapter_scale=sampling.adapter_scale if adapter else 0.0,
        scheduler=scheduler_name(checkpoint),
        steps=sampling.steps,
        guidance_scale=guidance,
        width=size,
        height=size,
        dtype=checkpoint.family.half if device.startswith("cuda") else "float32",
        batch_size=sampling.batch_size or _fitting_batch(checkpoint, size, device),
    )


class StableDiffusion:
    """An `ImageGenerator`: one checkpoint with at most one adapter, on one device.

    `root` is the collection that real images are read from, where jobs begin with one. `expected` are prompts that
    will be asked for; a family whose text encoders do not stay in memory encodes them together.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        adapter: Path | None,
        config: GenerationConfig,
        device: str,
        root: Path | None = None,
        expected: Sequence[Prompt] = (),
    ) -> None:
        import torch

        self._device = device
        self._dtype = getattr(torch, config.dtype)
        self.family = checkpoint.family
        self._load: Callable[[], Any] = lambda: _loaded(checkpoint, self._dtype, adapter, config.adapter_scale, device)
        self._pipe: Any = None
        self._editing: Any = None
        self._kept = False
        self._reader = None if self.family.whole else PromptEncoder(checkpoint, device, self._dtype, expected)
        require_memory(checkpoint, config.dtype, device)
        if self._reader is None:
            self._pipe = self._load()
        elif expected:
            self._read([])
        self._embedded: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
        self._sources = None if root is None else SourceCache(root)
        self._lent: Mapping[Sample, GreyImage] = {}

    def generate(self, jobs: Sequence[Job]) -> list[GreyImage]:
        """Return one uint8 array of shape (config.height, config.width) a job, in order.

        Jobs of one strength and guidance are drawn together, and so are those from text alone.

        Raises:
            OutOfMemory: the batch does not fit on the device.
            CollectionError: a real image that one begins with is gone or changed.
        """
        import torch

        images: dict[int, GreyImage] = {}
        with torch.inference_mode(), _translated(len(jobs)):
            for strength, guidance in dict.fromkeys(map(_drawn_with, jobs)):
                places = [place for place, job in enumerate(jobs) if _drawn_with(job) == (strength, guidance)]
                some = [jobs[place] for place in places]
                latents = self._from_text(some) if strength is None else self._from_images(some, strength)
                images.update(zip(places, self.decode(latents).cpu().numpy(), strict=True))
        return [images[place] for place in range(len(jobs))]

    def draw(self, jobs: Sequence[Job]) -> tuple[torch.Tensor, list[GreyImage]]:
        """The latents of each job from text, (n, channels, h, w) in float32 on the CPU, and its image.

        Raises:
            OutOfMemory: the batch does not fit on the device.
        """
        import torch

        with torch.inference_mode(), _translated(len(jobs)):
            latents = self._from_text(jobs)
            return latents.float().cpu(), list(self.decode(latents).cpu().numpy())

    def lend(self, sources: Mapping[Sample, GreyImage]) -> None:
        """Take the real images that the next jobs begin with, each of shape (config.height, config.width)."""
        self._lent = sources

    @property
    def pipe(self) -> Any:
        """The pipeline of diffusers that draws, for those who teach its networks. It stays in memory from then on."""
        self._kept = True
        return self._ready()

    def forget(self) -> None:
        """Encode prompts anew: the text encoder has changed."""
        self._embedded.clear()

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents to uint8 of shape (n, height, width), a few at a time, on the device."""
        import torch

        return torch.cat([self._decode(part) for part in torch.split(latents, _DECODED_AT_ONCE)])

    def _from_text(self, jobs: Sequence[Job]) -> torch.Tensor:
        config = jobs[0].config
        embeddings = self._embeddings([job.prompt for job in jobs])
        pipe, extra = self._ready(), dict(self.family.call)
        if self.family.whole:
            extra["guidance_rescale"] = guidance_rescale(pipe.scheduler.config)
        latents: torch.Tensor = pipe(
            **embeddings,
            generator=_generators(jobs),
            num_inference_steps=config.steps,
            guidance_scale=config.guidance_scale,
            width=config.width,
            height=config.height,
            output_type="latent",
            **extra,
        ).images
        return latents

    def _from_images(self, jobs: Sequence[Job], strength: float) -> torch.Tensor:
        """Begin with a real image each, noised as far as the strength says."""
        import torch

        embeddings = self._embeddings([job.prompt for job in jobs])
        self._editing = self._editing or editing_pipeline(self._ready(), self.family)
        generators, config = _generators(jobs), jobs[0].config
        vae = self._pipe.vae
        channels = {} if self.family.whole else {"channels": vae.config.latent_channels}
        begun = [
            encode_image(vae, self._source(job), each, **channels) for job, each in zip(jobs, generators, strict=True)
        ]
        latents: torch.Tensor = self._editing(
            **embeddings,
            image=torch.cat(begun),
            strength=strength,
            generator=generators,
            num_inference_steps=config.steps,
            guidance_scale=config.guidance_scale,
            output_type="latent",
        ).images
        return latents

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

        if self._reader is not None:
            if self._reader.lacks(prompts):
                self._read(prompts)
            return self._reader.arguments(prompts)
        found = [self._embed(prompt) for prompt in prompts]
        return {name: torch.cat([each[name] for each in found]) for name in found[0]}

    def _ready(self) -> Any:
        """The pipeline, loaded where it is not."""
        self._pipe = self._pipe or self._load()
        return self._pipe

    def _read(self, prompts: Sequence[Prompt]) -> None:
        """Encode prompts while the denoiser is not in memory, unless somebody teaches it."""
        if self._reader is not None:
            if self._pipe is not None and not self._kept:
                let_go(self._pipe, (self.family.denoiser, "vae"))
                self._pipe = self._editing = None
            self._reader.encode(prompts)

    def _embed(self, prompt: Prompt) -> dict[str, Any]:
        """The text encoder's output, computed once for each different prompt."""
        key = (prompt.text, prompt.negative)
        if key not in self._embedded:
            values = self._pipe.encode_prompt(
                prompt=prompt.text,
                negative_prompt=prompt.negative,
                device=self._device,
                num_images_per_prompt=1,
                do_classifier_free_guidance=True,
            )
            self._embedded[key] = dict(zip(self.family.encoded, values, strict=False))
        return self._embedded[key]

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents to uint8 of shape (n, height, width), the mean of the three colours, on the device."""
        import torch

        vae = self._ready().vae
        latents = latents.to(vae.dtype)
        mean, std = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
        if mean is not None and std is not None:
            shift, scale = (
                torch.tensor(v, device=latents.device, dtype=latents.dtype).view(1, -1, 1, 1) for v in (mean, std)
            )
            latents = latents * scale / vae.config.scaling_factor + shift
        else:
            latents = latents / vae.config.scaling_factor + (getattr(vae.config, "shift_factor", None) or 0)
        colour: torch.Tensor = vae.decode(latents, return_dict=False)[0].float()
        grey = (colour / 2 + 0.5).mean(dim=1)
        return (grey.clamp(0, 1) * 255).round().to(torch.uint8)


def _loaded(checkpoint: Checkpoint, dtype: torch.dtype, adapter: Path | None, scale: float, device: str) -> Any:
    """The pipeline on its device, the adapter in its weights; of a family that is not whole without text encoders."""
    family = checkpoint.family
    pipe = load_pipeline(checkpoint, dtype, () if family.whole else (family.denoiser, "vae", "scheduler"))
    if adapter is not None:
        fuse_adapter(pipe, adapter, scale)
    if family.whole:
        pipe.scheduler = our_scheduler(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


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
    except (RuntimeError, ValueError) as error:
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
    weights = resident_bytes(checkpoint)
    total = torch.cuda.get_device_properties(torch.device(device)).total_memory
    image = 0.7 * _GIB * (size / 512) ** 2  # measured order of a UNet pass with guidance in half precision
    room = 0.8 * total - weights - _DECODED_AT_ONCE * image
    return int(2 ** max(0, min(6, int(room / image).bit_length() - 1))) if room > image else 1
