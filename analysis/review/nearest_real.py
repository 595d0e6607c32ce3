"""The real image that looks most like a synthetic one, found when a reader asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt

from analysis.data.images import decode, unit_vectors
from balancer.collection.scan import Collection
from balancer.splits.split import Split

Vectors = npt.NDArray[np.float32]
_SIDE = 32  # pixels: 4 kB an image, and 100,000 of them are searched in a twentieth of a second


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A real image: its path relative to the collection, its class, and its correlation with the one asked for."""

    name: str
    path: Path
    label: str
    correlation: float


NearestReal = Callable[[Path, str, str | None], Neighbour | None]
"""From an image file, its class, and the nearest real image that screening named, to the one to show beside it;
`None` where there is nothing to search."""


class ByCorrelation:
    """Searches the training and holdout images of the same class, of all classes where it has none.

    Images are decoded class by class when they are first needed, and kept.
    """

    def __init__(self, collection: Collection, split: Split) -> None:
        self._collection = collection
        images = collection.images.loc[split.paths("train", "holdout")]
        self._labels = images.loc[images["width"].notna(), "label"]
        self._known: dict[str, tuple[list[str], Vectors]] = {}
        self._turn = Lock()

    def __call__(self, path: Path, label: str, named: str | None = None) -> Neighbour | None:
        """The image that screening `named`, else that with the highest correlation of grey values, at 32 x 32 pixels.

        A name that is not among the training and holdout images (any more) is passed over.

        Raises:
            ImageError: this image, or one of those to search, cannot be decoded.
        """
        if named in self._labels.index:
            return self._named(path, str(named))
        with self._turn:
            names, vectors = self._class(label)
        if not names:
            return None
        correlations = vectors @ unit_vectors(decode([path], _SIDE))[0]
        best = int(correlations.argmax())
        found = str(self._labels[names[best]])
        return Neighbour(names[best], self._collection.root / names[best], found, float(correlations[best]))

    def _named(self, path: Path, name: str) -> Neighbour:
        place = self._collection.root / name
        one, other = unit_vectors(decode([path, place], _SIDE))
        return Neighbour(name, place, str(self._labels[name]), float(one @ other))

    def _class(self, label: str) -> tuple[list[str], Vectors]:
        if label not in self._known:
            names = list(self._labels.index[self._labels == label]) or list(self._labels.index)
            greys = decode([self._collection.root / name for name in names], _SIDE)
            self._known[label] = names, unit_vectors(greys)
        return self._known[label]
