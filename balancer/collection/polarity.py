"""Images whose brightness is turned over among upright ones: found by likeness to the others, or to their negatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from balancer.collection.image_stats import THUMB, Contents

_SIDE = 32  # pixels: fine enough for anatomy, coarse enough to forgive a shift
_LANDMARKS = 1000  # images that all others are compared with
_NEIGHBOURS = 15
_ALIKE = 0.5  # correlation from which two images show the same part of a body, or one its negative
_FEWEST = 10  # images of a kind, below which none of them can be called the odd one
_AT_ONCE = 4096
_SEED = 0
Vectors = npt.NDArray[np.float32]
Signs = npt.NDArray[np.int64]


def inverted(contents: Mapping[str, Contents]) -> list[str]:
    """The files that look like negatives of others that show the same; nothing where all are turned over alike.

    Each image is compared with those that it resembles most, as it is or as a negative. Images of another part of the
    body resemble neither and have no say.
    """
    paths = [path for path, each in contents.items() if each.thumb]
    if len(paths) < _FEWEST:
        return []
    vectors = _normalised(np.stack([np.frombuffer(contents[path].thumb, np.uint8) for path in paths]))
    return [path for path, sign in zip(paths, polarities(vectors).tolist(), strict=True) if sign < 0]


def polarities(vectors: Vectors) -> Signs:
    """1 for upright, -1 for turned over, 0 where nothing can be said, of (N, D) normalised images.

    >>> chance = np.random.default_rng(0)
    >>> images = chance.normal(size=64) + chance.normal(0, 0.2, (40, 64))
    >>> images[:4] *= -1
    >>> signs = polarities((images / np.linalg.norm(images, axis=1, keepdims=True)).astype(np.float32))
    >>> signs[:6].tolist()
    [-1, -1, -1, -1, 1, 1]
    """
    chance = np.random.default_rng(_SEED)
    some = np.sort(chance.choice(len(vectors), min(len(vectors), _LANDMARKS), replace=False))
    landmarks = vectors[some]
    known = _of_landmarks(landmarks @ landmarks.T)
    found = np.zeros(len(vectors), np.int64)
    for start in range(0, len(vectors), _AT_ONCE):
        alike = vectors[start : start + _AT_ONCE] @ landmarks.T
        found[start : start + _AT_ONCE] = _voted(alike, known)
    found[some] = np.where(known, known, found[some])  # those of no group have neighbours in one, perhaps
    return found


def _normalised(thumbs: npt.NDArray[np.uint8]) -> Vectors:
    """Thumbs, one in a row, at a coarser scale, each with mean 0 and length 1."""
    step = THUMB // _SIDE
    small = thumbs.reshape(-1, _SIDE, step, _SIDE, step).mean((2, 4), dtype=np.float32).reshape(len(thumbs), -1)
    small -= small.mean(axis=1, keepdims=True)
    return np.asarray(small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6), np.float32)


def _of_landmarks(alike: Vectors) -> Signs:
    """The polarity of each landmark by the correlations of all: in each group of similar ones most are upright."""
    from scipy.sparse.csgraph import connected_components

    links = _mutual(alike)
    groups, group_of = connected_components(links, directed=False)
    signs = np.zeros(len(alike), np.int64)
    for group in range(groups):
        members = np.flatnonzero(group_of == group)
        if len(members) >= _FEWEST:
            signs[members] = _two_sides(links[members][:, members])
    return signs


def _mutual(alike: Vectors) -> Any:
    """A sparse matrix of the correlations of images that are each among the other's nearest."""
    from scipy.sparse import csr_array

    strength = np.abs(alike)
    np.fill_diagonal(strength, 0)
    count = min(_NEIGHBOURS, len(alike) - 1)
    nearest = np.argpartition(-strength, count - 1, axis=1)[:, :count]
    chosen = np.zeros(alike.shape, bool)
    np.put_along_axis(chosen, nearest, True, axis=1)
    return csr_array(np.where(chosen & chosen.T & (strength >= _ALIKE), alike, 0))


def _two_sides(links: Any) -> Signs:
    """The signs by which connected images agree best, from the leading eigenvector; the larger side is upright."""
    vector = np.ones(links.shape[0])
    shift = float(abs(links).sum(axis=1).max())  # keeps all eigenvalues positive
    for _ in range(200):
        vector = links @ vector + shift * vector
        vector /= np.linalg.norm(vector)
    signs = np.where(vector < 0, -1, 1)
    return np.asarray(signs if signs.sum() >= 0 else -signs)


def _voted(alike: Vectors, known: Signs) -> Signs:
    """The polarity of each row by its nearest landmarks, where it resembles any."""
    count = min(_NEIGHBOURS, alike.shape[1])
    nearest = np.argpartition(-np.abs(alike), count - 1, axis=1)[:, :count]
    values = np.take_along_axis(alike, nearest, axis=1)
    votes = (np.where(np.abs(values) >= _ALIKE, values, 0) * known[nearest]).sum(axis=1)
    return np.asarray(np.sign(votes), np.int64)
