"""Where in a real image a finding is painted: where real lesions are, or where the class differs from normal."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from balancer.collection.regions import Region, Regions, moved
from balancer.collection.run_lengths import runs_to_text, to_runs
from balancer.collection.scan import Sample
from balancer.errors import ImageError
from balancer.imaging.decode import read_small
from balancer.jobs import job_seed
from balancer.parallel import in_threads

SHIFT, ZOOM = 0.03, 1.2
"""How far a region is moved at most, in shares of the image's sides, and by what it is enlarged or made smaller."""
CENTRE = "the central field: nothing is known of where the finding is"
MARGIN = 0.05
"""What is made anew around a region of a real lesion, in shares of the smaller side: the finding must find room."""
_SIDE, _MOST = 64, 200  # pixels and images by which a class is compared with normal ones
_SMOOTH, _REACH = 1.5, 6  # pixels: of the comparison, and by how much an image is shifted at most to fit the others
_CERTAIN, _HELD = 4.0, 0.6  # standard errors that count as a difference; the share of all difference that is kept
_LARGEST = 0.4  # of the image
_FIELD = 0.36  # half axis of the central field, in shares of the image's sides
Greys = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """A region to paint at, and where it is known from; `is_real`: it is that of a lesion, of `patient` if known."""

    region: Region
    origin: str
    patient: str | None = None
    is_real: bool = False

    def drawn(self, chance: random.Random) -> Region:
        """The region a little elsewhere and a little larger or smaller, by chance.

        This alone decides where a lesion of one patient lies in an image of another, whoever puts it there.
        """
        zoom = math.exp(chance.uniform(-1, 1) * math.log(ZOOM))
        return moved(self.region, zoom, chance.uniform(-SHIFT, SHIFT), chance.uniform(-SHIFT, SHIFT))


@dataclass(frozen=True, slots=True)
class Painting:
    """Where images of one class are painted: `sources` are real images without the finding, `places` where to paint.

    `sizes` are (width, height) of the sources by path, `size` is (height, width) at which the generator draws.
    """

    sources: Sequence[Sample]
    places: Sequence[Place]
    size: tuple[int, int]
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def draw(self, run_seed: int, label: str, index: int) -> tuple[Sample, str, str]:
        """The source of image `index` of a class, the mask as COCO's text, and where the mask is from.

        Each source is taken once before one is taken again. The lesion is never of the source's own patient, where
        there is another.
        """
        count = len(self.sources)
        order = random.Random(job_seed(run_seed, f"{label}\x00sources", index // count)).sample(range(count), count)
        chance = random.Random(job_seed(run_seed, f"{label}\x00place", index))
        source = self.sources[order[index % count]]
        others = [place for place in self.places if place.patient is None or place.patient != source.patient]
        place = chance.choice(others or list(self.places))
        mask = place.drawn(chance).mask(*self.size)
        return source, runs_to_text(to_runs(widened(mask) if place.is_real else mask)), place.origin


def places_of_lesions(regions: Regions, images: Iterable[Sample], finding: str, size: tuple[int, int]) -> list[Place]:
    """The regions of a finding in these real images; masks of pixels are kept at the `size` (height, width) alone."""
    return [
        Place(
            each if each.outlines else Region(*size, runs=to_runs(each.mask(*size)), label=each.label),
            f"the region in {sample.path}",
            sample.patient,
            is_real=True,
        )
        for sample in images
        for each in regions.of(sample.path, finding)
    ]


def differing_place(root: Path, of_class: Sequence[Sample], normal: Sequence[Sample], finding: str) -> Place | None:
    """Where images of a class differ from normal ones on average; `None` where they do nowhere for certain."""
    found = [_read(root, some[:_MOST]) for some in (of_class, normal)]
    if min(map(len, found)) < 2:
        return None
    mask = differing(*found)
    if mask is None:
        return None
    return Place(Region(_SIDE, _SIDE, runs=to_runs(mask)), f"where {finding} differs from normal images")


def widened(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """A mask with the margin around it that is made anew too.

    >>> widened(np.eye(20, dtype=bool)[:, :1] > 0).ravel()[:4].tolist()
    [True, True, False, False]
    """
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(mask, iterations=max(1, round(MARGIN * min(mask.shape)))))


def central_place() -> Place:
    """An ellipse in the middle.

    >>> central_place().region.mask(4, 4).astype(int).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    turns = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    outline = tuple((float(0.5 + _FIELD * np.cos(t)), float(0.5 + _FIELD * np.sin(t))) for t in turns)
    return Place(Region(1, 1, (outline,)), CENTRE)


def differing(of_class: Greys, normal: Greys) -> npt.NDArray[np.bool_] | None:
    """The smallest part of an image that holds most of the standardized difference of two groups, (n, side, side) each.

    The images are standardized and shifted onto the mean normal one first. Only differences count that are certain by
    their standard error; `None` where there is none.
    """
    from scipy.ndimage import gaussian_filter

    template = _standardized(normal).mean(axis=0)
    ours, theirs = (
        gaussian_filter(_aligned(_standardized(some), template), (0, _SMOOTH, _SMOOTH)) for some in (of_class, normal)
    )
    spread = [some.var(axis=0, ddof=1) for some in (ours, theirs)]
    change = ours.mean(axis=0) - theirs.mean(axis=0)
    certain = np.abs(change) > _CERTAIN * np.sqrt(spread[0] / len(ours) + spread[1] / len(theirs)) + 1e-9
    weight = np.round(np.where(certain, change**2 / (spread[0] + spread[1] + 1e-9), 0), 6)
    if not weight.any():
        return None
    order = np.argsort(-weight, axis=None, kind="stable")
    held = np.cumsum(weight.ravel()[order])
    count = min(int(np.searchsorted(held, _HELD * held[-1])) + 1, int(_LARGEST * weight.size))
    mask = np.zeros(weight.shape, bool)
    mask.ravel()[order[:count]] = True
    smooth: npt.NDArray[np.bool_] = gaussian_filter(mask.astype(float), 1.0) > 0.5
    return smooth if smooth.any() else mask


def _read(root: Path, some: Sequence[Sample]) -> Greys:
    def read(sample: Sample) -> Greys | None:
        try:
            return np.asarray(read_small(root / sample.path, _SIDE)[0], float)
        except ImageError:  # the fill itself refuses what it needs and cannot read
            return None

    found = [grey for grey in in_threads(read, some) if grey is not None]
    return np.stack(found) if found else np.zeros((0, _SIDE, _SIDE))


def _standardized(greys: Greys) -> Greys:
    centred = greys - greys.mean(axis=(1, 2), keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(axis=(1, 2), keepdims=True), 1e-6))


def _aligned(greys: Greys, template: Greys) -> Greys:
    """Each image shifted by the few pixels at which it correlates best with the template."""
    spectrum = np.conj(np.fft.rfft2(greys)) * np.fft.rfft2(template)
    alike = np.fft.irfft2(spectrum, s=template.shape)
    near = [*range(_REACH + 1), *range(-_REACH, 0)]
    few = np.round(alike[:, near][:, :, near], 6).reshape(len(greys), -1).argmax(axis=1)
    shifts = [(near[place // len(near)], near[place % len(near)]) for place in few]
    return np.stack([_shifted(grey, *shift) for grey, shift in zip(greys, shifts, strict=True)])


def _shifted(grey: Greys, down: int, right: int) -> Greys:
    """Moved by whole pixels; the edge is repeated where nothing comes in."""
    wide = np.pad(grey, _REACH, mode="edge")
    height, width = grey.shape
    return wide[_REACH - down : _REACH - down + height, _REACH - right : _REACH - right + width]
