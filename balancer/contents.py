"""What is inside the images: each file is decoded once, in parallel, to a small record of what findings need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from balancer.errors import ImageError
from balancer.images import read_small
from balancer.parallel import in_parallel

SIDE, THUMB, HASH = 112, 64, 16
"""Pixels of the grey version that is looked at, pixels of the one that is kept, bits of the hash (each squared)."""
_UNIFORM = 10  # grey levels that noise and compression make of one
_FRAME = 2  # pixels of SIDE
_THIN, _CONTRAST, _BRIGHT = 3, 50, 120  # pixels of SIDE to both sides of a stroke; grey levels above them; at least
_EDGE = 24  # pixels of SIDE in which marks are looked for
_CELL, _STROKES = 8, 4  # pixels of SIDE; pixels of strokes that make a letter
Greys = npt.NDArray[np.uint8]
Stat = tuple[str, int, int]
"""A file's path relative to the collection, its size in bytes and its time in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What one decoded file holds, or the `fault` for which it cannot be decoded.

    `size` and `mtime_ns` are the file's when it was read. `phash` are the 256 bits of its perceptual hash, `mirrored`
    those of its mirror image, `thumb` its (64, 64) grey levels, all three without the frame. `mean` and `spread`
    (standard deviation) are in grey levels. `border` is the share of the area that a uniform frame covers,
    `border_grey` the frame's grey level (-1 where there is none). `marked` says whether something near the edges
    looks like burnt-in letters.
    """

    size: int
    mtime_ns: int
    phash: bytes = b""
    mirrored: bytes = b""
    thumb: bytes = b""
    mean: float = 0.0
    spread: float = 0.0
    border: float = 0.0
    border_grey: float = -1.0
    marked: bool = False
    frames: int = 1
    fault: str | None = None


def read_contents(
    root: Path,
    images: pd.DataFrame,
    known: Mapping[str, Contents],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Contents]:
    """The contents of every row of `images`; files that did not change since `known` are not decoded again."""
    stats = list(zip(images.index, images["size"].tolist(), images["mtime_ns"].tolist(), strict=True))
    found = {path: known[path] for path, *stat in stats if _is_fresh(known.get(path), *stat)}
    missing = [stat for stat in stats if stat[0] not in found]
    done = 0
    for chunk in in_parallel(partial(_read, root), missing):
        found |= {path: contents for (path, _, _), contents in chunk}
        done += len(chunk)
        progress(done, len(missing))
    return {path: found[path] for path, _, _ in stats}


def fresh(images: pd.DataFrame, known: Mapping[str, Contents]) -> dict[str, Contents]:
    """What is known of files that did not change since."""
    stats = zip(images.index, images["size"].tolist(), images["mtime_ns"].tolist(), strict=True)
    return {path: known[path] for path, *stat in stats if _is_fresh(known.get(path), *stat)}


def perceptual_hashes(thumbs: Greys) -> tuple[Greys, Greys]:
    """The hashes of (N, 64, 64) grey images and of their mirror images, each of shape (N, 32).

    They are the bits of `imagehash.phash(image, hash_size=16)`: whether each of the 16 x 16 lowest coefficients of
    the cosine transform is above their median. Mirroring an image turns the sign of every odd column.
    """
    low = _cosines() @ thumbs.astype(np.float64) @ _cosines().T
    turned = low * np.where(np.arange(HASH) % 2, -1.0, 1.0)
    return _above_median(low), _above_median(turned)


def _is_fresh(known: Contents | None, size: int, mtime_ns: int) -> bool:
    return known is not None and (known.size, known.mtime_ns) == (size, mtime_ns)


def _read(root: Path, files: Sequence[Stat]) -> list[Contents]:
    pictures: dict[int, tuple[Image.Image, int]] = {}
    found: list[Contents] = []
    for place, (path, size, mtime_ns) in enumerate(files):
        fault = None
        try:
            pictures[place] = read_small(root / path, SIDE)
        except ImageError as error:
            fault = error.found
        found.append(Contents(size, mtime_ns, fault=fault))
    for place, contents in zip(pictures, _measured([picture for picture, _ in pictures.values()]), strict=True):
        _, size, mtime_ns = files[place]
        found[place] = Contents(size, mtime_ns, *contents, frames=pictures[place][1])
    return found


def _measured(pictures: Sequence[Image.Image]) -> list[tuple[bytes, bytes, bytes, float, float, float, float, bool]]:
    if not pictures:
        return []
    greys = _stacked(pictures, SIDE)
    sides = frames_of(greys)
    thumbs = _stacked([_thumb(*each) for each in zip(pictures, sides.tolist(), strict=True)], THUMB)
    hashes, mirrored = perceptual_hashes(thumbs)
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    borders, levels = _framed(greys, sides)
    columns = (flat.mean(1).tolist(), flat.std(1).tolist(), borders.tolist(), levels.tolist(), marked(greys).tolist())
    blobs = ((a.tobytes(), b.tobytes(), c.tobytes()) for a, b, c in zip(hashes, mirrored, thumbs, strict=True))
    return [(*blob, *row) for blob, row in zip(blobs, zip(*columns, strict=True), strict=True)]


def _stacked(pictures: Sequence[Image.Image], side: int) -> Greys:
    return np.frombuffer(b"".join([picture.tobytes() for picture in pictures]), np.uint8).reshape(-1, side, side)


@cache
def _cosines() -> npt.NDArray[np.float64]:
    """The lowest rows of the type II cosine transform of `THUMB` values, shape (16, 64)."""
    angle = np.pi * np.arange(HASH)[:, None] * (2 * np.arange(THUMB)[None] + 1) / (2 * THUMB)
    return np.asarray(2 * np.cos(angle))


def _above_median(low: npt.NDArray[np.float64]) -> Greys:
    flat = low.reshape(len(low), -1)
    middle = np.partition(flat, (flat.shape[1] // 2 - 1, flat.shape[1] // 2), axis=1)  # np.median is slower
    median = (middle[:, flat.shape[1] // 2 - 1] + middle[:, flat.shape[1] // 2]) / 2
    return np.packbits(flat > median[:, None], axis=1)


def frames_of(greys: Greys) -> npt.NDArray[np.int64]:
    """How many pixels from the top, bottom, left and right of (N, side, side) images a uniform frame covers: (N, 4).

    A frame is at least two pixels of one grey level along two opposite sides.
    """
    sides = np.stack([*_runs(greys), *_runs(greys.transpose(0, 2, 1))], axis=1).reshape(-1, 2, 2)
    both = (sides.min(axis=2) >= _FRAME) & (sides.max(axis=2) < greys.shape[1] // 2)
    return np.where(both[:, :, None], sides, 0).reshape(-1, 4)


def _framed(greys: Greys, sides: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The share of the area that each frame covers, and its grey level (-1 where there is none)."""
    whole = greys.shape[1]
    upright, lying = sides[:, :2].sum(axis=1), sides[:, 2:].sum(axis=1)
    level = np.where(upright > 0, greys[:, 0, whole // 2], greys[:, whole // 2, 0]).astype(float)
    return 1 - (1 - upright / whole) * (1 - lying / whole), np.where(upright + lying > 0, level, -1.0)


def _thumb(picture: Image.Image, sides: Sequence[int]) -> Image.Image:
    """What is inside the frame: all pictures in the same frame would look alike."""
    top, bottom, left, right = sides
    inner = (left and left + 1, top and top + 1, SIDE - (right and right + 1), SIDE - (bottom and bottom + 1))
    return picture.resize((THUMB, THUMB), Image.Resampling.BOX, box=inner if any(sides) else None)


def _runs(greys: Greys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How many rows from the top, and from the bottom, are of the grey level of the outermost one."""
    low, high = greys.min(axis=2).astype(int), greys.max(axis=2).astype(int)

    def run(low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        lowest, highest = np.minimum.accumulate(low, axis=1), np.maximum.accumulate(high, axis=1)
        return np.asarray((highest - lowest <= _UNIFORM).sum(axis=1))

    return run(low, high), run(low[:, ::-1], high[:, ::-1])


def marked(greys: Greys) -> npt.NDArray[np.bool_]:
    """Whether there is something like burnt-in letters near the edges of (N, 112, 112) images.

    A heuristic: bright strokes, thin and far brighter than what is beside them, in a small group with nothing of the
    kind around it. A clip or the end of a lead at the edge counts too; faint or very small letters do not.
    """
    d = _THIN
    level = np.maximum(greys, _CONTRAST) - np.uint8(_CONTRAST)  # both neighbours must be below it
    strokes = np.zeros(greys.shape, bool)
    strokes[:, :, d:-d] = np.maximum(greys[:, :, 2 * d :], greys[:, :, : -2 * d]) < level[:, :, d:-d]
    strokes[:, d:-d] |= np.maximum(greys[:, 2 * d :], greys[:, : -2 * d]) < level[:, d:-d]
    strokes &= greys >= _BRIGHT
    strokes[:, _EDGE:-_EDGE, _EDGE:-_EDGE] = False
    cells = strokes.view(np.uint8).reshape(len(greys), SIDE // _CELL, _CELL, SIDE // _CELL, _CELL)
    counts = np.pad(cells.sum(axis=2, dtype=np.uint8).sum(axis=3, dtype=np.int32), ((0, 0), (2, 2), (2, 2)))
    inner, outer = _windows(counts, 2)[:, 1:-1, 1:-1], _windows(counts, 4)
    return np.asarray(((inner >= _STROKES) & ((outer - inner) * 4 <= inner)).any(axis=(1, 2)))


def _windows(counts: npt.NDArray[np.int32], width: int) -> npt.NDArray[np.int32]:
    """Sums over all windows of `width` cells squared."""
    whole = np.cumsum(np.cumsum(np.pad(counts, ((0, 0), (1, 0), (1, 0))), axis=1), axis=2)
    w = width
    return whole[:, w:, w:] - whole[:, :-w, w:] - whole[:, w:, :-w] + whole[:, :-w, :-w]
