"""Real lesions put into normal images of other patients: what painted images must beat, since it needs no model.

As in CarveMix (Zhang et al. 2021, doi:10.1007/978-3-030-87193-2_19) a lesion keeps its place in the image; its seam is
hidden by Poisson blending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np
import numpy.typing as npt

from analysis.comparison.inputs.pools import Pool
from analysis.comparison.inputs.study import Added, Numbers, Part
from analysis.data.balanced_folder import BalancedFolder
from analysis.data.targets import Targets, has_several, having
from analysis.vision.poisson import blended
from balancer.collection.label_sets import GIVEN, means_nothing
from balancer.collection.regions import Region, Regions, union
from balancer.collection.run_lengths import runs_from_text

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Wish:
    """A transplant that is wanted: a class or finding by its number, and the row of the image that it goes into.

    `region` is where a generator painted into that image, None where none did.
    """

    number: int
    into: int
    region: Region | None = None


def transplants_like(pool: Pool, balanced: BalancedFolder, classes: Sequence[str], train: Part) -> list[Wish]:
    """For each synthetic image of the pool the transplant to compare with it: of the same class, into the same image.

    Of several findings it is the one that the source has not. An image that was not painted into another stands for a
    transplant into any normal one.
    """
    rows, found = {path: row for row, path in enumerate(train.paths)}, list[Wish]()
    normal = cycle(_normal(train, classes).tolist() or [None])
    for place, name in enumerate(pool.names):
        told = balanced.provenance.get(name, {})
        painted = told.get("mode") == "inpaint"
        into = rows.get(told.get("source_path", "")) if painted else next(normal)
        number = None if into is None else _added_by(pool, place, classes, train.targets[[into]])
        if into is not None and number is not None:
            found.append(Wish(number, into, _painted(told) if painted else None))
    return found


def transplant(train: Part, classes: Sequence[str], wishes: Sequence[Wish], regions: Regions | None) -> Added:
    """Do the transplants that can be done: images as those of the training part, and their targets.

    The lesions of a class are used equally often, never in an image of their own patient. They are cut out where
    `regions` say, or, where these know none of the class, where the generator painted.
    """
    lesions, found = _Lesions(train, classes, regions), list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.generic]]]()
    for wish in wishes:
        lesion = lesions.next(wish)
        if lesion is not None:
            row, mask = lesion
            image = blended(train.images[row], train.images[wish.into], mask)
            found.append((image, _with(train.targets[wish.into], wish.number)))
    if not found:
        return Added(train.images[:0], train.targets[:0])
    return Added(np.stack([image for image, _ in found]), np.array([target for _, target in found]))


@dataclass(frozen=True, slots=True)
class _Lesions:
    """The real lesions of each class, in turn."""

    train: Part
    classes: Sequence[str]
    regions: Regions | None
    used: Counter[int] = field(default_factory=Counter)

    def next(self, wish: Wish) -> tuple[int, Mask] | None:
        """The row of the next image with the lesion, and where it is there; None where no other patient has it."""
        rows = np.flatnonzero(having(self.train.targets, wish.number)).tolist()
        known = {row: some for row in rows if (some := self._of(row, wish.number))}
        usual = () if wish.region is None else (wish.region,)
        order = np.random.default_rng(wish.number).permutation(list(known) or (rows if usual else [])).tolist()
        side = self.train.images.shape[1]
        for _ in order:
            row = order[self.used[wish.number] % len(order)]
            self.used[wish.number] += 1
            mask = _widened(union(known.get(row, usual), side, side))
            if self.train.groups[row] != self.train.groups[wish.into] and not mask.all():
                return row, mask
        return None

    def _of(self, row: int, number: int) -> tuple[Region, ...]:
        return () if self.regions is None else self.regions.of(self.train.paths[row], self.classes[number])


def _normal(train: Part, classes: Sequence[str]) -> Numbers:
    """The rows of images without a finding, in an order drawn by chance."""
    if has_several(train.targets):
        rows = np.flatnonzero(~(train.targets == GIVEN).any(axis=1))
    else:
        rows = np.flatnonzero(np.array([means_nothing(name) for name in classes])[train.targets])
    return np.random.default_rng(0).permutation(rows)


def _added_by(pool: Pool, place: int, classes: Sequence[str], source: Targets) -> int | None:
    """The first class or finding that an image of the pool has and its source, of (1,) or (1, F) targets, has not."""
    has = pool.marks[place] if pool.marks else [GIVEN if name == pool.labels[place] else 0 for name in classes]
    numbers = (number for number, mark in enumerate(has) if mark == GIVEN and not having(source, number)[0])
    return next(numbers, None)


def _painted(told: Mapping[str, str]) -> Region:
    return Region(int(told["height"]), int(told["width"]), runs=tuple(runs_from_text(told["mask"])))


def _with(target: npt.NDArray[np.generic], number: int) -> npt.NDArray[np.generic]:
    """The target of an image once it has this class or finding too."""
    if not target.ndim:
        return np.asarray(number, target.dtype)
    more = target.copy()
    more[number] = GIVEN
    return more


def _widened(mask: Mask) -> Mask:
    """The mask and a pixel around it: an outline is drawn along the edge of a lesion, a seam belongs outside it."""
    from scipy.ndimage import binary_dilation

    wider: Mask = binary_dilation(mask, iterations=max(1, len(mask) // 64))
    return wider
