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
CENTRE = "spots anywhere in the central field: nothing is known of where the finding is"
LUNGS = "spots anywhere in the lungs: nothing is known of where the finding is"
MARGIN = 0.05
"""What is made anew around a region, in shares of the smaller side: the finding must find room."""
_SIDE, _MOST = 64, 200  # pixels and images by which a class is compared with normal ones
_SMOOTH, _REACH = 1.5, 6  # pixels: of the comparison, and by how much an image is shifted at most to fit the others
_CHANCE = 0.01 / (_SIDE / 4) ** 2  # of a difference by chance, in each of as many places as differ independently
_HELD = 0.8  # the share of all difference that is kept
_LARGEST, _SMALLEST = 0.4, 0.01  # of the image
_PART = 0.15  # of all difference: a part apart from the others that holds less is left out
_FOLDS, _LEAST, _RIDGE = 3, 6, 0.1  # of the linear classifier; the fewest images a side
_SURE = 0.05  # the p-value at which it tells a class from normal images that it has not seen
_TOLD = 0.4  # the share of a field that holds the spots where it sees the class
_SPOT = (0.07, 0.14)  # radius of a spot, in shares of the smaller side
_FIELD = 0.36  # half axis of the central field, in shares of the image's sides
Greys = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """A region to paint at, and where it is known from; `is_real`: it is that of a lesion, of `patient` if known.

    `is_field`: the finding may be anywhere in it, and each image is painted at a spot there.
    """

    region: Region
    origin: str
    patient: str | None = None
    is_real: bool = False
    is_field: bool = False

    def drawn(self, chance: random.Random) -> Region:
        """The region a little elsewhere and a little larger or smaller, by chance.

        This alone decides where a lesion of one patient lies in an image of another, whoever puts it there.
        """
        if self.is_field:
            return _spot(self.region, chance)
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
        return source, runs_to_text(to_runs(mask if place.is_field else widened(mask))), place.origin


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
    return Place(_ellipse(1, 1, 0.5, 0.5, _FIELD), CENTRE, is_field=True)


def lung_place(root: Path, normal: Sequence[Sample]) -> Place:
    """What is darker than the rest of the central field in normal chests on average; all of that where too few are."""
    found, middle = _read(root, normal[:_MOST]), central_place()
    if not len(found):
        return middle
    mean, field = _standardized(found).mean(axis=0), middle.region.mask(_SIDE, _SIDE)
    level = (np.percentile(mean[field], 10) + np.percentile(mean[field], 90)) / 2
    return Place(Region(_SIDE, _SIDE, runs=to_runs(field & (mean < level))), LUNGS, is_field=True)


def told_place(
    root: Path, of_class: Sequence[Sample], normal: Sequence[Sample], finding: str, within: Place
) -> Place | None:
    """The part of a field in which a linear classifier sees a class; `None` where it tells none from normal images."""
    (ours, whose), (theirs, others) = (_read_with_patients(root, some[:_MOST]) for some in (of_class, normal))
    seen = attributions(ours, theirs, whose, others)
    if seen is None:
        return None
    places = np.flatnonzero(within.region.mask(_SIDE, _SIDE))
    best = places[np.argsort(-seen.ravel()[places], kind="stable")[: math.ceil(_TOLD * len(places))]]
    mask = np.zeros(_SIDE * _SIDE, bool)
    mask[best] = True
    region = Region(_SIDE, _SIDE, runs=to_runs(mask.reshape(_SIDE, _SIDE)))
    return Place(region, f"spots where a classifier sees {finding}", is_field=True)


def _spot(region: Region, chance: random.Random) -> Region:
    """A disc with its centre anywhere in a region."""
    rows, columns = np.nonzero(region.mask(_SIDE, _SIDE))
    place = chance.randrange(len(rows))
    across, down = (float(each[place] + chance.random()) / _SIDE for each in (columns, rows))
    return _ellipse(region.height, region.width, across, down, chance.uniform(*_SPOT))


def _ellipse(height: int, width: int, across: float, down: float, radius: float) -> Region:
    """A disc in an image of (height, width), its numbers in shares of the sides, the radius of the smaller one."""
    turns, least = np.linspace(0, 2 * np.pi, 48, endpoint=False), min(height, width)
    points = zip(
        (across * width + radius * least * np.cos(turns)).tolist(),
        (down * height + radius * least * np.sin(turns)).tolist(),
        strict=True,
    )
    return Region(height, width, (tuple(points),))


def differing(of_class: Greys, normal: Greys) -> npt.NDArray[np.bool_] | None:
    """The smallest part of an image that holds most of the standardized difference of two groups, (n, side, side) each.

    The images are first shifted onto the mean normal one, and take its intensities where they are most alike. Only
    differences count that chance gives anywhere one time in a hundred, in parts of some size; `None`: there is none.
    """
    from scipy.ndimage import gaussian_filter, label
    from scipy.stats import t

    ours, theirs = (gaussian_filter(some, (0, _SMOOTH, _SMOOTH)) for some in _registered(of_class, normal))
    spread = [some.var(axis=0, ddof=1) for some in (ours, theirs)]
    change = ours.mean(axis=0) - theirs.mean(axis=0)
    error = np.sqrt(spread[0] / len(ours) + spread[1] / len(theirs))
    certain = np.abs(change) > t.isf(_CHANCE / 2, min(len(ours), len(theirs)) - 1) * error + 1e-9
    weight = np.round(np.where(certain, change**2 / (spread[0] + spread[1] + 1e-9), 0), 6)
    if not weight.any():
        return None
    order = np.argsort(-weight, axis=None, kind="stable")
    held = np.cumsum(weight.ravel()[order])
    count = min(int(np.searchsorted(held, _HELD * held[-1])) + 1, int(_LARGEST * weight.size))
    mask = np.zeros(weight.shape, bool)
    mask.ravel()[order[:count]] = True
    parts, number = label(gaussian_filter(mask.astype(float), 1.0) > 0.5)
    weights = np.bincount(parts.ravel(), weight.ravel(), number + 1)[1:]
    kept = np.isin(parts, 1 + np.flatnonzero(weights >= _PART * weights.sum()))
    return kept if kept.mean() >= _SMALLEST else None


def attributions(of_class: Greys, normal: Greys, whose: Sequence[str], others: Sequence[str]) -> Greys | None:
    """Where a linear classifier sees that images are of a class, (side, side), of two groups (n, side, side) each.

    Weight times input, the mean of images of the class less that of normal ones, each by a ridge regression in which
    both weigh the same and that has learned no image of its patient: `whose` and `others` name these. `None` where
    patients are few, or the class is not told from normal images (Mann-Whitney, by patient).
    """
    from scipy.ndimage import gaussian_filter
    from scipy.stats import mannwhitneyu

    if min(len(set(whose)), len(set(others))) < _LEAST:
        return None
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys((*whose, *others)))}
    persons = np.array([numbers[patient] for patient in (*whose, *others)])
    is_class = np.arange(len(persons)) < len(whose)
    whole = gaussian_filter(np.concatenate(_registered(of_class, normal)), (0, 2, 2))[:, ::2, ::2]
    flat = whole.reshape(len(whole), -1)
    flat = (flat - flat.mean(axis=0)) / (flat.std(axis=0) + 1e-6)
    noise = _RIDGE * np.where(is_class, len(whose), len(others)) * 2 / len(whole)
    parts, told = np.zeros(flat.shape), np.zeros(len(flat))
    for fold in range(_FOLDS):
        out = persons % _FOLDS == fold
        inputs, own = flat[~out], is_class[~out]
        middle = (inputs[own].mean(axis=0) + inputs[~own].mean(axis=0)) / 2
        inputs = inputs - middle
        kernel = inputs @ inputs.T / inputs.shape[1] + np.diag(noise[~out])
        weights = inputs.T @ np.linalg.solve(kernel, np.where(own, 1.0, -1.0)) / inputs.shape[1]
        parts[out], told[out] = flat[out] * weights, (flat[out] - middle) @ weights
    means = [
        [told[side & (persons == person)].mean() for person in set(persons[side])] for side in (is_class, ~is_class)
    ]
    if not mannwhitneyu(*means, alternative="greater").pvalue < _SURE:
        return None
    seen = (parts[is_class].mean(axis=0) - parts[~is_class].mean(axis=0)).reshape(whole.shape[1:])
    smooth = gaussian_filter(seen.repeat(2, axis=0).repeat(2, axis=1), 2.0)
    return np.asarray(np.round(smooth / np.abs(smooth).max(), 6))


def _registered(of_class: Greys, normal: Greys) -> tuple[Greys, Greys]:
    """Both groups shifted onto the mean normal image, with its intensities where they are most alike."""
    template = _standardized(normal).mean(axis=0)
    ours, theirs = (_matched(_aligned(_standardized(some), template), template) for some in (of_class, normal))
    return ours, theirs


def _read(root: Path, some: Sequence[Sample]) -> Greys:
    return _read_with_patients(root, some)[0]


def _read_with_patients(root: Path, some: Sequence[Sample]) -> tuple[Greys, list[str]]:
    """The images that can be read, (n, side, side), and of each its patient, or where that is not known its path."""

    def read(sample: Sample) -> Greys | None:
        try:
            return np.asarray(read_small(root / sample.path, _SIDE)[0], float)
        except ImageError:  # the fill itself refuses what it needs and cannot read
            return None

    found = [
        (grey, sample.patient or sample.path)
        for grey, sample in zip(in_threads(read, some), some, strict=True)
        if grey is not None
    ]
    greys = np.stack([grey for grey, _ in found]) if found else np.zeros((0, _SIDE, _SIDE))
    return greys, [patient for _, patient in found]


def _standardized(greys: Greys) -> Greys:
    centred = greys - greys.mean(axis=(1, 2), keepdims=True)
    return np.asarray(centred / np.maximum(centred.std(axis=(1, 2), keepdims=True), 1e-6))


def _matched(greys: Greys, template: Greys) -> Greys:
    """Each image in brightness and contrast as the template, by the 60% of it that then differ least."""
    flat, wanted = greys.reshape(len(greys), -1), template.ravel()
    kept = np.ones(flat.shape)
    for _ in range(3):
        here, there = (np.average(np.broadcast_to(some, flat.shape), 1, kept)[:, None] for some in (flat, wanted))
        spread = np.maximum(((flat - here) ** 2 * kept).sum(axis=1), 1e-9)  # of a blank image none
        slope = ((flat - here) * (wanted - there) * kept).sum(axis=1) / spread
        fitted = (flat - here) * slope[:, None] + there
        error = np.abs(fitted - wanted)
        kept = (error <= np.quantile(error, 0.6, axis=1, keepdims=True)).astype(float)
    return np.asarray(fitted.reshape(greys.shape))


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
