"""Is an image a copy of a patient's, or a repetition of another synthetic one?

There is no universal threshold: it comes from how near real images of *other* patients are to each other, in a pool as
large as the one that candidates are searched in, all classes pooled, and all spaces judged together.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from analysis.data.images import Greys
from analysis.vision.copy_embedding import Embedding, Vectors
from analysis.vision.registration import Coarse, Pixels, Places, registered

REJECT, REVIEW = 99.5, 95.0
"""Percentiles of the nearest distances between real images of different patients."""
QUERIES = 600
"""Real images that the thresholds are taken from, at most."""
IDENTICAL = 0.99
"""A registered correlation above which two images are the same one, whatever the collection."""
_WHOLE = 20_000  # beyond, pixels are searched among the nearest in the embedding alone
_NEARER = 4000
_TAIL = 0.9  # the empirical distribution below, an exponential tail above
Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Views:
    """Images as both spaces see them: `pixels`, and unit vectors of the image and of its mirror image."""

    pixels: Pixels
    vectors: Vectors
    mirrored: Vectors

    @classmethod
    def of(cls, greys: Greys, embedding: Embedding | None) -> Views:
        """The views of images of shape (N, 64, 64); without an embedding pixels alone."""
        if embedding is None:
            nothing = np.zeros((len(greys), 0), np.float32)
            return cls(Pixels.of(greys), nothing, nothing)
        flipped = np.ascontiguousarray(greys[:, :, ::-1])
        return cls(Pixels.of(greys), embedding.embed(greys), embedding.embed(flipped))

    def __len__(self) -> int:
        return len(self.pixels)

    def some(self, places: Places) -> Views:
        """These images alone."""
        return Views(self.pixels.some(places), self.vectors[places], self.mirrored[places])

    def first(self, count: int) -> Views:
        """The first images, without copying them."""
        pixels = Pixels(self.pixels.greys[:count], self.pixels.windows[:count], self.pixels.targets[:count])
        return Views(pixels, self.vectors[:count], self.mirrored[:count])

    @classmethod
    def joined(cls, parts: Sequence[Views]) -> Views:
        """Several as one."""
        pixels = Pixels(
            np.concatenate([part.pixels.greys for part in parts]),
            torch.cat([part.pixels.windows for part in parts]),
            torch.cat([part.pixels.targets for part in parts]),
        )
        vectors, mirrored = (np.concatenate([getattr(p, name) for p in parts]) for name in ("vectors", "mirrored"))
        return cls(pixels, vectors, mirrored)


@dataclass(frozen=True, slots=True)
class Nearest:
    """How near the nearest image is in each space, and which one it is (by pixels first)."""

    values: Values
    place: int


def search(query: Views, pool: Views, allowed: npt.NDArray[np.bool_] | None = None) -> Nearest | None:
    """The nearest of the pool's allowed images for one image, mirrored or not; `None` where nothing is allowed."""
    allowed = np.ones(len(pool), bool) if allowed is None else allowed
    if not allowed.any():
        return None
    cosines = np.maximum(pool.vectors @ query.vectors[0], pool.vectors @ query.mirrored[0]).astype(np.float64)
    cosines[~allowed] = -1
    places = np.flatnonzero(allowed)
    if len(places) > _WHOLE:
        places = np.sort(np.argpartition(-cosines, _NEARER)[:_NEARER])
    whole = len(places) == len(pool)
    windows = pool.pixels.windows if whole else pool.pixels.windows[torch.from_numpy(places)]
    coarse = Coarse.of(query.pixels, windows)
    chosen = _shortlist(coarse.alike, cosines[places] if pool.vectors.shape[1] else None)
    few = places[chosen.numpy()]
    pixels = registered(query.pixels, pool.pixels.some(few), coarse.version[chosen])
    values = {"pixels": round(float(pixels.max()), 5)}
    if pool.vectors.shape[1]:
        values["embedding"] = round(float(cosines.max()), 5)
    return Nearest(values, int(few[pixels.argmax()]))


def _shortlist(alike: torch.Tensor, cosines: npt.NDArray[np.float64] | None) -> torch.Tensor:
    """The images worth registering finely: the most alike coarsely, and in the embedding."""
    count = min(len(alike), max(24, min(48, len(alike) // 40)))
    chosen = alike.topk(count).indices
    if cosines is not None:
        chosen = torch.cat([chosen, torch.from_numpy(cosines).topk(max(1, count // 2)).indices])
    few: torch.Tensor = torch.unique(chosen)
    return few


@dataclass(frozen=True, slots=True)
class Calibration:
    """How near real images of different patients come to each other.

    `spaces` holds the sorted nearest similarities of each space, `joint` the sorted rarity of the rarest space of each
    image; `reject` and `review` are the joint rarities at which candidates are rejected or sent to a person.
    """

    spaces: Mapping[str, npt.NDArray[np.float64]]
    joint: npt.NDArray[np.float64]

    @classmethod
    def of(cls, found: Sequence[Values]) -> Calibration:
        """From the nearest other-patient similarities of many real images."""
        spaces = {name: np.sort([values[name] for values in found]) for name in found[0]}
        joint = np.sort([_joint(spaces, values) for values in found])
        return cls(spaces, joint)

    @property
    def reject(self) -> float:
        """The conformal threshold: a further real image is above it with a probability of at most 0.5%."""
        return self._at(REJECT)

    @property
    def review(self) -> float:
        """The same for 5%."""
        return self._at(REVIEW)

    def rarity(self, values: Values) -> float:
        """-log of the share of real images that come as near in the space where that is rarest."""
        return _joint(self.spaces, values)

    def percentile(self, values: Values) -> float:
        """How many of 100 real images are less near to another patient's."""
        below = np.searchsorted(self.joint, self.rarity(values), side="left")
        return round(100 * float(below) / len(self.joint), 2)

    def decision(self, values: Values) -> str:
        """accept, review or reject."""
        rarity = self.rarity(values)
        return "reject" if rarity > self.reject else "review" if rarity > self.review else "accept"

    @property
    def near(self) -> int:
        """How many of the real images themselves are above the 95th percentile."""
        return sum(rarity > self.review for rarity in self.joint.tolist())

    def _at(self, percentile: float) -> float:
        place = math.ceil((len(self.joint) + 1) * percentile / 100)
        return float(self.joint[min(place, len(self.joint)) - 1])


def calibrate(
    asked: Views,
    people: npt.NDArray[np.int64],
    pool: Views,
    groups: npt.NDArray[np.int64],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Values]:
    """For each asked image, of a patient in `people`, its nearest similarities to images of other known patients.

    `groups` are the patients of the pool, -1 where unknown.
    """
    found = []
    for done, own in enumerate(people.tolist(), start=1):
        nearest = search(asked.some(np.array([done - 1])), pool, (groups != own) & (groups >= 0))
        if nearest is not None:
            found.append(nearest.values)
        progress(done, len(asked))
    return found


def choose_queries(groups: npt.NDArray[np.int64], candidates: npt.NDArray[np.bool_], names: Sequence[str]) -> Places:
    """At most `QUERIES` of the candidates whose patient is known: one of each patient, then a second one, and so on.

    A patient with many images thus weighs little more than one with few.
    """
    turns: dict[int, int] = {}
    order: list[tuple[int, int, int]] = []
    shuffled = sorted(
        np.flatnonzero(candidates & (groups >= 0)).tolist(), key=lambda place: _scramble(names[int(place)])
    )
    for place in shuffled:
        turn = turns[int(groups[place])] = turns.get(int(groups[place]), -1) + 1
        order.append((turn, len(order), int(place)))
    return np.array([place for _, _, place in sorted(order)[:QUERIES]], np.int64)


def _joint(spaces: Mapping[str, npt.NDArray[np.float64]], values: Values) -> float:
    return round(max(_rarity(levels, values[name]) for name, levels in spaces.items()), 6)


def _rarity(levels: npt.NDArray[np.float64], value: float) -> float:
    """-log of the tail probability: empirical, and beyond the 90th percentile an exponential tail in Fisher's z."""
    z, level = np.arctanh(np.clip(levels, -0.9999, 0.9999)), math.atanh(min(max(value, -0.9999), 0.9999))
    start = float(np.quantile(z, _TAIL))
    if level <= start:
        return -math.log((np.sum(z >= level) + 1) / (len(z) + 1) if level < start else 1 - _TAIL)
    scale = max(float(np.mean(z[z > start] - start)) if (z > start).any() else 0.0, 1e-3)
    return -math.log(1 - _TAIL) + (level - start) / scale


def _scramble(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
