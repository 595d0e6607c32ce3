"""What the user may choose about drawing, and all settings that an image depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from balancer.devices import choose_device
from balancer.errors import ModelError
from balancer.generators.aspect import possible_sides
from balancer.generators.guidance import Interval
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.memory import resident_bytes
from balancer.generators.scheduler import default_guidance, scheduler_name
from balancer.jobs import GenerationConfig, ModelRef

DECODED_AT_ONCE = 8
"""How many latents are decoded together."""
_CPU_BATCHES = ((128, 16), (256, 8), (512, 4))
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """What the user may choose about generation; `None` and "auto" are chosen here.

    `aspect` is the width over the height of the images, at the area of a square of `size`.
    """

    steps: int = 25
    guidance_scale: float | None = None
    size: int | None = None
    batch_size: int | None = None
    device: str = "auto"
    adapter_scale: float = 1.0
    precision: str = "auto"
    guidance_interval: Interval | None = None
    aspect: float = 1.0


def resolve_config(checkpoint: Checkpoint, adapter: ModelRef | None, sampling: SamplingOptions) -> GenerationConfig:
    """All settings that an image depends on, each with its value; the same on every run on the same machine.

    Raises:
        ModelError: a size that the model cannot make, or a device that is not there.
    """
    size = sampling.size or checkpoint.native_size
    width, height = possible_sides(checkpoint, size, sampling.aspect)
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
        width=width,
        height=height,
        dtype=sampling.precision if sampling.precision != "auto" else checkpoint.family.precision(device),
        batch_size=sampling.batch_size or _fitting_batch(checkpoint, size, device),
        guidance_interval=sampling.guidance_interval,
    )


def _fitting_batch(checkpoint: Checkpoint, size: int, device: str) -> int:
    """How many images to make at once: from the device's whole memory, so that it is the same on every run."""
    import torch

    if not device.startswith("cuda"):
        return next((batch for side, batch in _CPU_BATCHES if size <= side), 1)
    weights = resident_bytes(checkpoint)
    total = torch.cuda.get_device_properties(torch.device(device)).total_memory
    image = 0.7 * _GIB * (size / 512) ** 2  # measured order of a UNet pass with guidance in half precision
    room = 0.8 * total - weights - DECODED_AT_ONCE * image
    return int(2 ** max(0, min(6, int(room / image).bit_length() - 1))) if room > image else 1
