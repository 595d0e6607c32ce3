"""What to say when the device is too small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from balancer.errors import OutOfMemory

_WITHOUT_ROOM = "can't allocate memory"  # torch's words for a CPU that has no more


def no_room(width: int, height: int) -> OutOfMemory:
    """The error for a base that cannot be adapted on this device, not even one image at a time."""
    return OutOfMemory(
        needed=f"device memory to train on one image of {width} x {height} pixels at a time",
        found="not enough, even with gradient checkpointing",
        next_step="use a smaller --size or --rank, no --text-encoder, a smaller base, or another GPU",
    )


def no_room_from_scratch(size: int) -> OutOfMemory:
    """The error for networks that cannot be trained on this device, not even one image at a time."""
    return OutOfMemory(
        needed=f"device memory to train from scratch at {size} x {size} pixels",
        found="not enough, even with one image at a time",
        next_step="use a smaller --size or --batch-size, or another device: --device cpu",
    )


@contextmanager
def memory_explained(error: Callable[..., OutOfMemory], *size: int) -> Iterator[None]:
    """Turn whatever torch and Python raise where memory ends into `error(*size)`."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as cause:
        raise error(*size) from cause
    except RuntimeError as cause:
        if _WITHOUT_ROOM not in str(cause):
            raise
        raise error(*size) from cause
