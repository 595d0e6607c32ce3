"""Images that show the same picture though their files differ: re-encoded, resized, brightened, cropped, mirrored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from balancer.collection.image_stats import HASH, THUMB, Contents
from balancer.parallel import in_threads

MAX_HASH_BITS = 56
"""Differing bits of 256 up to which two images are compared by their pixels.

Of 5,840 chest radiographs, 254 pairs that differ are as near, and all copies that were made of them: re-encoded
(JPEG quality 50: at most 10 bits), resized (20), brightened (14), cropped by 2% (48).
"""
SAME_PICTURE = 0.94
"""Correlation from which two registered images are the same picture.

Of the same radiographs, 0.887 was the highest of two that differ (all pairs up to 64 bits were tried), and all copies
were above 0.94, crops by 4% included.
"""
MAX_PAIRS = 20_000
"""Pairs whose pixels are compared at most: some seconds."""
_ROWS, _TILE, _PAIRS = 128, 1024, 32  # compared at once
_LETTERS = 2.5  # times the mean detail
_MARGIN = THUMB // 16
_FLOORS = (0.3, 0.65, 0.9, 0.9, 0.9)  # a pair below these after so many steps is given up: no copy was
_FURTHEST = 0.08  # of the width: an edge that moved further is another picture
_WHOLE = np.array([0.0, 1.0, 0.0, 1.0])
Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]
Pairs = npt.NDArray[np.int64]


def near_duplicate_groups(contents: Mapping[str, Contents]) -> list[list[str]]:
    """Groups of paths that show the same picture, each group and the list of them in the order of `contents`.

    Images of one grey level are left out: they are all alike.
    """
    alike: dict[bytes, list[str]] = defaultdict(list)
    for path, each in contents.items():
        if each.fault is None and not is_blank(each):
            alike[each.thumb].append(path)
    firsts = [contents[paths[0]] for paths in alike.values()]
    joined = _joined(len(firsts), _confirmed_pairs(firsts))
    groups: dict[int, list[str]] = defaultdict(list)
    for place, paths in enumerate(alike.values()):
        groups[joined[place]] += paths
    order = {path: number for number, path in enumerate(contents)}
    return [sorted(group, key=order.__getitem__) for group in groups.values() if len(group) > 1]


def likenesses_between(
    some: Sequence[Contents], others: Sequence[Contents], most: int = MAX_PAIRS
) -> list[tuple[int, int, float]]:
    """How alike the pairs (i, j) of one of `some` and one of `others` are that may show the same picture.

    Each is (i, j, correlation), mirrored ones too; from `SAME_PICTURE` on they show the same picture,
    unless images of the collection that differ come as near. Where more than `most` pairs may, the nearest by their
    hashes are compared.
    """
    images = [*some, *others]
    if not some or not others:
        return []
    hashes = _words([each.phash for each in images])
    mirrored = _words([each.mirrored for each in images])
    found: list[tuple[int, int, float]] = []
    for second, step in ((hashes, 1), (mirrored, -1)):
        pairs = near_pairs(hashes[: len(some)], second, MAX_HASH_BITS)
        pairs = _nearest(pairs[pairs[:, 1] >= len(some)], hashes, second, most)
        blocks = [pairs[start : start + _PAIRS] for start in range(0, len(pairs), _PAIRS)]
        for block, alike in zip(blocks, in_threads(partial(_likeness, images, step), blocks), strict=True):
            found += [(i, j - len(some), value) for (i, j), value in zip(block.tolist(), alike.tolist(), strict=True)]
    return found


def is_blank(contents: Contents) -> bool:
    """Whether the image is of one grey level, but for noise."""
    return contents.spread < 2


def near_pairs(hashes: Words, others: Words, radius: int) -> Pairs:
    """All pairs (i, j), i < j, of which `hashes[i]` and `others[j]` (N, 4) differ in at most `radius` bits: (M, 2).

    Exact: three quarters of the bits leave out nearly all pairs, the last quarter is counted for the rest.
    """
    starts = range(0, len(hashes), _ROWS)
    columns = np.ascontiguousarray(others.T)
    found = in_threads(lambda start: _near(hashes, columns, radius, start), starts)
    return np.concatenate([np.empty((0, 2), np.int64), *found])


def _near(hashes: Words, columns: Words, radius: int, start: int) -> Pairs:
    """The pairs of which the first is one of `_ROWS` hashes from `start` on; tiles that fit a core's cache."""
    rows = hashes[start : start + _ROWS, :, None]
    found = [np.empty((0, 2), np.int64)]
    for left in range(start, columns.shape[1], _TILE):
        others = columns[:, left : left + _TILE]
        bits = np.bitwise_count(rows[:, 0] ^ others[0])
        bits += np.bitwise_count(rows[:, 1] ^ others[1])
        bits += np.bitwise_count(rows[:, 2] ^ others[2])
        first, second = np.divmod(np.flatnonzero(bits <= radius), bits.shape[1])  # np.nonzero is slower
        rest = np.bitwise_count(rows[first, 3, 0] ^ others[3, second])
        near = (bits[first, second].astype(np.int64) + rest <= radius) & (second + left > first + start)
        found.append(np.stack([first[near] + start, second[near] + left], axis=1))
    return np.concatenate(found)


def likeness(left: Floats, right: Floats) -> Floats:
    """How well (N, 64, 64) images agree after registration: the correlation of their details, shape (N,).

    The left ones are shifted and stretched along both axes onto the right ones by Gauss-Newton steps, brightness and
    contrast being free (Lucas and Kanade 1981, "An iterative image registration technique"). Coarse differences,
    which all chests share, are taken out first; the outermost pixels are not compared. Pairs that do not come near
    after a few steps are given up, so that only what is about `SAME_PICTURE` and above is exact.
    """
    best = np.full(len(left), -1.0, np.float32)
    edges = np.tile(_WHOLE, (len(left), 1))  # of the left image, as shares: top, bottom, left, right
    wanted = _details(right)
    still = np.arange(len(left))
    for floor in _FLOORS:
        moved = _details(_sampled(left[still], edges[still]))
        reached = _correlation(moved, wanted[still])
        best[still] = np.maximum(best[still], reached)
        open_still = (reached >= floor) & (reached < SAME_PICTURE)
        still, moved = still[open_still], moved[open_still]
        if not len(still):
            break
        edges[still] = np.clip(edges[still] + _step(moved, wanted[still]), _WHOLE - _FURTHEST, _WHOLE + _FURTHEST)
    return best


def _confirmed_pairs(images: Sequence[Contents]) -> Iterator[tuple[int, int]]:
    if not images:
        return
    hashes = _words([each.phash for each in images])
    mirrored = _words([each.mirrored for each in images])
    for others, step in ((hashes, 1), (mirrored, -1)):
        pairs = near_pairs(hashes, others, MAX_HASH_BITS)
        blocks = [pairs[start : start + _PAIRS] for start in range(0, len(pairs), _PAIRS)]
        for same in in_threads(partial(_confirmed, images, step), blocks):
            yield from map(tuple, same.tolist())


def _nearest(pairs: Pairs, hashes: Words, others: Words, most: int) -> Pairs:
    """The pairs whose hashes differ least, at most so many."""
    if len(pairs) <= most:
        return pairs
    bits = np.bitwise_count(hashes[pairs[:, 0]] ^ others[pairs[:, 1]]).sum(axis=1)
    return np.asarray(pairs[np.argsort(bits, kind="stable")[:most]])


def _likeness(images: Sequence[Contents], step: int, pairs: Pairs) -> Floats:
    """How alike the pairs are; with a `step` of -1 the second is mirrored."""
    left = _thumbs([images[i] for i in pairs[:, 0]])
    return likeness(left, _thumbs([images[j] for j in pairs[:, 1]])[:, :, ::step])


def _confirmed(images: Sequence[Contents], step: int, pairs: Pairs) -> Pairs:
    """The pairs that show the same picture; with a `step` of -1 the second image is mirrored."""
    return np.asarray(pairs[_likeness(images, step, pairs) >= SAME_PICTURE])


def _words(blobs: Sequence[bytes]) -> Words:
    return np.frombuffer(b"".join(blobs), np.uint64).reshape(-1, HASH * HASH // 64)


def _thumbs(images: Sequence[Contents]) -> Floats:
    flat = np.frombuffer(b"".join(each.thumb for each in images), np.uint8)
    return flat.reshape(-1, THUMB, THUMB).astype(np.float32)


def _sampled(images: Floats, edges: npt.NDArray[np.float64]) -> Floats:
    """The part of each image between its four edges, stretched to the whole."""
    if (edges == _WHOLE).all():
        return images
    return np.asarray(_sampler(edges[:, :2]) @ images @ _sampler(edges[:, 2:]).transpose(0, 2, 1), np.float32)


def _sampler(edges: npt.NDArray[np.float64]) -> Floats:
    """Matrices (N, 64, 64) that sample 64 pixels linearly between two edges, (N, 2) as shares of the whole length."""
    share = (np.arange(THUMB) + 0.5) / THUMB
    at = (edges[:, :1] + (edges[:, 1:] - edges[:, :1]) * share) * THUMB - 0.5
    distance = np.abs(np.clip(at, 0, THUMB - 1)[:, :, None] - np.arange(THUMB))
    weights: Floats = np.maximum(0, 1 - distance).astype(np.float32)
    return weights


def _details(images: Floats) -> Floats:
    return np.asarray(images - _BLUR @ images @ _BLUR.T, np.float32)


def _blur(sigma: float) -> Floats:
    at = np.arange(THUMB)
    kernel = np.exp(-0.5 * ((at[:, None] - at[None]) / sigma) ** 2)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True), np.float32)


_BLUR = _blur(THUMB / 16)


def _core(images: Floats) -> Floats:
    inner = images[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    flat: Floats = inner.reshape(len(images), -1)
    return flat


def _correlation(left: Floats, right: Floats) -> Floats:
    a, b = _tamed(_core(left)), _tamed(_core(right))
    norm = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.maximum(norm, 1e-6), np.float32)


def _tamed(details: Floats) -> Floats:
    """Centred, and with the brightest details dimmed: else a burnt-in letter outweighs the whole anatomy."""
    centred = details - details.mean(axis=1, keepdims=True)
    most = _LETTERS * np.abs(centred).mean(axis=1, keepdims=True)
    return np.asarray(np.clip(centred, -most, most), np.float32)


def _step(moved: Floats, wanted: Floats) -> npt.NDArray[np.float64]:
    """By how much each of the four edges should move: the linear least squares of what is left, shape (N, 4)."""
    share = ((np.arange(THUMB) + 0.5) / THUMB).astype(np.float32)
    core, half = slice(_MARGIN, -_MARGIN), THUMB / 2  # of the difference of both neighbours
    before, after = slice(_MARGIN - 1, -_MARGIN - 1), slice(_MARGIN + 1, -_MARGIN + 1)
    down = (moved[:, after, core] - moved[:, before, core]) * half
    across = (moved[:, core, after] - moved[:, core, before]) * half
    y, x = share[core, None], share[None, core]
    parts = [down * (1 - y), down * y, across * (1 - x), across * x, moved[:, core, core], np.ones_like(down)]
    slopes = np.stack(parts, axis=1, dtype=np.float64).reshape(len(moved), len(parts), -1)
    normal = slopes @ slopes.transpose(0, 2, 1) + 1e-6 * np.eye(len(parts))
    answer = np.linalg.solve(normal, slopes @ _core(wanted)[:, :, None].astype(np.float64))[:, :, 0]
    contrast = np.maximum(np.abs(answer[:, 4:5]), 1e-3)
    step: npt.NDArray[np.float64] = np.clip(answer[:, :4] / contrast, -0.05, 0.05)
    return step


def _joined(count: int, pairs: Iterator[tuple[int, int]]) -> list[int]:
    """The lowest member of each one's group, where pairs join groups."""
    root = list(range(count))

    def find(place: int) -> int:
        while root[place] != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    for i, j in pairs:
        a, b = sorted((find(i), find(j)))
        root[b] = a
    return [find(place) for place in range(count)]
