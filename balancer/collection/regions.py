"""Where findings are in real images: boxes, outlines and masks of a user's file, checked against the collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from balancer.collection.class_names import find_loosely
from balancer.collection.region_files import Annotation, Outline, read_annotations, refused
from balancer.collection.run_lengths import from_runs, to_runs
from balancer.collection.scan import Collection
from balancer.collection.sources.matching import match_files
from balancer.errors import TableError

Mask = npt.NDArray[np.bool_]
_OVERHANG = 0.01  # of a side: annotation tools round, and draw a little over the edge
_MOST = 0.95  # of the image: what covers more shows no place, as an inverted or forgotten mask does
_UNKNOWN_IMAGE, _UNKNOWN_LABEL = "of images that the collection has not", "of findings that the collection has not"


@dataclass(frozen=True, slots=True)
class Region:
    """Where one finding is in an image of (height, width) pixels.

    `outlines` are closed polygons of points (x, y), in pixels from the corner at the top left; where there are none,
    `runs` are the lengths, down one column after the other, of what is outside, inside, outside and so on, as in COCO.
    `label` is the class that it shows, "" where the file did not say.

    >>> Region(height=4, width=4, outlines=(((1, 1), (3, 1), (3, 2), (1, 2)),)).mask(4, 4).astype(int).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    """

    height: int
    width: int
    outlines: tuple[Outline, ...] = ()
    runs: tuple[int, ...] = ()
    label: str = ""

    def mask(self, height: int, width: int) -> Mask:
        """What it covers of the image when that is stretched to (height, width), as images are; one pixel at least."""
        if self.outlines:
            found = np.zeros((height, width), bool)
            for outline in self.outlines:
                found |= filled(np.array(outline) * (width / self.width, height / self.height), height, width)
        else:
            whole = from_runs(self.runs, self.height, self.width)
            grey = Image.fromarray(whole.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
            found = np.asarray(grey) >= 128
        if not found.any():
            left, top, right, bottom = self.box
            found = found.copy()
            found[_pixel((top + bottom) / 2, height), _pixel((left + right) / 2, width)] = True
        return found

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Its left, top, right and bottom as shares of the image's sides.

        >>> Region(height=4, width=4, runs=(5, 2, 9)).box
        (0.25, 0.25, 0.5, 0.75)
        """
        if self.outlines:
            points = np.concatenate([np.array(outline) for outline in self.outlines])
            (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        else:
            rows, columns = np.nonzero(from_runs(self.runs, self.height, self.width))
            left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        return (
            *(float(left / self.width), float(top / self.height)),
            *(float(right / self.width), float(bottom / self.height)),
        )


@dataclass(frozen=True, slots=True)
class Regions:
    """All regions of a file by the image's path in the collection. `left_out` counts those that fit nothing, by why."""

    of_images: Mapping[str, tuple[Region, ...]]
    file: Path
    left_out: Mapping[str, int] = field(default_factory=dict)

    def of(self, path: str, label: str = "") -> tuple[Region, ...]:
        """The regions of an image; of one finding, those of it and those of which the file does not say what they are.

        >>> Regions({"a.png": (Region(8, 8, label="mass"),)}, folder).of("a.png", "nodule")
        ()
        """
        return tuple(each for each in self.of_images.get(path, ()) if not label or each.label in ("", label))

    @property
    def summary(self) -> str:
        """What is known, in a line."""
        count = sum(map(len, self.of_images.values()))
        without = "".join(f"; {number} {why} are left out" for why, number in self.left_out.items())
        return f"{count} in {len(self.of_images)} images, from {self.file.name}{without}"


def read_regions(file: Path, collection: Collection) -> Regions:
    """Read where findings are. The format is told by the file itself.

    A table (CSV, TSV, XLSX, Parquet) has a column for the image and either a box (x, y, width, height, or x_min,
    y_min, x_max, y_max) or run lengths (EncodedPixels); a column for the finding may be there. A .json file is COCO. A
    folder of .txt files is YOLO, with the names of its classes in classes.txt or data.yaml. A folder of images is one
    mask for each image of the same name, whatever is not black. All are in pixels of the original image.

    Raises:
        TableError: it cannot be read, fits no image, or a region is empty, is the whole image, lies outside it or is of
            another size.

    >>> _ = (folder / "boxes.csv").write_text("image,x,y,width,height\\nnodule_p00.png,4,4,8,6\\n")
    >>> collection = scan(Workspace.open(folder), ScanSettings(folder / "xrays")).collection
    >>> read_regions(folder / "boxes.csv", collection).of("nodule/nodule_p00.png")[0].box
    (0.125, 0.125, 0.375, 0.3125)
    """
    found = read_annotations(file)
    if not found:
        raise refused(file, "at least one region of a finding", "none: no row has a box or a mask")
    paths = list(collection.images.index)
    match = match_files(np.array([each.image for each in found], object), paths)
    of_key = {int(key): path for key, path in zip(match.files, paths, strict=True) if key >= 0}
    sizes = dict(zip(paths, zip(collection.images["height"], collection.images["width"], strict=True), strict=True))
    labels = _labels(file, found, collection.labels)
    regions: dict[str, list[Region]] = {}
    left_out: Counter[str] = Counter()
    for each, key in zip(found, match.rows.tolist(), strict=True):
        path = of_key.get(key)
        if path is None:
            left_out[_UNKNOWN_IMAGE] += 1
        elif each.label and not labels[each.label]:
            left_out[_UNKNOWN_LABEL] += 1
        else:
            region = _checked(file, each, *map(int, sizes[path]))
            regions.setdefault(path, []).append(replace(region, label=labels.get(each.label) or ""))
    if not regions:
        raise refused(file, "regions of images of the collection", f"{found[0].image!r} and others: no such image")
    return Regions({path: tuple(some) for path, some in regions.items()}, file, dict(left_out))


def union(regions: Sequence[Region], height: int, width: int) -> Mask:
    """What any of the regions covers of an image of (height, width).

    >>> union([], 2, 2).any()
    np.False_
    """
    found: Mask = np.zeros((height, width), bool)
    for each in regions:
        found = found | each.mask(height, width)
    return found


def moved(region: Region, zoom: float, right: float, down: float) -> Region:
    """The region enlarged about its centre and shifted by shares of the image's sides, and still inside the image.

    >>> moved(Region(8, 8, (((4, 4), (6, 4), (6, 6), (4, 6)),)), 1, 0.5, -0.25).box
    (0.75, 0.25, 1.0, 0.5)
    """
    left, top, far, bottom = region.box
    wide, high = min(1.0, zoom * (far - left)), min(1.0, zoom * (bottom - top))
    x = min(max(0.0, (left + far - wide) / 2 + right), 1 - wide)
    y = min(max(0.0, (top + bottom - high) / 2 + down), 1 - high)
    if region.outlines:
        frame, scale = np.array([region.width, region.height]), np.array([wide / (far - left), high / (bottom - top)])
        points = (((np.array(outline) / frame - (left, top)) * scale + (x, y)) * frame for outline in region.outlines)
        return replace(region, outlines=tuple(tuple((float(a), float(b)) for a, b in each) for each in points))
    whole = region.mask(region.height, region.width)
    rows, columns = (slice(*np.flatnonzero(whole.any(axis=axis))[[0, -1]] + (0, 1)) for axis in (1, 0))
    size = max(1, round(wide * region.width)), max(1, round(high * region.height))
    cut = Image.fromarray(whole[rows, columns].astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    place = np.zeros_like(whole)
    first = min(round(y * region.height), region.height - size[1]), min(round(x * region.width), region.width - size[0])
    place[first[0] : first[0] + size[1], first[1] : first[1] + size[0]] = np.asarray(cut) > 0
    return replace(region, runs=to_runs(place))


def filled(outline: npt.NDArray[np.float64], height: int, width: int) -> Mask:
    """The pixels whose centres lie in a closed polygon, (points, 2) of x and y in pixels, by the even-odd rule.

    >>> filled(np.array([[0, 0], [4, 0], [0, 4]]), 4, 4).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    """
    start, end = outline, np.roll(outline, -1, axis=0)
    rows = np.arange(height) + 0.5
    place, edge = np.nonzero((start[:, 1] <= rows[:, None]) != (end[:, 1] <= rows[:, None]))
    slope = (end[edge, 0] - start[edge, 0]) / (end[edge, 1] - start[edge, 1])
    crossings = start[edge, 0] + (rows[place] - start[edge, 1]) * slope
    turns = np.zeros((height, width + 1), np.int64)
    np.add.at(turns, (place, np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)), 1)
    inside: Mask = np.cumsum(turns, axis=1)[:, :width] % 2 == 1
    return inside


def _labels(file: Path, found: Sequence[Annotation], known: Sequence[str]) -> dict[str, str | None]:
    """The class that each name in the file means; None where it means none.

    Raises:
        TableError: no name means any.
    """
    names = sorted({each.label for each in found if each.label})
    meant = {name: find_loosely(name, {each: [each] for each in known}) for name in names}
    if names and not any(meant.values()):
        raise refused(file, f"regions of a class of the collection: {', '.join(known)}", ", ".join(names[:5]))
    return meant


def _checked(file: Path, each: Annotation, height: int, width: int) -> Region:
    """The region of an annotation, in pixels of its image."""
    image = f"its image is {width} x {height} px"
    if each.size is not None and each.size != (height, width):
        raise _wrong(file, each, "of the size of its image", f"{each.size[1]} x {each.size[0]} px; {image}")
    if each.runs:
        if sum(each.runs) > height * width:
            raise _wrong(file, each, "of the size of its image", f"a run that ends beyond the last pixel; {image}")
        if not sum(each.runs[1::2]):
            raise _wrong(file, each, "with at least one pixel", "an empty mask")
        return _not_everywhere(file, each, Region(height, width, runs=each.runs))
    scale = (width, height) if each.in_shares else (1, 1)
    outlines = tuple(tuple((x * scale[0], y * scale[1]) for x, y in outline) for outline in each.outlines)
    points = np.array([point for outline in outlines for point in outline], float).reshape(-1, 2)
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(2), np.zeros(2))
    if not np.isfinite(points).all() or not (high > low).all():
        raise _wrong(file, each, "with at least one pixel", "an empty one: its width or height is 0 or less")
    spare = np.maximum(1, _OVERHANG * np.array([width, height]))
    if (low < -spare).any() or (high > np.array([width, height]) + spare).any():
        corners = f"x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}"
        raise _wrong(file, each, "inside its image", f"{corners}; {image}")
    clipped = tuple(tuple((min(max(x, 0), width), min(max(y, 0), height)) for x, y in outline) for outline in outlines)
    return _not_everywhere(file, each, Region(height, width, clipped))


def _not_everywhere(file: Path, each: Annotation, region: Region) -> Region:
    left, top, right, bottom = region.box
    if (right - left) * (bottom - top) > _MOST and (share := region.mask(64, 64).mean()) > _MOST:
        raise _wrong(
            file, each, f"of at most {_MOST:.0%} of its image", f"it covers {share:.0%}: is the mask inverted?"
        )
    return region


def _wrong(file: Path, each: Annotation, needed: str, found: str) -> TableError:
    return refused(file, f"a region {needed}", f"{each.where}, {each.image!r}: {found}")


def _pixel(share: float, count: int) -> int:
    return min(int(share * count), count - 1)
