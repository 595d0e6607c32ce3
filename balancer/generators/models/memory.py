"""What a checkpoint needs in memory, computed from the headers of its weights before any is loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from balancer.errors import ModelError
from balancer.generators.models.checkpoint import Checkpoint
from balancer.parallel import free_memory

_GIB = 2**30
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


def parameters_of(file: Path) -> int:
    """How many numbers a safetensors file holds, by its header."""
    with file.open("rb") as content:
        header: dict[str, Any] = json.loads(content.read(int.from_bytes(content.read(8), "little")))
    return sum(math.prod(each["shape"]) for name, each in header.items() if name != "__metadata__")


def resident_bytes(checkpoint: Checkpoint) -> int:
    """The size of the weight files of all that is in memory while images are generated."""
    return _size(_groups(checkpoint)[-1])


def largest_bytes(checkpoint: Checkpoint) -> int:
    """The size of the most weight files that are in memory at once."""
    return max(map(_size, _groups(checkpoint)))


def largest_load(checkpoint: Checkpoint, dtype: str) -> tuple[int, int]:
    """The most numbers that are in memory at once, and their bytes in a precision."""
    most = max(sum(map(parameters_of, files)) for files in _groups(checkpoint))
    return most, most * _BYTES[dtype]


def _groups(checkpoint: Checkpoint) -> list[list[Path]]:
    """The weight files that are in memory together, those that generate the last.

    Text encoders that encode first and are let go are a group, and the rest of such a family another.
    """
    family = checkpoint.family
    if family.whole:
        return [checkpoint.weights]
    return [
        [file for part in parts for file in checkpoint.files(part)]
        for parts in (family.text_encoders, (family.denoiser, "vae"))
    ]


def _size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def require_memory(checkpoint: Checkpoint, dtype: str, device: str, free: int | None = None) -> None:
    """Refuse a checkpoint that does not fit into the free memory of a device, in bytes; `free` is looked up.

    Raises:
        ModelError: it does not.
    """
    numbers, needed = largest_load(checkpoint, dtype)
    free = _free(device) if free is None else free
    if needed > free:
        elsewhere = "" if device == "cpu" else ", or on the processor, slowly: --device cpu"
        raise ModelError(
            needed=f"{needed / _GIB:.1f} GiB of memory on {device} for {checkpoint.ref.name} "
            f"({numbers / 1e9:.2g} billion numbers at once, in {dtype})",
            found=f"{free / _GIB:.1f} GiB free",
            next_step="close other programs, use a machine with more memory, or a smaller model: "
            f"balance fill --model FOLDER{elsewhere}",
        )


def _free(device: str) -> int:
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    return free_memory()
