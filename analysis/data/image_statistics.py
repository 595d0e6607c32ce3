"""Image files to what the gates look at: one small grey array, and measures of the file as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.data.images import Greys, Progress, read_all
from balancer.imaging.decode import GreyImage, read_grey, resize
from balancer.imaging.dicom import starts_as_dicom
from balancer.imaging.safe_open import opened

SIDE = 64
"""Pixels a side that images are judged at."""
MEASURES = (
    "contrast",
    "largest_level",
    "detail",
    "sharpness",
    "border_level",
    "border_contrast",
    "dark",
    "bright",
    "tint",
)
Measures = npt.NDArray[np.float64]
_BORDER = 3  # pixels of 64


@dataclass(frozen=True, slots=True)
class Inspected:
    """Some images: `greys` (N, 64, 64) and `measures` (N, 9), in the order of `MEASURES`."""

    greys: Greys
    measures: Measures


def inspect(paths: Sequence[Path], progress: Progress = lambda done, total: None) -> tuple[Inspected, list[int]]:
    """Read files, several at once; also the places in `paths` of those that could be read: the others are left out."""
    found = list(read_all(inspect_one, paths, progress))
    return join(one for _, one in found), [place for place, _ in found]


def inspect_one(path: Path) -> tuple[GreyImage, Measures]:
    """The small grey array and the measures of one file.

    Raises:
        ImageError: the file cannot be decoded.
    """
    grey = read_grey(path)
    small = np.array(resize(grey, SIDE, SIDE))
    known = {**measure_soundness(grey), **_measure_small(small), "tint": colour_spread(path)}
    return small, np.array([known[name] for name in MEASURES])


def join(images: Iterable[tuple[GreyImage, Measures]]) -> Inspected:
    """Several images as one `Inspected`."""
    greys, measures = zip(*found, strict=True) if (found := list(images)) else ((), ())
    shape = (len(found), SIDE, SIDE)
    return Inspected(
        np.array(greys, np.uint8).reshape(shape), np.array(measures, np.float64).reshape(len(found), len(MEASURES))
    )


def measure_soundness(grey: GreyImage) -> dict[str, float]:
    """Contrast, share of the most frequent grey value, and detail of an image.

    >>> measure_soundness(np.zeros((4, 4), np.uint8))["largest_level"]
    1.0
    """
    values = grey.astype(np.float32)
    contrast = float(values.std())
    steps = np.abs(np.diff(values, axis=0)).mean() + np.abs(np.diff(values, axis=1)).mean()
    return {
        "contrast": round(contrast, 4),
        "largest_level": round(float(np.bincount(grey.ravel(), minlength=256).max() / grey.size), 4),
        "detail": round(float(steps) / max(contrast, 1e-6), 4),
    }


def colour_spread(path: Path) -> float:
    """The mean difference of the brightest and the darkest colour channel, in grey levels; 0 for a grey image.

    Raises:
        ImageError: the file cannot be decoded.
    """
    if starts_as_dicom(path):
        return 0.0
    with opened(path) as image:
        if image.mode in ("L", "LA", "1", "I", "F") or image.mode.startswith("I;"):
            return 0.0
        channels = np.asarray(image.convert("RGB").reduce(max(1, min(image.size) // 128))).astype(np.int16)
    return round(float((channels.max(2) - channels.min(2)).mean()), 4)


def _measure_small(small: GreyImage) -> dict[str, float]:
    """What is measured at one size for all: sharpness (Laplacian over contrast), the border, black and white shares."""
    values = small.astype(np.float64)
    contrast = max(float(values.std()), 1e-6)
    laplacian = 4 * values[1:-1, 1:-1] - values[:-2, 1:-1] - values[2:, 1:-1] - values[1:-1, :-2] - values[1:-1, 2:]
    inside = np.zeros(values.shape, bool)
    inside[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    border = values[~inside]
    return {
        "sharpness": round(float(np.log(laplacian.std() / contrast + 1e-3)), 4),
        "border_level": round(float((border.mean() - values.mean()) / contrast), 4),
        "border_contrast": round(float(border.std() / contrast), 4),
        "dark": round(float((small <= 4).mean()), 4),
        "bright": round(float((small >= 251).mean()), 4),
    }
