"""What to say when the device is too small."""

from __future__ import annotations

from balancer.errors import OutOfMemory


def no_room(size: int) -> OutOfMemory:
    """The error for a base that cannot be adapted on this device, not even one image at a time."""
    return OutOfMemory(
        needed=f"device memory to learn from one image of {size} x {size} pixels at a time",
        found="less, even with gradient checkpointing",
        next_step="give a smaller --size or --rank, leave --text-encoder out, adapt a smaller base, or use another GPU",
    )
