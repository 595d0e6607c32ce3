"""Images from text, or from real images, with any checkpoint of diffusers that is of one of the families."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from balancer.collection.scan import Sample
from balancer.errors import GenerationError, NotANumber
from balancer.generators.guidance import guided_within
from balancer.generators.img2img import SourceCache, editing_pipeline, encode_image
from balancer.generators.inpaint import hidden, is_for_inpainting, latent_masks, painting_pipeline
from balancer.generators.library_errors import translated
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.memory import require_memory
from balancer.generators.models.pipeline import let_go
from balancer.generators.not_a_number import DECODER, DENOISER, ENCODER, cause_of, require_numbers
from balancer.generators.packed import prompts_read_once, unpack
from balancer.generators.prompt_encoder import PromptEncoder
from balancer.generators.ready_pipeline import ready_pipeline
from balancer.generators.sampling import DECODED_AT_ONCE
from balancer.generators.scheduler import guidance_rescale
from balancer.imaging.decode import GreyImage
from balancer.jobs import GenerationConfig, Job
from balancer.prompting.prompts import Prompt

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class StableDiffusion:
    """An `ImageGenerator`: one checkpoint with at most one adapter, on one device.

    `root` is the collection that real images are read from, where jobs begin with one. `expected` are prompts that
    will be asked for; a family whose text encoders do not stay in memory encodes them together. What half precision
    cannot draw, since its numbers overflow, is drawn again in float32 by the same weights, read anew; not where `again`
    is false, as for networks that are being taught and are no longer those of the files.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        adapter: Path | None,
        config: GenerationConfig,
        device: str,
        root: Path | None = None,
        *,
        expected: Sequence[Prompt] = (),
        again: bool = True,
    ) -> None:
        import torch

        self._made_of, self._again = (checkpoint, adapter, config, root), again
        self._exact: StableDiffusion | None = None
        self._made_again = False
        self._device = device
        self._dtype = getattr(torch, config.dtype)
        self.family = checkpoint.family
        self._load = partial(ready_pipeline, checkpoint, self._dtype, adapter, config.adapter_scale, device)
        self._pipe: Any = None
        self._editing: Any = None
        self._painting: Any = None
        self._kept = False
        self._reader = None if self.family.whole else PromptEncoder(checkpoint, device, self._dtype, expected)
        require_memory(checkpoint, config.dtype, device)
        if self._reader is None:
            self._pipe = self._load()
        elif expected:
            self._read([])
        self._embedded: dict[str, dict[str, torch.Tensor]] = {}
        self._sources = None if root is None else SourceCache(root)
        self._lent: Mapping[Sample, GreyImage] = {}

    def generate(self, jobs: Sequence[Job]) -> list[GreyImage]:
        """Return one uint8 array of shape (config.height, config.width) a job, in order.

        Jobs of one strength and guidance are drawn together, and so are those from text alone. Of a job with a mask,
        what is outside of it is near the source, and not the source itself.

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
                raise cause_of(error, self.pipe, checkpoint.ref.name, adapter, lambda: work(self)) from error
            if not self._again:
                raise
        exact = replace(config, dtype="float32")
        self._make_room()
        with translated(1):
            self._exact = self._exact or StableDiffusion(checkpoint, adapter, exact, self._device, root)
        self._exact.lend(self._lent)
        found = self._exact._or_again(work)
        self._made_again = True
        return found

    def _generate(self, jobs: Sequence[Job]) -> list[GreyImage]:
        import torch

        images: dict[int, GreyImage] = {}
        with torch.inference_mode(), translated(len(jobs)):
            for way in dict.fromkeys(map(_drawn_with, jobs)):
                places = [place for place, job in enumerate(jobs) if _drawn_with(job) == way]
                some, (strength, _, is_painted) = [jobs[place] for place in places], way
                if strength is None:
                    latents = self._from_text(some)
                else:
                    latents = (self._painted if is_painted else self._from_images)(some, strength)
                images.update(zip(places, self.decode(latents).cpu().numpy(), strict=True))
        return [images[place] for place in range(len(jobs))]

    def _draw(self, jobs: Sequence[Job]) -> tuple[torch.Tensor, list[GreyImage]]:
        import torch

        with torch.inference_mode(), translated(len(jobs)):
            latents = self._from_text(jobs)
            return latents.float().cpu(), list(self.decode(latents).cpu().numpy())

    def lend(self, sources: Mapping[Sample, GreyImage]) -> None:
        """Take the real images that the next jobs begin with, each of shape (config.height, config.width)."""
        self._lent = sources

    @property
    def pipe(self) -> Any:
        """The pipeline of diffusers that draws, for those who teach its networks. It stays in memory from then on."""
        self._kept = True
        pipe = self._ready()
        for network in (getattr(pipe, self.family.denoiser), pipe.vae):
            unpack(network)
        return pipe

    @property
    def denoiser(self) -> Any:
        """The UNet or transformer of the pipeline, which is loaded."""
        return getattr(self._ready(), self.family.denoiser)

    def read(self, prompts: Sequence[Prompt]) -> None:
        """Encode prompts now that will be drawn."""
        self._embeddings(prompts)

    def forget(self) -> None:
        """Encode prompts anew: the text encoder has changed."""
        self._embedded.clear()

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents to uint8 of shape (n, height, width), a few at a time, on the device."""
        import torch

        return torch.cat([self._decode(part) for part in torch.split(latents, DECODED_AT_ONCE)])

    def _from_text(self, jobs: Sequence[Job]) -> torch.Tensor:
        config = jobs[0].config
        embeddings = self._embeddings([job.prompt for job in jobs])
        pipe, extra = self._ready(), dict(self.family.call)
        if is_for_inpainting(self.denoiser):
            raise GenerationError(
                needed="a model that generates from text",
                found=f"{config.model.name}, which is for inpainting",
                next_step="use it in balance fill --mode inpaint, or another --model",
            )
        if self.family.whole:
            extra["guidance_rescale"] = guidance_rescale(pipe.scheduler.config)
        return _latents(
            pipe, config, generator=_generators(jobs), width=config.width, height=config.height, **embeddings, **extra
        )

    def _from_images(self, jobs: Sequence[Job], strength: float) -> torch.Tensor:
        """Begin with a real image each, noised as far as the strength says."""
        import torch

        embeddings = self._embeddings([job.prompt for job in jobs])
        self._editing = self._editing or editing_pipeline(self._ready(), self.family)
        generators, config = _generators(jobs), jobs[0].config
        vae = self._pipe.vae
        channels = {} if self.family.whole else {"channels": vae.config.latent_channels}
        begun = torch.cat(
            [encode_image(vae, self._source(job), each, **channels) for job, each in zip(jobs, generators, strict=True)]
        )
        return _latents(
            *(self._editing, config),
            image=require_numbers(begun, DECODER),
            strength=strength,
            generator=generators,
            **embeddings,
        )

    def _painted(self, jobs: Sequence[Job], strength: float) -> torch.Tensor:
        """Make only what a job's mask holds anew, beginning as far from the real image as the strength says."""
        import torch

        self._painting = self._painting or painting_pipeline(self._pipe)
        generators, config = _generators(jobs), jobs[0].config
        sources, vae = [self._source(job) for job in jobs], self._pipe.vae
        begun = [encode_image(vae, source, each) for source, each in zip(sources, generators, strict=True)]
        around = begun
        if is_for_inpainting(self.denoiser):
            unseen = [hidden(source, job) for source, job in zip(sources, jobs, strict=True)]
            around = [encode_image(vae, source, each) for source, each in zip(unseen, generators, strict=True)]
        return _latents(
            *(self._painting, config),
            image=require_numbers(torch.cat(begun), DECODER),
            mask_image=latent_masks(jobs, config.height // begun[0].shape[-2]),
            masked_image_latents=torch.cat(around),
            strength=strength,
            generator=generators,
            width=config.width,
            height=config.height,
            **self._embeddings([job.prompt for job in jobs]),
        )

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
            self._make_room()
            self._reader.encode(prompts)

    def _make_room(self) -> None:
        """Let the pipeline of a family that is not whole go, unless somebody teaches it."""
        if self._reader is not None and self._pipe is not None and not self._kept:
            let_go(self._pipe, (self.family.denoiser, "vae"))
            self._pipe = self._editing = None

    def _embed(self, prompt: Prompt) -> dict[str, Any]:
        """What the text encoder makes of a prompt and of its negative, by the pipeline's own names."""
        told, against = self._encode(prompt.text), self._encode(prompt.negative)
        kinds = ((name, name.removeprefix("negative_")) for name in self.family.encoded)
        return {name: (told if name == kind else against)[kind] for name, kind in kinds}

    def _encode(self, text: str) -> dict[str, torch.Tensor]:
        """The text encoder's output, computed once for each different text."""
        if text not in self._embedded:
            values = self._pipe.encode_prompt(
                prompt=text, device=self._device, num_images_per_prompt=1, do_classifier_free_guidance=False
            )
            found = {name: value for name, value in zip(self.family.encoded, values, strict=False) if value is not None}
            for value in found.values():
                require_numbers(value, ENCODER)
            self._embedded[text] = found
        return self._embedded[text]

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
        colour = require_numbers(vae.decode(latents, return_dict=False)[0].float(), DECODER)
        grey = (colour / 2 + 0.5).mean(dim=1)
        return (grey.clamp(0, 1) * 255).round().to(torch.uint8)


def _latents(pipe: Any, config: GenerationConfig, **given: Any) -> torch.Tensor:
    """The latents that a pipeline makes, (n, channels, h, w)."""
    with guided_within(pipe, config.guidance_interval), prompts_read_once(pipe):
        latents: torch.Tensor = pipe(
            num_inference_steps=config.steps, guidance_scale=config.guidance_scale, output_type="latent", **given
        ).images
    return require_numbers(latents, DENOISER)


def _drawn_with(job: Job) -> tuple[float | None, float, bool]:
    """What jobs have in common that are drawn at once."""
    return job.method.strength, job.config.guidance_scale, bool(job.method.mask)


def _generators(jobs: Sequence[Job]) -> list[torch.Generator]:
    """A source of noise for each job, so that no image depends on what is drawn beside it."""
    import torch

    return [torch.Generator("cpu").manual_seed(job.seed) for job in jobs]
