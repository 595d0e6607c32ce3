"""What text encoders that do not stay in memory make of captions: computed once, and read from the disk as needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from balancer.adapting.common.device import TrainingDevice
from balancer.adapting.common.train_state import load_tensors
from balancer.files import write_whole
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.prompt_encoder import Text, encode_texts

_SHARD = 64  # captions a file


@dataclass(frozen=True, slots=True)
class CaptionRows:
    """One tensor of all captions, a row each, in files of 64 that are read where they lie."""

    shards: Sequence[Tensor]

    def __getitem__(self, places: Tensor) -> Tensor:
        return torch.stack([self.shards[place // _SHARD][place % _SHARD] for place in places.tolist()])


def cache_captions(
    checkpoint: Checkpoint,
    texts: Sequence[Text],
    machine: TrainingDevice,
    folder: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Encode the captions that `folder` does not hold from an earlier sitting; the text encoders are let go again.

    Raises:
        ModelError: a text encoder cannot be loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [first for first in range(0, len(texts), _SHARD) if not _file(folder, first).exists()]
    if not missing:
        return
    dtype = torch.bfloat16 if machine.bfloat16 else torch.float32
    wanted = [text for first in missing for text in texts[first : first + _SHARD]]
    made = encode_texts(checkpoint, wanted, str(machine.device), dtype)
    for first in missing:
        rows = list(islice(made, len(texts[first : first + _SHARD])))
        whole = {str(place): torch.cat(kind).contiguous() for place, kind in enumerate(zip(*rows, strict=True))}
        write_whole(_file(folder, first), save(whole))
        progress(min(first + _SHARD, len(texts)), len(texts))


def cached_captions(folder: Path) -> tuple[CaptionRows, ...]:
    """What `cache_captions` left in a folder: for each tensor of a caption its rows.

    Raises:
        StateError: a file is not as it was kept.
    """
    shards = [load_tensors(path, folder.parent) for path in sorted(folder.glob("*.safetensors"))]
    return tuple(CaptionRows([shard[name] for shard in shards]) for name in sorted(shards[0]))


def _file(folder: Path, first: int) -> Path:
    return folder / f"{first:07d}.safetensors"
