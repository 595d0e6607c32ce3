"""What diffusers and torch raise while images are made, as errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from balancer.errors import GenerationError, OutOfMemory


@contextmanager
def translated(count: int) -> Iterator[None]:
    """Turn what is raised while `count` images are made into errors of ours.

    Raises:
        OutOfMemory: the device has too little memory.
        GenerationError: anything else of a library.
    """
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
