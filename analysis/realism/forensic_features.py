"""What a network, or a loader, may recognise a synthetic file by: figures of one image, none of them learned."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.stats import kurtosis

from analysis.data.images import Greys
from balancer.imaging.decode import GreyImage, Header, read_grey, read_header

Floats = npt.NDArray[np.float32]

_RINGS = 24
_CORNER = 64
_MOST_VALUES = 120_000_000  # of pixels that are held at once: a little under 0.5 GB with what is made of them
_FILTERS = (
    ("across", np.array([[1, -1]])),
    ("down", np.array([[1], [-1]])),
    ("bent across", np.array([[1, -2, 1]])),
    ("bent down", np.array([[1], [-2], [1]])),
    ("spot", np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]])),
)  # linear residuals of the rich models of steganalysis (Fridrich and Kodovský 2012)


@dataclass(frozen=True, slots=True)
class Originals:
    """Images as their files have them: figures of each, spectra, and pixels at positions that all images share.

    `positions` says which: all, or those of the four corners where sizes differ.
    """

    figures: dict[str, Floats]
    spectra: Floats
    pixels: Greys
    residuals: npt.NDArray[np.int16]
    positions: str


def most_images(paths: Sequence[Path]) -> int:
    """How many such images can be looked at pixel by pixel without filling the memory; of several sizes, corners."""
    sizes = {(header.width, header.height) for header in map(read_header, paths[:: max(1, len(paths) // 50)])}
    width, height = sizes.pop() if len(sizes) == 1 else (2 * _CORNER, 2 * _CORNER)
    return _MOST_VALUES // (width * height)


def read_originals(paths: Sequence[Path]) -> Originals:
    """Look at every file at its own size.

    Raises:
        ImageError: a file cannot be decoded.
    """
    headers = [read_header(path) for path in paths]
    uniform = len({(header.width, header.height) for header in headers}) == 1
    corner = min(_CORNER, *(min(header.width, header.height) // 2 for header in headers))
    rows, spectra, pixels, residuals = [], [], [], []
    for path, header in zip(paths, headers, strict=True):
        grey = read_grey(path)
        rows.append(measure_traces(grey, header))
        spectra.append(spectrum(grey))
        pixels.append(grey.ravel() if uniform else _corners(grey, corner))
        residuals.append(_residual(grey).ravel() if uniform else _corners(_residual(grey), corner))
    names = [name for name in rows[0] if name != "format"]
    figures = {name: np.array([row[name] for row in rows], np.float32) for name in names}
    usual = max(set(kinds := [row["format"] for row in rows]), key=kinds.count)
    figures["file format"] = np.array([kind != usual for kind in kinds], np.float32)
    where = "every pixel" if uniform else f"the four corners of {corner} px, since pixel sizes differ"
    return Originals(figures, np.array(spectra), np.array(pixels), np.array(residuals), where)


def measure_traces(grey: GreyImage, header: Header) -> dict[str, float | str]:
    """Cheap figures of one image; "format" is a word, all others are numbers.

    >>> flat = np.full((8, 8), 7, np.uint8)
    >>> found = measure_traces(flat, Header("PNG", "L", 8, 8, 8))
    >>> found["border level"], found["noise"], found["format"]
    (7.0, 0.0, 'PNG L 8')
    """
    border = np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1])).astype(np.float32)
    counts = np.bincount(grey.ravel(), minlength=256)
    steps = np.abs(np.diff(grey.astype(np.float32), axis=1)).mean(axis=0)
    return {
        "format": f"{header.format} {header.mode} {header.bits}",
        "width": float(header.width),
        "height": float(header.height),
        "border level": float(border.mean()),
        "border contrast": float(border.std()),
        "noise": float(np.abs(_residual(grey)).mean()) / 4,
        "share of black": float(counts[0] / grey.size),
        "share of white": float(counts[255] / grey.size),
        "darkest level": float(np.flatnonzero(counts)[0]),
        "brightest level": float(np.flatnonzero(counts)[-1]),
        "grey levels used": float((counts > 0).sum()),
        "share of even levels": float(counts[::2].sum() / grey.size),
        "steps every 8 pixels": float(steps[7::8].mean() - steps.mean()) if len(steps) > 8 else 0.0,
        "compressed size": _compressed(grey) / grey.size,
    }


def spectrum(grey: GreyImage) -> Floats:
    """Log power in rings of equal width up to Nyquist's frequency, azimuthally averaged (Durall et al. 2020).

    >>> spectrum(np.zeros((16, 12), np.uint8)).shape
    (24,)
    """
    values = grey.astype(np.float32)
    window = np.hanning(values.shape[0])[:, None] * np.hanning(values.shape[1])[None, :]
    power = np.abs(np.fft.rfft2((values - values.mean()) * window)) ** 2
    across, down = np.fft.rfftfreq(values.shape[1])[None, :], np.fft.fftfreq(values.shape[0])[:, None]
    ring = np.minimum((np.hypot(across, down) * 2 * _RINGS).astype(int), _RINGS)  # beyond the last: the corners
    sums = np.bincount(ring.ravel(), power.ravel(), _RINGS + 1)[:_RINGS]
    counts = np.bincount(ring.ravel(), minlength=_RINGS + 1)[:_RINGS]
    return np.log(sums / np.maximum(counts, 1) / grey.size + 1e-3).astype(np.float32)


def texture(grey: GreyImage) -> Floats:
    """Shares of grey levels and, for each high-pass filter, strength and tailedness of what it leaves, (26,)."""
    values = grey.astype(np.float32)
    levels = np.bincount(grey.ravel() // 16, minlength=16) / grey.size
    found = []
    for _, kernel in _FILTERS:
        left = _filtered(values, kernel)
        found += [np.log(np.abs(left).mean() + 0.1), float(kurtosis(left, axis=None)) if left.std() > 1e-3 else 0.0]
    return np.concatenate((np.sqrt(levels), np.arcsinh(found))).astype(np.float32)


def _filtered(values: Floats, kernel: npt.NDArray[np.int64]) -> Floats:
    height, width = values.shape[0] - kernel.shape[0] + 1, values.shape[1] - kernel.shape[1] + 1
    total = np.zeros((height, width), np.float32)
    for (down, across), weight in np.ndenumerate(kernel):
        total += weight * values[down : down + height, across : across + width]
    return total


def _residual(grey: GreyImage) -> npt.NDArray[np.int16]:
    """Four times each pixel less its four neighbours."""
    around = np.pad(grey.astype(np.int16), 1, mode="edge")
    neighbours = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]
    return np.asarray(4 * grey.astype(np.int16) - neighbours, np.int16)


def _corners(values: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    rows, columns = np.r_[0:side, -side:0], np.r_[0:side, -side:0]
    return np.asarray(values[np.ix_(rows, columns)].ravel())


def _compressed(grey: GreyImage) -> int:
    """Bytes as PNG: of the pixels alone, since a file also holds what is said about it."""
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", compress_level=1)
    return buffer.tell()
