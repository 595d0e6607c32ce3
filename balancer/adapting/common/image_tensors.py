"""Training images to one tensor in memory, and sample pictures from a pipeline."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from balancer.collection.scan import Sample
from balancer.collection.unchanged import read_unchanged
from balancer.generators.scheduler import guidance_rescale, usual_guidance
from balancer.imaging.decode import resize
from balancer.parallel import in_threads
from balancer.prompting.packs import Packs
from balancer.prompting.prompts import make_prompt

COLUMNS = 6
STEPS = 25
_ZOOM = 2
_GAP = 2
_MARGIN = 96


@dataclass(frozen=True, slots=True)
class ImageTensors:
    """All training images, uint8 of shape (N, size, size), and how much smaller they are than the originals.

    `reduction` is the median of original pixels for one pixel here, along the longer edge.
    """

    grey: Tensor
    reduction: float

    def batch(self, indices: Tensor) -> Tensor:
        """Chosen images as the autoencoder takes them, (N, 3, size, size) from -1 to 1."""
        grey = self.grey[indices].float().div(127.5).sub(1)
        return grey.unsqueeze(1).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def read_image_tensors(
    samples: Sequence[Sample], root: Path, size: int, progress: Callable[[int], None]
) -> ImageTensors:
    """Decode every training image once, stretched to (size, size).

    Raises:
        CollectionError: a file is gone, or another than when it was scanned.
        ImageError: a file cannot be read.
    """
    grey = np.empty((len(samples), size, size), np.uint8)
    reductions = np.empty(len(samples))
    for i, (image, reduction) in enumerate(in_threads(lambda s: _read(s, root, size), samples)):
        grey[i], reductions[i] = image, reduction
        progress(i + 1)
    return ImageTensors(torch.from_numpy(grey), float(np.median(reductions)))


def draw_samples(
    pipeline: Any, packs: Packs, seed: int, columns: int = COLUMNS, steps: int = STEPS
) -> dict[str, npt.NDArray[np.uint8]]:
    """Pictures of each label, (columns, H, W), by fixed prompts and seeds: the same column has the same noise."""
    rows = {}
    for label, pack in packs.items():
        prompts = [make_prompt(pack, label, column, seed) for column in range(columns)]
        images = pipeline(
            prompt=[prompt.text for prompt in prompts],
            negative_prompt=[prompt.negative for prompt in prompts],
            generator=[torch.Generator("cpu").manual_seed(seed + column) for column in range(columns)],
            num_inference_steps=steps,
            guidance_scale=usual_guidance(pipeline.scheduler.config),
            guidance_rescale=guidance_rescale(pipeline.scheduler.config),
            output_type="np",
        ).images
        rows[label] = np.rint(images.mean(axis=-1) * 255).astype(np.uint8)
    return rows


def contact_sheet(rows: dict[str, npt.NDArray[np.uint8]]) -> bytes:
    """A PNG with a row for each label, named on its left, twice the pictures' size."""
    columns, height, width = next(iter(rows.values())).shape
    step_y, step_x = _ZOOM * height + _GAP, _ZOOM * width + _GAP
    sheet = Image.new("L", (_MARGIN + columns * step_x, len(rows) * step_y), 255)
    for row, (label, pictures) in enumerate(rows.items()):
        ImageDraw.Draw(sheet).text((4, row * step_y + step_y // 2 - 5), label[:15], fill=0)
        for column, picture in enumerate(pictures):
            large = Image.fromarray(picture).resize((_ZOOM * width, _ZOOM * height), Image.Resampling.NEAREST)
            sheet.paste(large, (_MARGIN + column * step_x, row * step_y))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _read(sample: Sample, root: Path, size: int) -> tuple[npt.NDArray[np.uint8], float]:
    grey = read_unchanged(root, sample)
    return resize(grey, size, size), max(grey.shape) / size
