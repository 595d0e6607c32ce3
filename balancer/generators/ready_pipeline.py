"""A pipeline that is ready to draw: on its device, with its adapter and the scheduler that is used here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.pipeline import fuse_adapter, load_pipeline
from balancer.generators.not_a_number import require_schedule
from balancer.generators.packed import can_pack, pack
from balancer.generators.scheduler import our_scheduler

if TYPE_CHECKING:
    import torch


def ready_pipeline(checkpoint: Checkpoint, dtype: torch.dtype, adapter: Path | None, scale: float, device: str) -> Any:
    """The pipeline on its device, the adapter in its weights; of a family that is not whole without text encoders.

    Raises:
        ModelError: it cannot be loaded, or the adapter does not fit.
        NotANumber: its noise schedule is none.
    """
    import torch

    family = checkpoint.family
    pipe = load_pipeline(checkpoint, dtype, () if family.whole else (family.denoiser, "vae", "scheduler"))
    if adapter is not None:
        fuse_adapter(pipe, adapter, scale)
    if family.whole:
        pipe.scheduler = our_scheduler(pipe.scheduler.config)
    if not family.flow:
        require_schedule(pipe.scheduler.alphas_cumprod, checkpoint.ref.name)
    pipe.set_progress_bar_config(disable=True)
    pipe.to(device)
    for network in (pipe.unet, pipe.vae) if family.whole else ():
        if device.startswith("cuda"):
            network.to(memory_format=torch.channels_last)
        elif can_pack(device, network.dtype):
            pack(network)
    return pipe
