"""Files that say where findings are, as they are written: tables, COCO, YOLO and folders of masks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from balancer.collection.run_lengths import runs_from_text, to_runs
from balancer.errors import BalanceError, TableError
from balancer.files import MAX_TABLE, read_plainly
from balancer.imaging.decode import EXTENSIONS, read_grey
from balancer.imaging.tables import Table, read_table

Outline = tuple[tuple[float, float], ...]
_COLUMNS = {
    "image": "imageindex imageid imagename imagepath imagefile image filename filepath file path patientid",
    "label": "findinglabel findinglabels finding label classname class category",
    "runs": "encodedpixels rle maskrle",
    "left": "x xmin x1 left bboxx",
    "top": "y ymin y1 top bboxy",
    "width": "width w bboxwidth bboxw",
    "height": "height h bboxheight bboxh",
    "right": "xmax x2 right",
    "bottom": "ymax y2 bottom",
}
"""What columns are called, without anything but letters and digits; the first that there is counts."""
_NOTHING = ("", "-1", "nan", "none")
_MASK_SUFFIX = re.compile(r"[ _-]?(?:mask|seg|segmentation|label)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One region as its file tells it: `image` by path, name or stem, and `where` in the file.

    Outlines are in pixels, or in shares of the image's sides where `in_shares`. `size` is (height, width) of the image
    as the file says, None where it does not.
    """

    image: str
    where: str
    label: str = ""
    outlines: tuple[Outline, ...] = ()
    runs: tuple[int, ...] = ()
    size: tuple[int, int] | None = None
    in_shares: bool = False


def read_annotations(file: Path) -> list[Annotation]:
    """All regions of a file or folder, in its order.

    Raises:
        TableError: it is in none of the known formats, or damaged.
    """
    if file.is_dir():
        return _of_folder(file)
    if file.suffix.lower() == ".json":
        return _of_coco(file)
    return _of_table(file, read_table(file))


def refused(file: Path, needed: str, found: str) -> TableError:
    """The error for a file of regions."""
    return TableError(
        needed=f"{needed}, in {file.name}",
        found=found,
        next_step="correct the file, then run the same balance command again; or leave --regions out",
    )


def _of_table(file: Path, table: Table) -> list[Annotation]:
    columns = _columns(table.header)
    boxes = [("left", "top", "width", "height"), ("left", "top", "right", "bottom"), ("runs",)]
    kind = next((names for names in boxes if all(name in columns for name in names)), None)
    if "image" not in columns or kind is None:
        needed = "a column image, and x, y, width, height or x_min, y_min, x_max, y_max or EncodedPixels"
        raise refused(file, needed, ", ".join(table.header))
    texts = {name: table.cells[place].str.strip().tolist() for name, place in columns.items()}
    rows = [
        (f"row {number + 1 + table.has_header}", {name: texts[name][number] for name in texts})
        for number in range(len(table.cells))
    ]
    filled = [(where, row) for where, row in rows if any(row[name].lower() not in _NOTHING for name in kind)]
    if kind == ("runs",):
        return _of_runs(file, filled)
    _require_pixels(file, [_numbers(file, where, [row[name] for name in kind]) for where, row in filled])
    return [
        Annotation(row["image"], where, row.get("label", ""), (_box(file, where, [row[name] for name in kind], kind),))
        for where, row in filled
    ]


def _require_pixels(file: Path, boxes: Sequence[Sequence[float]]) -> None:
    """Refuse boxes that are shares of an image: taken for pixels they would all lie in its corner."""
    if boxes and max(number for box in boxes for number in box) <= 1:
        found = f"no number above 1 in {len(boxes)} boxes, as if they were shares of the sides"
        raise refused(file, "boxes in pixels of the original images", found)


def _columns(header: Sequence[str]) -> dict[str, int]:
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]
    found = {}
    for name, known in _COLUMNS.items():
        place = next((plain.index(each) for each in known.split() if each in plain), None)
        if place is not None:
            found[name] = place
    return found


def _box(file: Path, where: str, cells: Sequence[str], kind: Sequence[str]) -> Outline:
    left, top, third, fourth = _numbers(file, where, cells)
    right, bottom = (third, fourth) if "right" in kind else (left + third, top + fourth)
    if not (right > left and bottom > top):
        raise refused(file, "a box with a width and a height above 0", f"{where}: {', '.join(cells)}")
    return rectangle(left, top, right, bottom)


def rectangle(left: float, top: float, right: float, bottom: float) -> Outline:
    """The outline of a box.

    >>> rectangle(0, 0, 2, 1)
    ((0, 0), (2, 0), (2, 1), (0, 1))
    """
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _numbers(file: Path, where: str, cells: Sequence[Any]) -> list[float]:
    try:
        found = [float(cell) for cell in cells]
    except (TypeError, ValueError):
        found = [math.nan]
    if not all(map(math.isfinite, found)):
        raise refused(file, "numbers for each region", f"{where}: {', '.join(map(str, cells))[:80]!r}")
    return found


def _of_runs(file: Path, rows: Sequence[tuple[str, Mapping[str, str]]]) -> list[Annotation]:
    """Pairs of a start, from 1 down the columns, and a length; some tables count each start from the end of the run
    before (SIIM-ACR). One file has one way: where some start lies before the end of the run before, it is that one."""
    pairs = []
    for where, row in rows:
        numbers = [int(number) for number in _numbers(file, where, row["runs"].split())]
        if len(numbers) % 2 or any(number < 0 for number in numbers):
            raise refused(file, "pairs of a start and a length for each run", f"{where}: {row['runs'][:60]!r}")
        pairs.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    absolute = all(first + length <= second for some in pairs for (first, length), (second, _) in pairwise(some))
    found = []
    for (where, row), some in zip(rows, pairs, strict=True):
        runs, end = list[int](), 1
        for start, length in some:
            gap = start - end if absolute else start
            if gap < 0:
                raise refused(file, "starts that count from 1", f"{where}: {start}")
            runs += [gap, length]
            end = start + length
        found.append(Annotation(row["image"], where, row.get("label", ""), runs=tuple(runs)))
    return found


def _of_coco(file: Path) -> list[Annotation]:
    try:
        content = json.loads(read_plainly(file, MAX_TABLE))
        images = {each["id"]: each for each in content["images"]}
        names = {each["id"]: str(each["name"]) for each in content.get("categories", ())}
        return [_coco(file, each, images, names) for each in content["annotations"]]
    except BalanceError:
        raise
    except LookupError as error:
        raise refused(file, "COCO: images, annotations and categories", f"no {error.args[0]!r}") from error
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise refused(file, "COCO: images, annotations and categories", f"another content ({error})") from error


def _coco(file: Path, each: Mapping[str, Any], images: Mapping[Any, Any], names: Mapping[Any, str]) -> Annotation:
    where = f"annotation {each['id']}"
    if each["image_id"] not in images:
        raise refused(file, "for each annotation an image of the file", f"{where}: image_id {each['image_id']}")
    if names and each.get("category_id") not in names:
        found = f"{where}: category_id {each.get('category_id')}"
        raise refused(file, "for each annotation a category of the file", found)
    image, label = images[each["image_id"]], names.get(each.get("category_id"), "")
    size = (int(image["height"]), int(image["width"])) if "height" in image and "width" in image else None
    shape = each.get("segmentation")
    if isinstance(shape, dict):
        counts = shape["counts"]
        runs = runs_from_text(counts) if isinstance(counts, str) else tuple(map(int, counts))
        rows, columns = map(int, shape["size"])
        return Annotation(image["file_name"], where, label, runs=runs, size=(rows, columns))
    if shape:
        flat = [_numbers(file, where, outline) for outline in shape]
        outlines = tuple(tuple(zip(some[::2], some[1::2], strict=True)) for some in flat)
    else:
        left, top, width, height = _numbers(file, where, each["bbox"])
        outlines = (rectangle(left, top, left + width, top + height),)
    return Annotation(image["file_name"], where, label, outlines, size=size)


def _of_folder(folder: Path) -> list[Annotation]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    texts = [path for path in files if path.suffix == ".txt" and path.name not in ("classes.txt", "README.txt")]
    if texts:
        return _of_yolo(folder, texts)
    return list(_of_masks(folder, [path for path in files if path.suffix.lower() in EXTENSIONS]))


def _of_yolo(folder: Path, texts: Sequence[Path]) -> list[Annotation]:
    lines = [
        (path, f"{path.name}, line {number}", line.split())
        for path in texts
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1)
        if line.strip()
    ]
    names, numbers = _yolo_names(folder), {cells[0] for _, _, cells in lines}
    if not names and len(numbers) > 1:
        found = f"{len(numbers)} classes by number, without names"
        raise refused(folder, "classes.txt or data.yaml, which names the classes", found)
    return [
        Annotation(
            path.relative_to(folder).with_suffix("").as_posix(),
            where,
            names.get(cells[0], cells[0] if names else ""),
            (_yolo_outline(folder, where, cells[1:]),),
            in_shares=True,
        )
        for path, where, cells in lines
    ]


def _yolo_outline(folder: Path, where: str, cells: Sequence[str]) -> Outline:
    """Centre, width and height of a box, or the points of an outline, in shares of the image."""
    numbers = _numbers(folder, where, cells)
    if len(numbers) == 4:
        x, y, width, height = numbers
        return rectangle(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(numbers) < 6 or len(numbers) % 2:
        raise refused(folder, "a class, and a box of 4 numbers or at least 3 points", f"{where}: {' '.join(cells)!r}")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _yolo_names(folder: Path) -> dict[str, str]:
    for place in (folder, folder.parent):
        if (place / "classes.txt").is_file():
            names = (place / "classes.txt").read_text("utf-8", "replace").split("\n")
            return {str(number): name.strip() for number, name in enumerate(names) if name.strip()}
        for name in ("data.yaml", "dataset.yaml"):
            if (place / name).is_file():
                try:
                    told = yaml.safe_load((place / name).read_text("utf-8", "replace"))["names"]
                    pairs = told.items() if isinstance(told, dict) else enumerate(told)
                    return {str(number): str(each) for number, each in pairs}
                except (yaml.YAMLError, LookupError, TypeError) as error:
                    raise refused(place / name, "names of the classes", str(error)) from error
    return {}


def _of_masks(folder: Path, files: Sequence[Path]) -> Iterator[Annotation]:
    """A mask is brighter than half of its brightest pixel, so that 0 and 1, 0 and 255, and JPEG are all read."""
    for path in files:
        name = path.relative_to(folder).as_posix()
        try:
            grey = read_grey(path)
        except BalanceError as error:
            raise refused(folder, "masks that can be read as images", f"{name}: {error.found}") from error
        inside = grey > grey.max() / 2
        stem = _MASK_SUFFIX.sub("", path.relative_to(folder).with_suffix("").as_posix())
        size = (int(grey.shape[0]), int(grey.shape[1]))
        yield Annotation(stem, name, runs=to_runs(inside) if inside.any() else (grey.size,), size=size)
