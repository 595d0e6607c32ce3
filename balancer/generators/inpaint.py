"""A part of a real image made anew: by latents blended at each step, or by a checkpoint made for inpainting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from balancer.imaging.decode import GreyImage
from balancer.jobs import Job

if TYPE_CHECKING:
    import torch

_HIDDEN = 128  # grey, which is 0 to the autoencoder, as checkpoints for inpainting learned it


def painting_pipeline(pipe: Any) -> Any:
    """The inpainting pipeline of the same parts.

    With an ordinary UNet it blends the noised source in outside the mask after each step (Avrahami et al. 2022,
    doi:10.1109/CVPR52688.2022.01767); with one of nine channels the UNet itself sees mask and surroundings.
    """
    import diffusers

    is_xl = "XL" in type(pipe).__name__
    kind = diffusers.StableDiffusionXLInpaintPipeline if is_xl else diffusers.StableDiffusionInpaintPipeline
    extra = {"add_watermarker": False} if is_xl else {"requires_safety_checker": False}
    painting = kind(**pipe.components, **extra)
    painting.set_progress_bar_config(disable=True)
    return painting


def is_for_inpainting(unet: Any) -> bool:
    """Whether a UNet takes mask and surroundings beside the latents."""
    return bool(unet.config.in_channels == 2 * unet.config.out_channels + 1)


def latent_masks(jobs: Sequence[Job], factor: int) -> torch.Tensor:
    """Masks of shape (n, 1, height, width), 1 wherever a latent cell has any pixel of the job's mask."""
    import torch
    import torch.nn.functional as F

    masks = torch.from_numpy(np.stack([job.mask for job in jobs])).float()[:, None]
    return F.interpolate(F.max_pool2d(masks, factor), scale_factor=factor)


def hidden(source: GreyImage, job: Job) -> GreyImage:
    """The source with what is to be made anew hidden, as a checkpoint for inpainting sees it."""
    return np.where(job.mask, np.uint8(_HIDDEN), source)
