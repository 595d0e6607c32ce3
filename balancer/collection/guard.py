"""Whether what was taken for classes may be something else: patients, dates, parts of an archive, masks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from balancer.collection.class_names import words_of

_SPLITS = {
    *[
        "train",
        "training",
        "trn",
        "val",
        "valid",
        "validate",
        "validation",
        "dev",
        "test",
        "testing",
        "tst",
        "eval",
        "evaluation",
        "holdout",
    ]
}
_WEAK_SPLITS = {*["tr", "trn", "dev", "tst", "eval", "evaluation"]}
_CONTAINERS = {
    *[
        "image",
        "images",
        "img",
        "imgs",
        "pic",
        "pics",
        "picture",
        "pictures",
        "photo",
        "photos",
        "png",
        "pngs",
        "jpg",
        "jpeg",
        "jpgs",
        "tif",
        "tiff",
        "dcm",
        "dicom",
    ],
    *[
        "dicoms",
        "cxr",
        "cxrs",
        "file",
        "files",
        "data",
        "dataset",
        "datasets",
        "raw",
        "original",
        "originals",
        "input",
        "inputs",
    ],
}
_ARCHIVE = {
    *[
        "part",
        "parts",
        "batch",
        "chunk",
        "archive",
        "vol",
        "volume",
        "disk",
        "disc",
        "shard",
        "section",
        "folder",
        "dir",
        "zip",
        "package",
        "subset",
    ],
    *["subfolder", "set"],
}
_FILLERS = _ARCHIVE | {*["stage", "crops", "crop", "resized", "small", "large", "full", "all"]}
_MASKS = {
    *[
        "mask",
        "masks",
        "labels",
        "annotation",
        "annotations",
        "annot",
        "annots",
        "segmentation",
        "segmentations",
        "segmented",
        "seg",
    ],
    *[
        "bbox",
        "bboxes",
        "boxes",
        "contour",
        "contours",
        "groundtruth",
        "gt",
        "roi",
        "rois",
        "heatmap",
        "heatmaps",
        "xml",
        "json",
        "csv",
        "yolo",
        "coco",
    ],
}
_SIDES = {
    *[
        "left",
        "right",
        "l",
        "r",
        "lt",
        "rt",
        "sin",
        "dex",
        "links",
        "rechts",
        "gauche",
        "droite",
        "izquierda",
        "derecha",
        "both",
        "bilateral",
    ]
}
_BODY = {
    *[
        "elbow",
        "finger",
        "fingers",
        "forearm",
        "hand",
        "hands",
        "humerus",
        "shoulder",
        "shoulders",
        "wrist",
        "wrists",
        "knee",
        "knees",
        "hip",
        "hips",
    ],
    *[
        "ankle",
        "ankles",
        "foot",
        "feet",
        "leg",
        "legs",
        "arm",
        "arms",
        "femur",
        "tibia",
        "fibula",
        "radius",
        "ulna",
        "clavicle",
        "pelvis",
        "spine",
        "skull",
        "head",
    ],
    *[
        "neck",
        "chest",
        "thorax",
        "abdomen",
        "heel",
        "toe",
        "toes",
        "thigh",
        "cervical",
        "thoracic",
        "lumbar",
        "sacrum",
        "ribs",
        "breast",
        "breasts",
        "teeth",
    ],
}
_VIEWS = {
    *[
        "pa",
        "ap",
        "lateral",
        "lat",
        "ll",
        "frontal",
        "oblique",
        "axial",
        "supine",
        "erect",
        "portable",
        "view",
        "views",
        "projection",
        "sagittal",
        "coronal",
    ],
    *["cc", "mlo", "posteroanterior", "anteroposterior", "upright", "decubitus"],
}
_SEXES = {*["male", "female", "m", "f", "man", "men", "woman", "women", "boy", "boys", "girl", "girls"]}
_IMAGING = {*["xr", "xray", "xrays", "x", "ray", "rays", "dx", "cr", "dr", "radiograph", "radiographs"]}
_PERSON = re.compile(
    r"(?:patients?|pat|pt|subjects?|subj|sub|persons?|cases?|stud(?:y|ies)|series|exams?|visits?|sessions?|ses|scan|"
    r"acc|accession|mrn|record|id|pid|uid|volunteer|participant)[\W_]*\d+\w*|[ps]\d{2,}"
)
_NUMBER = re.compile(r"\d{5,}[a-z]?|\d{3,}[-_]\d{3,}(?:[-_]\d+)*")
_UID = re.compile(r"\d+(?:\.\d+){3,}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}")
_DATE = re.compile(
    r"(?:19|20)\d\d[-_. ]?(?:0[1-9]|1[0-2])(?:[-_. ]?(?:0[1-9]|[12]\d|3[01]))?(?:\D.*)?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-_.](?:0?[1-9]|[12]\d|3[01])[-_.](?:19|20)?\d\d"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_HIGHEST_GRADE = 10
_FEW, _MANY = 4, 50


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a reading looks wrong: which of its classes, and what they look like."""

    classes: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        return self.what


def doubts(counts: Mapping[str, int], below: Mapping[str, Sequence[str]] | None = None) -> Iterator[Doubt]:
    """What speaks against taking these folders, with so many images each, for classes.

    `below` are the folders inside each.

    >>> [str(doubt) for doubt in doubts({"images_001": 4999, "images_002": 10000})]
    ['they are named like parts of an archive']
    >>> list(doubts({"NORMAL": 1341, "PNEUMONIA": 3875}))
    []
    """
    names = list(counts)
    yield from _by_name(names)
    yield from _by_number(names, counts)
    yield from _by_folders(names, below or {})


def are_grades(names: Sequence[str]) -> bool:
    """Whether all classes are small numbers, as grades are.

    >>> are_grades(["0", "1", "2", "3", "4"]), are_grades(["0", "normal"])
    (True, False)
    """
    return bool(names) and all(name.isdecimal() and int(name) <= _HIGHEST_GRADE for name in names)


def is_mask_name(name: str) -> bool:
    """Whether a folder's name says that it holds masks, labels or annotations.

    >>> is_mask_name("Annotations-2"), is_mask_name("lung_masks"), is_mask_name("Mask artefact")
    (True, True, False)
    """
    words = _words(name)
    rest = words - _MASKS
    return bool(words & _MASKS) and all(
        word.isdecimal() or word in _SIDES | _BODY | _CONTAINERS | {"lung", "lungs"} for word in rest
    )


def is_image_folder_name(name: str) -> bool:
    """Whether a folder's name says no more than that images lie in it.

    >>> is_image_folder_name("CXR_png"), is_image_folder_name("images_001"), is_image_folder_name("NORMAL")
    (True, True, False)
    """
    words = _words(name)
    return bool(words & _CONTAINERS) and all(word.isdecimal() or word in _CONTAINERS | _IMAGING for word in words)


def _by_name(names: Sequence[str]) -> Iterator[Doubt]:
    """The first rule that fits enough of the names: one of them, half, or all."""
    for fits, least, what in _RULES:
        found = tuple(name for name in names if fits(name))
        if found and len(found) >= least * len(names) and (least < 1 or len(names) > 1):
            yield Doubt(found, what)
            return


def _by_number(names: Sequence[str], counts: Mapping[str, int]) -> Iterator[Doubt]:
    if len(names) >= 2 and all(name.isdecimal() for name in names) and not are_grades(names):
        yield Doubt(tuple(names), "they are numbers, but too large or too many to be grades")
    single = tuple(name for name in names if counts[name] == 1)
    if len(names) >= _FEW and len(single) >= 0.8 * len(names):
        yield Doubt(single, f"{len(single)} of {len(names)} contain only one image")
    elif len(names) > _MANY and median(counts.values()) <= _FEW:
        yield Doubt(tuple(names), f"there are {len(names)}, most with {_FEW} images or fewer")


def _by_folders(names: Sequence[str], below: Mapping[str, Sequence[str]]) -> Iterator[Doubt]:
    masked = tuple(name for name in names if any(is_mask_name(inner) for inner in below.get(name, ())))
    if masked:
        yield Doubt(masked, "they contain masks, labels or annotations beside the images")
    divided = tuple(name for name in names if any(_is_split(inner) for inner in below.get(name, ())))
    if divided:
        yield Doubt(divided, "each contains training, validation or test folders of its own, which would be mixed")


def _words(name: str) -> set[str]:
    return {word for text in words_of(name) for word in re.findall(r"[^\W\d_]+|\d+", text)}


def _is_split(name: str) -> bool:
    words = _words(name)
    rest = words - _SPLITS
    strong = words & (_SPLITS - _WEAK_SPLITS) or (words & _SPLITS and rest)
    return bool(strong) and all(word.isdecimal() or word in _CONTAINERS | _FILLERS | _IMAGING for word in rest)


def _consists_of(*sets: set[str]) -> Callable[[str], bool]:
    known = set().union(*sets)
    return lambda name: bool(_words(name)) and _words(name) <= known


def _is_archive(name: str) -> bool:
    words = _words(name)
    numbered = any(word.isdecimal() for word in words)
    return (
        numbered
        and bool(words & (_ARCHIVE | _CONTAINERS))
        and all(word.isdecimal() or word in _ARCHIVE | _CONTAINERS | _IMAGING for word in words)
    )


def _is_person(name: str) -> bool:
    plain = name.strip().casefold()
    return any(each.fullmatch(plain) for each in (_PERSON, _NUMBER, _UID, _UUID)) and not _DATE.fullmatch(plain)


def _is_date(name: str) -> bool:
    plain = name.strip().casefold()
    return bool(_DATE.fullmatch(plain) or _YEAR.fullmatch(plain))


_RULES: tuple[tuple[Callable[[str], bool], float, str], ...] = (
    (_is_split, 0, "they are named like splits (training, validation, test)"),
    (_consists_of(_SPLITS, _WEAK_SPLITS), 1, "they are named like splits (training, validation, test)"),
    (is_mask_name, 0, "masks, labels and annotations are not classes of radiographs"),
    (_is_archive, 0.5, "they are named like parts of an archive"),
    (is_image_folder_name, 0, "their names only mean that they contain images"),
    (_is_person, 0.5, "they are named like patients, studies or series"),
    (_is_date, 0.5, "they are named like dates"),
    (_consists_of(_SIDES, _BODY, _IMAGING), 1, "they are named like body parts or sides"),
    (_consists_of(_VIEWS, _IMAGING), 1, "they are named like views"),
    (_consists_of(_SEXES), 1, "they are named like the sexes of patients"),
)
"""What fits a name, the share of the classes that it must fit, and what is said of them."""
