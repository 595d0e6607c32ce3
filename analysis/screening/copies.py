"""Is an image a copy of a patient's, or a repetition of another synthetic one?

There is no universal threshold: it comes from how near images of patients come to those of *other* patients, in the
images that candidates are searched in, all classes pooled, and all spaces judged together. One image of a patient
counts, since images of one patient are not independent, and a patient whom the copy detector learned from does not.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch

from analysis.data.images import Greys
from analysis.data.minimums import CALIBRATION_PATIENTS, EMBEDDING_IMAGES, WARNING_PATIENTS
from analysis.vision.copy_embedding import Embedding, Vectors
from analysis.vision.registration import Coarse, Pixels, Places, registered
from balancer.parallel import cores, one_thread

REJECT, REVIEW = 0.005, 0.05
"""Shares of further patients whose images would be rejected, or sent to a person, as copies."""
MAX_CALIBRATION_PATIENTS = 600
"""Patients who calibrate, at most: with more the thresholds hardly become more precise."""
IDENTICAL = 0.99
"""A registered correlation above which two images are the same one, whatever the collection."""
_WHOLE = 20_000  # beyond, pixels are searched among the nearest in the embedding alone
_NEARER = 4000
_TAIL = 0.9  # the empirical distribution below, an exponential tail above
_WITH_DETECTOR = 99  # patients, for a rate of 2% at most: with fewer, pixels alone and all patients say more
_EPSILON = 1e-9  # 1 / 200 is to count as 0.005 whatever the rounding
_NOBODY: Mapping[str, int] = MappingProxyType({})
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
        """Select the descriptors of these images."""
        return Views(self.pixels.some(places), self.vectors[places], self.mirrored[places])

    def first(self, count: int) -> Views:
        """The first images, without copying them."""
        pixels = Pixels(self.pixels.greys[:count], self.pixels.windows[:count], self.pixels.targets[:count])
        return Views(pixels, self.vectors[:count], self.mirrored[:count])

    @classmethod
    def joined(cls, parts: Sequence[Views]) -> Views:
        """Concatenate descriptors of several groups of images."""
        pixels = Pixels(
            np.concatenate([part.pixels.greys for part in parts]),
            torch.cat([part.pixels.windows for part in parts]),
            torch.cat([part.pixels.targets for part in parts]),
        )
        vectors, mirrored = (np.concatenate([getattr(p, name) for p in parts]) for name in ("vectors", "mirrored"))
        return cls(pixels, vectors, mirrored)


@dataclass(frozen=True, slots=True)
class Nearest:
    """How near the nearest image is in each space, and which one that is."""

    values: Values
    places: Mapping[str, int]


def search(query: Views, pool: Views, allowed: npt.NDArray[np.bool_] | None = None) -> Nearest | None:
    """The nearest of the pool's allowed images for one image, mirrored or not; `None` where nothing is allowed.

    A pool without vectors is searched by pixels alone.
    """
    places = np.arange(len(pool)) if allowed is None else np.flatnonzero(allowed)
    if not len(places):
        return None
    cosines = None
    if pool.vectors.shape[1]:
        cosines = np.maximum(pool.vectors @ query.vectors[0], pool.vectors @ query.mirrored[0]).astype(np.float64)
        cosines = cosines[places]
        if len(places) > _WHOLE:
            near = np.sort(np.argpartition(-cosines, _NEARER)[:_NEARER])
            places, cosines = places[near], cosines[near]
    windows = pool.pixels.windows if len(places) == len(pool) else pool.pixels.windows[torch.from_numpy(places)]
    coarse = Coarse.of(query.pixels, windows)
    chosen = _shortlist(coarse.alike, cosines)
    few = places[chosen.numpy()]
    pixels = registered(query.pixels, pool.pixels.some(few), coarse.version[chosen])
    values, found = {"pixels": round(float(pixels.max()), 5)}, {"pixels": int(few[pixels.argmax()])}
    if cosines is not None:
        values["embedding"], found["embedding"] = round(float(cosines.max()), 5), int(places[cosines.argmax()])
    return Nearest(values, found)


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
    """How near the images of n patients come to other patients, and so how rare it is to come as near as a candidate.

    `spaces` has a similarity a patient in each space; `rows` says which of them a patient is, by the number that the
    searched images go by. `learned`: the generator may have learned from these patients.

    >>> ten = Calibration.of([{"pixels": 0.80 + place / 100} for place in range(10)])
    >>> ten.p_value({"pixels": 0.95}), ten.p_value({"pixels": 0.885})
    (0.09090909090909091, 0.18181818181818182)
    """

    spaces: Mapping[str, npt.NDArray[np.float64]]
    rows: Mapping[int, int] = field(default_factory=dict)
    learned: bool = False

    @classmethod
    def of(cls, found: Sequence[Values], people: Sequence[int] = (), *, learned: bool = False) -> Calibration:
        """From the nearest similarities of some patients to others; `people` are the numbers of those in the pool."""
        spaces = {name: np.array([values[name] for values in found]) for name in found[0]}
        return cls(spaces, {int(number): row for row, number in enumerate(people)}, learned)

    def __len__(self) -> int:
        return len(next(iter(self.spaces.values())))

    @property
    def joint(self) -> npt.NDArray[np.float64]:
        """The rarities of the patients themselves, sorted."""
        return np.sort(_rarest(map(_rarities, self.spaces.values())))

    @property
    def sufficient(self) -> bool:
        """Whether they are enough for a threshold; else a candidate is never rejected by how near it is."""
        return len(self) >= WARNING_PATIENTS

    @property
    def reject(self) -> float:
        """The share of further patients whose images would be rejected, at most: 0.5%, or what so few can support.

        n patients support 1 / (n + 1); where a copy of one of them is to be rejected too, 2 / (n + 1).
        """
        return max(REJECT, (1 + self.learned) / (len(self) + 1))

    @property
    def review(self) -> float:
        """The share that would be rejected or sent to a person, at most."""
        return max(REVIEW, self.reject)

    def limit(self, rate: float) -> float:
        """The rarity that a share of further patients exceeds with a probability of at most `rate`."""
        return float(self.joint[-max(1, math.floor(rate * (len(self) + 1) + _EPSILON))])

    def rarity(self, values: Values) -> float:
        """-log of the share of patients who come as near, in the space where that is rarest."""
        return float(self._joint(values)[-1])

    def p_value(self, values: Values, nearest: Mapping[str, int] = _NOBODY) -> float:
        """The probability, at most, that an image of a further patient comes as near: a conformal p-value.

        The candidate is ranked among the patients by a rule that treats all alike (Vovk, Gammerman and Shafer 2005,
        doi:10.1007/b106715). `nearest` is the patient in each space to whom it comes so near: he comes as near to the
        candidate, which counts where he is one of those who calibrate.
        """
        joint = self._joint(values, nearest)
        return (1 + int((joint[:-1] >= joint[-1]).sum())) / len(joint)

    def percentile(self, values: Values, nearest: Mapping[str, int] = _NOBODY) -> float:
        """How many of 100 further patients come less near."""
        return round(100 * (1 - self.p_value(values, nearest)), 2)

    def decision(self, values: Values, nearest: Mapping[str, int] = _NOBODY) -> str:
        """accept, review or reject."""
        if not self.sufficient:
            return "accept"
        chance = self.p_value(values, nearest) - _EPSILON
        return "reject" if chance <= self.reject else "review" if chance <= self.review else "accept"

    def _joint(self, values: Values, nearest: Mapping[str, int] = _NOBODY) -> npt.NDArray[np.float64]:
        """The rarities of the patients and, last, of a candidate."""
        found = []
        for space, own in self.spaces.items():
            levels = np.append(own, values[space])
            if (row := self.rows.get(nearest.get(space, -1))) is not None:
                levels[row] = max(levels[row], values[space])
            found.append(_rarities(levels))
        return _rarest(found)


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

    def ask(place: int) -> Nearest | None:
        others = (groups != people[place]) & (groups >= 0)
        return search(asked.some(np.array([place])), pool, others)

    found = []
    with one_thread(), ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)) as threads:
        for done, nearest in enumerate(threads.map(ask, range(len(asked))), start=1):
            found += [] if nearest is None else [nearest.values]
            progress(done, len(asked))
    return found


@dataclass(frozen=True, slots=True)
class Calibrators:
    """Who calibrates: the `places` of one image a patient. `learned`: the generator may have learned from them.

    `detector`: the copy detector learns from other patients, and so its space counts beside the pixels.
    """

    places: Places
    learned: bool
    detector: bool


def choose_calibrators(
    groups: npt.NDArray[np.int64], held: npt.NDArray[np.bool_], train: npt.NDArray[np.bool_], names: Sequence[str]
) -> Calibrators:
    """Patients of the generator holdout; where they are too few, up to half of the training patients with them.

    Where then too few would calibrate, or too few images were left for the copy detector to learn from, every patient
    calibrates, and copies are looked for by pixels alone.
    """
    apart, others = _one_each(groups, held, names), _one_each(groups, train, names)
    if len(apart) >= CALIBRATION_PATIENTS:
        return Calibrators(apart[:MAX_CALIBRATION_PATIENTS], learned=False, detector=True)
    aside = others[: min(len(others) // 2, 2 * CALIBRATION_PATIENTS + 1 - len(apart))]
    left = int((train & ~np.isin(groups, groups[aside])).sum())
    if left >= EMBEDDING_IMAGES and len(apart) + len(aside) >= _WITH_DETECTOR:
        return Calibrators(np.concatenate([apart, aside]), learned=True, detector=True)
    return Calibrators(np.concatenate([apart, others])[:MAX_CALIBRATION_PATIENTS], learned=True, detector=False)


def _one_each(groups: npt.NDArray[np.int64], some: npt.NDArray[np.bool_], names: Sequence[str]) -> Places:
    """One image of each known patient, at random but always the same."""
    known = np.flatnonzero(some & (groups >= 0)).tolist()
    shuffled = np.array(sorted(known, key=lambda place: hashlib.sha256(names[place].encode()).digest()), np.int64)
    return shuffled[np.sort(np.unique(groups[shuffled], return_index=True)[1])]


def _rarest(rarities: Iterable[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """The surprisal of each image in the space where it is largest."""
    return np.round(np.max(list(rarities), axis=0), 6)  # type: ignore[no-any-return]


def _rarities(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """-log of the share that is as high: counted, and beyond the 90th percentile an exponential tail in Fisher's z."""
    z = np.arctanh(np.clip(levels, -0.9999, 0.9999))
    start = float(np.quantile(z, _TAIL))
    share = 1 - np.searchsorted(np.sort(z), z, side="left") / len(z)
    scale = max(float(np.mean(z[z > start] - start)) if (z > start).any() else 0.0, 1e-3)
    return np.asarray(np.where(z > start, (z - start) / scale - math.log(1 - _TAIL), -np.log(share)))
