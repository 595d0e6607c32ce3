"""The same picture on both sides: exact copies, and what was re-encoded, resized, brightened, cropped or mirrored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from analysis.comparison.inputs.build_study import Material
from analysis.comparison.inputs.study import EXTRA, Study
from analysis.comparison.integrity.leakage_finding import Breach
from analysis.data.images import Greys
from balancer.collection.findings import SAME_IMAGE
from balancer.collection.image_stats import THUMB, Contents, frames_of, perceptual_hashes
from balancer.collection.near_duplicates import SAME_PICTURE, is_blank, likenesses_between
from balancer.text import many

_SURELY = 0.97
"""What is as alike is the same picture in any collection: JPEG copies of drawn phantoms at 64 pixels are."""
_GAP = 0.01
_AT_ONCE = 2000  # training images that are compared with each other
_TO_JUDGE_BY = 8000  # pairs of them, each twice
_APART = (
    "remove one of the two from the collection, or move both into one split; then: balance scan FOLDER, balance fill"
)


@dataclass(frozen=True, slots=True)
class _Side:
    """Some images by name, without those of one grey level, which are all alike."""

    names: tuple[str, ...]
    contents: tuple[Contents, ...]

    @classmethod
    def of(cls, names: Sequence[str], greys: Greys) -> _Side:
        found = [(name, each) for name, each in zip(names, _contents(greys), strict=True) if not is_blank(each)]
        return cls(tuple(name for name, _ in found), tuple(each for _, each in found))

    def pairs(self, other: _Side, most: int = 20_000) -> list[tuple[str, str, float]]:
        found = likenesses_between(self.contents, other.contents, most)
        return [(self.names[i], other.names[j], value) for i, j, value in found]


def duplicates(material: Material) -> Iterator[Breach]:
    """The same bytes in the test part and in anything that is learned from, or by which an arm is chosen."""
    images, split = material.collection.images, material.split
    test = images["sha256"].loc[split.paths("test").intersection(images.index)]
    places: dict[str, list[str]] = defaultdict(list)
    for path, sha256 in test.items():
        places[sha256].append(str(path))
    for part, others in _others(material).items():
        same = [f"{name} = {places[sha256][0]}" for name, sha256 in others if sha256 in places]
        if same:
            found = f"{many(len(same), f'{part} image')} also in the test split, with identical bytes"
            yield Breach("duplicate", found, tuple(same), _advice(part))


def _others(material: Material) -> dict[str, list[tuple[str, str]]]:
    """Names and hashes of what is not test, by what it is."""
    images, split = material.collection.images, material.split
    found: dict[str, list[tuple[str, str]]] = {}
    for part, names in (("training", ("train", "holdout")), ("validation", ("val",))):
        hashes = images["sha256"].loc[split.paths(*names).intersection(images.index)]
        found[part] = [(str(path), sha256) for path, sha256 in hashes.items()]
    for name, pool in material.pools.items():
        found[name] = list(zip(pool.names, pool.hashes, strict=True))
    return found


def near_duplicates(material: Material) -> Iterator[Breach]:
    """The same picture in other bytes: what `scan --deep` found, and what the decoded images show."""
    study, hashes = material.study, dict(material.collection.images["sha256"])
    test = _Side.of(study.test.paths, study.test.images)
    level = _level(study)
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name, other in _found_by_scan(material):
        found["training or validation"][name] = other
    for what, names, greys in _decoded(material):
        of_pool = dict(zip(names, material.pools[what].hashes, strict=True)) if what in material.pools else hashes
        for one, other, alike in test.pairs(_Side.of(names, greys)):
            if alike >= level and hashes[one] != of_pool.get(other):
                found[what].setdefault(other, one)
    for what, same in found.items():
        pairs = f"{many(len(same), 'pair')} of near-duplicate images, one {what}, one test"
        examples = tuple(f"{name} ~ {one}" for name, one in sorted(same.items()))
        yield Breach("near-duplicate", pairs, examples, _advice(what))


def _advice(what: str) -> str:
    """What to do about copies of test images among these."""
    if what in ("training", "validation", "training or validation"):
        return _APART
    if what.startswith(EXTRA):
        return f"remove them from the folder of --{what.replace(':', ' ')}"
    if what == "unscreened":  # whatever is rejected stays among these
        return "leave out the arm of rejected images: balance compare --quick, or --arm for each wanted arm"
    return "reject them, then merge again: balance review, balance merge"


def _decoded(material: Material) -> Iterable[tuple[str, Sequence[str], Greys]]:
    study = material.study
    for part in (study.train, study.validation):
        yield "training or validation", part.paths, part.images
    for name, pool in material.pools.items():
        yield name, pool.names, study.added[name].images


def _found_by_scan(material: Material) -> Iterator[tuple[str, str]]:
    """Pairs of another image and a test image that a finding calls the same picture, in different bytes."""
    parts, hashes = material.split.parts, material.collection.images["sha256"]
    for finding in material.collection.findings:
        if finding.kind not in SAME_IMAGE:
            continue
        paths = [str(path) for path in finding.paths if str(path) in parts.index]
        test = [path for path in paths if parts[path] == "test"]
        for other in (path for path in paths if parts[path] != "test") if test else ():
            if hashes.get(other) != hashes.get(test[0]):
                yield other, test[0]


def same_pictures(study: Study, names: Sequence[str], greys: Greys) -> dict[str, str]:
    """Which of some images (N, side, side) show the same picture as any image of the study, with that image."""
    level, asked, found = _level(study), _Side.of(names, greys), dict[str, str]()
    ours = [(part.paths, part.images) for part in (study.train, study.validation, study.test)]
    ours += [
        (tuple(f"{name} image {at}" for at in range(len(each))), each.images) for name, each in study.added.items()
    ]
    for others, images in ours:
        for one, other, alike in asked.pairs(_Side.of(others, images)):
            if alike >= level:
                found.setdefault(one, other)
    return found


def _level(study: Study) -> float:
    """How alike two images must be to be the same picture.

    Where training images of different patients come near to that themselves, as drawings do, it is beyond the first
    gap above them. Copies among the training images lie beyond such a gap and do not raise it.
    """
    train = study.train
    chosen = np.linspace(0, len(train) - 1, min(len(train), _AT_ONCE)).astype(np.int64)
    group = dict(zip(train.paths, train.groups.tolist(), strict=True))
    side = _Side.of([train.paths[place] for place in chosen.tolist()], train.images[chosen])
    return level_above(alike for one, other, alike in side.pairs(side, _TO_JUDGE_BY) if group[one] != group[other])


def level_above(alike: Iterable[float]) -> float:
    """The likeness from which images are the same, given that of images of different patients.

    >>> level_above([0.7, 0.88, 1.0, 1.0]), round(level_above([0.905, 0.914, 0.922, 0.93, 0.939, 0.945, 1.0]), 3)
    (0.94, 0.965)
    """
    level = SAME_PICTURE - 4 * _GAP
    for value in sorted(value for value in alike if value >= level):
        if value - level > _GAP:
            break
        level = value
    return max(SAME_PICTURE, min(_SURELY, level + 2 * _GAP))


def _contents(greys: Greys) -> list[Contents]:
    """What of decoded images (N, side, side) is compared, without their frames."""
    if not len(greys):
        return []
    thumbs = _thumbs(greys)
    hashes, mirrored = perceptual_hashes(thumbs)
    spreads = thumbs.reshape(len(thumbs), -1).std(axis=1, dtype=np.float32).tolist()
    rows = zip(hashes, mirrored, thumbs, spreads, strict=True)
    return [
        Contents(0, 0, phash=one.tobytes(), mirrored=other.tobytes(), thumb=thumb.tobytes(), spread=spread)
        for one, other, thumb, spread in rows
    ]


def _thumbs(greys: Greys) -> npt.NDArray[np.uint8]:
    side, frames = greys.shape[1], frames_of(greys)
    found = np.empty((len(greys), THUMB, THUMB), np.uint8)
    for place, (grey, edges) in enumerate(zip(greys, frames.tolist(), strict=True)):
        top, bottom, left, right = (edge and edge + 1 for edge in edges)
        box = (left, top, side - right, side - bottom)
        if box[0] >= box[2] or box[1] >= box[3]:
            box = (0, 0, side, side)
        if box == (0, 0, THUMB, THUMB):
            found[place] = grey
        else:
            found[place] = np.asarray(Image.fromarray(grey).resize((THUMB, THUMB), Image.Resampling.BOX, box=box))
    return found
