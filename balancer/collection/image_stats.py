"""What is inside the images: each file is decoded once, in parallel, to a small record of what findings need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from balancer.errors import ImageError
from balancer.imaging.reduced_decode import read_draft
from balancer.parallel import in_parallel

SIDE, THUMB, HASH = 112, 64, 16
"""Pixels of the grey version that is looked at, pixels of the one that is kept, bits of the hash (each squared)."""
_UNIFORM = 10  # grey levels that noise and compression make of one
_FRAME = 2  # pixels of SIDE
_THIN, _CONTRAST, _BRIGHT = 3, 50, 120  # pixels of SIDE to both sides of a stroke; grey levels above them; at least
_EDGE = 24  # pixels of SIDE in which marks are looked for
_CELL, _STROKES = 8, 4  # pixels of SIDE; pixels of strokes that make a letter
_KEPT = 1000  # files, decoded in some seconds
Greys = npt.NDArray[np.uint8]
Stat = tuple[str, int, int]
"""A file's path relative to the collection, its size in bytes and its time in nanoseconds."""
Row = tuple[Any, ...]
"""The fields of a `Contents`: tuples go from one process to another in a fraction of the time of dataclasses."""


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
    keep: Callable[[Mapping[str, Contents]], None] = lambda some: None,
) -> dict[str, Contents]:
    """The contents of every row of `images`; files that did not change since `known` are not decoded again.

    `keep` is called with what was decoded every now and then, so that a run that is stopped can go on there.
    """
    stats = list(zip(images.index, images["size"].tolist(), images["mtime_ns"].tolist(), strict=True))
    found = {path: known[path] for path, *stat in stats if _is_fresh(known.get(path), *stat)}
    missing = [stat for stat in stats if stat[0] not in found]
    done, new = 0, dict[str, Contents]()
    for chunk in in_parallel(partial(_read, root), missing):
        new |= {path: Contents(*row) for (path, _, _), row in chunk}
        done += len(chunk)
        if len(new) >= _KEPT or done == len(missing):
            keep(new)
            found |= new
            new = {}
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
    cosines = _cosines()
    low = cosines @ (thumbs.reshape(-1, THUMB).astype(np.float32) @ cosines.T).reshape(-1, THUMB, HASH)
    turned = low * np.where(np.arange(HASH) % 2, -1, 1).astype(np.float32)
    return _above_median(low), _above_median(turned)


def _is_fresh(known: Contents | None, size: int, mtime_ns: int) -> bool:
    return known is not None and (known.size, known.mtime_ns) == (size, mtime_ns)


def _read(root: Path, files: Sequence[Stat]) -> list[Row]:
    folder, frames = str(root), dict[int, int]()
    pictures: list[Image.Image] = []
    found: list[Row] = []
    for place, (path, size, mtime_ns) in enumerate(files):
        fault = None
        try:
            picture, frames[place] = read_draft(f"{folder}/{path}", SIDE)
            pictures.append(picture)
        except ImageError as error:
            fault = error.found
        found.append((size, mtime_ns, b"", b"", b"", 0.0, 0.0, 0.0, -1.0, False, 1, fault))
    for place, row in zip(frames, _measured(pictures), strict=True):
        found[place] = (*found[place][:2], *row, frames[place], None)
    return found


def _measured(pictures: Sequence[Image.Image]) -> Iterator[Row]:
    """The fields of `Contents` from `phash` to `marked`."""
    if not pictures:
        return iter(())
    strip = _strip(pictures)
    greys = np.asarray(strip).reshape(-1, SIDE, SIDE)
    sides = frames_of(greys)
    thumbs = _thumbs(strip, pictures, sides)
    hashes, mirrored = perceptual_hashes(thumbs)
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    borders, levels = _framed(greys, sides)
    columns = (flat.mean(1).tolist(), flat.std(1).tolist(), borders.tolist(), levels.tolist(), marked(greys).tolist())
    return zip(*(_blobs(each) for each in (hashes, mirrored, thumbs)), *columns, strict=True)


def _strip(pictures: Sequence[Image.Image]) -> Image.Image:
    """All pictures below each other in one, since many small calls take longer than one large."""
    strip = Image.new("L", (SIDE, SIDE * len(pictures)))
    for place, picture in enumerate(pictures):
        strip.paste(picture, (0, SIDE * place))
    return strip


def _thumbs(strip: Image.Image, pictures: Sequence[Image.Image], sides: npt.NDArray[np.int64]) -> Greys:
    """What is inside the frames, (N, 64, 64): all pictures in the same frame would look alike."""
    narrow = strip.resize((THUMB, strip.height), Image.Resampling.BOX)  # first: Pillow's own order goes by the shape
    small = narrow.resize((THUMB, THUMB * len(pictures)), Image.Resampling.BOX)
    for place in np.flatnonzero(sides.any(axis=1)).tolist():
        top, bottom, left, right = sides[place].tolist()
        inner = (left and left + 1, top and top + 1, SIDE - (right and right + 1), SIDE - (bottom and bottom + 1))
        inside = pictures[place].resize((THUMB, THUMB), Image.Resampling.BOX, box=inner)
        small.paste(inside, (0, THUMB * place))
    return np.asarray(small).reshape(-1, THUMB, THUMB)


def _blobs(rows: Greys) -> list[bytes]:
    whole, size = rows.tobytes(), rows[0].size
    return [whole[start : start + size] for start in range(0, len(whole), size)]


@cache
def _cosines() -> npt.NDArray[np.float32]:
    """The lowest rows of the type II cosine transform of `THUMB` values, shape (16, 64)."""
    angle = np.pi * np.arange(HASH)[:, None] * (2 * np.arange(THUMB)[None] + 1) / (2 * THUMB)
    return np.asarray(2 * np.cos(angle), np.float32)


def _above_median(low: npt.NDArray[np.float32]) -> Greys:
    flat = low.reshape(len(low), -1)
    middle = np.partition(flat, (flat.shape[1] // 2 - 1, flat.shape[1] // 2), axis=1)  # np.median is slower
    median = (middle[:, flat.shape[1] // 2 - 1] + middle[:, flat.shape[1] // 2]) / 2
    return np.packbits(flat > median[:, None], axis=1)


def frames_of(greys: Greys) -> npt.NDArray[np.int64]:
    """How many pixels from the top, bottom, left and right of (N, side, side) images a uniform frame covers: (N, 4).

    A frame is at least two pixels of one grey level along two opposite sides.
    """
    found = np.zeros((len(greys), 4), np.int64)
    some = np.flatnonzero(_may_be_framed(greys))  # a few, mostly: the look at all rows and columns takes longer
    inner = greys[some]
    sides = np.stack([*_runs(inner), *_runs(inner.transpose(0, 2, 1))], axis=1).reshape(-1, 2, 2)
    both = (sides.min(axis=2) >= _FRAME) & (sides.max(axis=2) < greys.shape[1] // 2)
    found[some] = np.where(both[:, :, None], sides, 0).reshape(-1, 4)
    return found


def _may_be_framed(greys: Greys) -> npt.NDArray[np.bool_]:
    """Whether the outermost pixels along two opposite sides are of one grey level."""
    w = _FRAME
    edges = (greys[:, :w], greys[:, -w:], greys[:, :, :w], greys[:, :, -w:])
    flat = (np.ascontiguousarray(edge.reshape(len(greys), -1).T) for edge in edges)  # the images in the inner loop
    top, bottom, left, right = (edge.max(axis=0) - edge.min(axis=0) <= _UNIFORM for edge in flat)
    return np.asarray((top & bottom) | (left & right))


def _framed(greys: Greys, sides: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The share of the area that each frame covers, and its grey level (-1 where there is none)."""
    whole = greys.shape[1]
    upright, lying = sides[:, :2].sum(axis=1), sides[:, 2:].sum(axis=1)
    level = np.where(upright > 0, greys[:, 0, whole // 2], greys[:, whole // 2, 0]).astype(float)
    return 1 - (1 - upright / whole) * (1 - lying / whole), np.where(upright + lying > 0, level, -1.0)


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
    across, down = _where_strokes_are()
    strokes = _thin(greys, _THIN) & across | _thin(greys, _THIN * SIDE) & down
    packed = strokes.view(np.uint64).reshape(len(greys), SIDE // _CELL, _CELL, SIDE // _CELL)  # a row of a cell in each
    counts = (packed.sum(axis=2) * np.uint64(0x0101010101010101)) >> np.uint64(56)  # of its eight bytes
    inner = _squares(np.pad(counts.astype(np.int16), ((0, 0), (2, 2), (2, 2))), 1)
    outer, inner = _squares(inner, 2), inner[:, 1:-1, 1:-1]
    return np.asarray(((inner >= _STROKES) & ((outer - inner) * 4 <= inner)).any(axis=(1, 2)))


def _thin(greys: Greys, step: int) -> npt.NDArray[np.bool_]:
    """Which pixels of (N, 112, 112) are bright, and far brighter than those `step` before and after: (N, 112 * 112).

    All in one row, which is fastest; neighbours beyond an edge are those of another row or image.
    """
    flat = greys.reshape(-1)
    level = (flat - np.uint8(_CONTRAST)) * (flat >= _BRIGHT).view(np.uint8)  # both neighbours must be below it
    found = np.zeros(flat.shape, bool)
    np.less(np.maximum(flat[2 * step :], flat[: -2 * step]), level[step:-step], out=found[step:-step])
    return found.reshape(len(greys), -1)


@cache
def _where_strokes_are() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Near the edges, and where both neighbours across, or down, are in the image: (112 * 112,) each."""
    near = np.ones((SIDE, SIDE), bool)
    near[_EDGE:-_EDGE, _EDGE:-_EDGE] = False
    inside = np.zeros((SIDE, SIDE), bool)
    inside[:, _THIN:-_THIN] = True
    return (near & inside).ravel(), (near & inside.T).ravel()


def _squares(counts: npt.NDArray[np.int16], step: int) -> npt.NDArray[np.int16]:
    """Sums of the four corners of all squares that are `step` wide."""
    rows = counts[:, step:] + counts[:, :-step]
    return np.asarray(rows[:, :, step:] + rows[:, :, :-step])
