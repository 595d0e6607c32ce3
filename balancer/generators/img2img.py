"""Images that begin with a real one: read, encoded, noised to a strength, denoised to a prompt (SDEdit, Meng 2022)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.collection.scan import Sample
from balancer.collection.unchanged import read_unchanged
from balancer.errors import GenerationError, ModelError
from balancer.generators.models.families import Family
from balancer.imaging.decode import GreyImage, resize

if TYPE_CHECKING:
    import torch

_REMEMBERED = 256
_CHANNELS = 4  # of a latent of Stable Diffusion; by their number diffusers tells latents from images


class SourceCache:
    """Real images at the size that the model draws; the last ones that were read are remembered."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[tuple[Sample, int, int], GreyImage] = {}

    def read(self, sample: Sample, width: int, height: int) -> GreyImage:
        """A real image, stretched to shape (height, width).

        Raises:
            CollectionError: it is gone, or another than when it was drawn.
            ImageError: it cannot be decoded.
        """
        key = (sample, width, height)
        if key not in self._known:
            while len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[key] = resize(read_unchanged(self._root, sample), width, height)
        return self._known[key]


def editing_pipeline(pipe: Any, family: Family) -> Any:
    """The image-to-image pipeline of the same parts.

    Not by `from_pipe`: it turns all parts into one precision, and XL's autoencoder overflows in half of it.

    Raises:
        GenerationError: the family has none.
    """
    import diffusers

    if family.editing is None:
        raise GenerationError(
            needed="a model that can begin with a real image",
            found=f"{family.name}, which generates from text only",
            next_step="use --mode text, or another --model",
        )
    extra = {
        "StableDiffusionImg2ImgPipeline": {"requires_safety_checker": False},
        "StableDiffusionXLImg2ImgPipeline": {"add_watermarker": False},
    }
    editing = getattr(diffusers, family.editing)(**pipe.components, **extra.get(family.editing, {}))
    editing.set_progress_bar_config(disable=True)
    return editing


def encode_image(vae: Any, grey: GreyImage, chance: torch.Generator, channels: int = _CHANNELS) -> torch.Tensor:
    """Latents of shape (1, channels, H, W), as denoisers take them; an autoencoder that draws them draws from `chance`.

    Raises:
        ModelError: the latents have another number of channels.
    """
    import torch

    image = torch.from_numpy(grey.copy()).to(vae.device, vae.dtype).div(127.5).sub(1)
    found = vae.encode(image.expand(1, 3, *grey.shape))
    latents: torch.Tensor = found.latent_dist.sample(chance) if hasattr(found, "latent_dist") else found.latents
    if latents.shape[1] != channels:
        raise ModelError(
            needed=f"latents of {channels} channels, to start from a real image",
            found=f"{latents.shape[1]} in this model",
            next_step="use --mode text, or another --model",
        )
    mean, std = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
    scale = float(vae.config.scaling_factor)
    if mean is None or std is None:
        return (latents - (getattr(vae.config, "shift_factor", None) or 0)) * scale
    shift, spread = (latents.new_tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    scaled: torch.Tensor = (latents - shift) * scale / spread
    return scaled
