"""What can be wrong with a collection; each finder looks for one thing."""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from balancer.collection.guard import are_grades
from balancer.collection.label_sets import LabelSets
from balancer.collection.walk import canonical_part
from balancer.imaging.decode import EXTENSIONS
from balancer.imaging.dicom import PREAMBLE, is_dicom

KINDS = {
    "leak": "the same file is in two splits, so that test results are too good",
    "near-leak": "the same picture is in two splits: re-encoded, resized, brightened, cropped or mirrored (--deep)",
    "patient-leak": "images of one patient are in two splits",
    "label-conflict": "the same file is in two classes",
    "near-label-conflict": "the same picture is in two classes (--deep)",
    "suspected-label": "images whose label is probably wrong (balance labels)",
    "shortcut": "a property of the files is associated with one class, and may be learned instead of the disease",
    "unreadable": "a file is empty, truncated, damaged or not an image, and is not counted",
    "clipped-by-loaders": "files with more than 8 bits, which the usual loaders clip to white",
    "turned-by-exif": "files with an EXIF rotation, which some loaders apply and others ignore",
    "named-like-a-part": "file names that Hugging Face's loader takes for splits, so that it drops all other files",
    "alike-class-names": "class names that differ only in case or in Unicode form",
    "hidden-folder": "a hidden folder, which ImageFolder reads as a class",
    "contradicting-labels": "images that are marked as without a finding and have one",
    "not-in-training": "findings that only images of the validation or test split have",
    "several-labels": "images with several findings, or with none: each finding is counted for itself",
    "uncertain-labels": "labels that are marked as uncertain",
    "never-alone": "findings that no image has as its only one",
    "no-split": "images that no list or column assigns to a split",
    "rows-without-file": "rows of a table of labels whose file is missing",
    "numbered-classes": "classes whose names are numbers, such as grades: they give no text for a prompt",
    "unlabelled": "images without a label, which are not read",
    "empty-class": "a class folder without images",
    "few-images": "a class with fewer than 10 images",
    "few-patients": "a class with fewer than 5 known patients",
    "no-patient": "files without a patient in their name",
    "table-contradiction": "rows of the table of patients that contradict each other",
    "table-ambiguous": "files whose name fits several rows of the table of patients",
    "table-no-row": "files that are not in the table of patients",
    "table-unreadable": "values in the table of patients that cannot be read",
    "duplicate": "the same file more than once in a class",
    "near-duplicate": "the same picture more than once in a class (--deep)",
    "blank": "images with only one grey level (--deep)",
    "inverted": "negatives among upright images: bone is dark and air is bright (--deep)",
    "wrong-extension": "files whose extension does not match their format",
    "several-frames": "files with several frames, of which only the first is read (--deep)",
    "no-pixels": "DICOM files of another kind (reports, presentation states, PDF), which are not read",
    "derived-image": "DICOM secondary captures and derived images, whose values are not those of the device",
    "polarity-contradiction": "DICOM headers with two polarities; the photometric interpretation is used",
    "burned-in": "DICOM headers that report letters burnt into the image",
    "dicom-patient": "patient numbers in DICOM headers that do not distinguish patients",
    "excluded": "images that --exclude leaves out of training",
    "ignored-folder": "folders that are not read",
    "ignored-file": "files that are not read",
}
"""Every kind of finding of a scan, the worst first, with what it says."""
SAME_IMAGE = ("duplicate", "label-conflict", "leak", "near-duplicate", "near-label-conflict", "near-leak")
"""The kinds of which all files of a finding show one picture: they belong into one part."""
INSIDE = ("near-leak", "near-label-conflict", "near-duplicate", "blank", "inverted", "several-frames")
"""The kinds that only a look inside the files finds."""
FEW_IMAGES, FEW_PATIENTS = 10, 5
_TWO_LABELS = (
    "see which class is right; if both are, the collection has several labels on an image: list them in a table and "
    "leave the files where they are (balance scan FOLDER --labels TABLE --separator '|')"
)
_PART_WORD = re.compile(
    r"(?:^|[-._ 0-9/])(?:train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?:[-._ 0-9/]|$)"
)
_PART_STEMS = ("train", "val", "dev", "test")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the collection that its owner should know: which files, what of them, and the fix."""

    kind: str
    paths: tuple[PurePosixPath, ...]
    message: str
    fix: str


def duplicates(images: pd.DataFrame) -> Iterator[Finding]:
    """Files with the same content: in one class, across classes, across parts, or across both."""
    hashed = images[images["sha256"].notna()]
    for _, group in hashed[hashed["sha256"].duplicated(keep=False)].groupby("sha256", sort=False):
        paths = tuple(PurePosixPath(path) for path in group.index)
        labels, parts = group["label"].nunique(), group["part"].nunique()
        if labels > 1:
            yield Finding("label-conflict", paths, "the same image in two classes", _TWO_LABELS)
        if parts > 1:
            yield Finding("leak", paths, "the same image in two splits", "keep it in only one split")
        if labels == parts == 1:
            yield Finding("duplicate", paths, "the same image more than once", "keep one of them")


def near_duplicates(images: pd.DataFrame, groups: Iterable[Sequence[str]]) -> Iterator[Finding]:
    """Groups of files that show the same picture, where their bytes are not all the same."""
    for group in groups:
        places = images.index.get_indexer(
            pd.Index(group, dtype=object)
        )  # a table of each group would take longer than to find it
        hashes, labels, parts = (set(images[name].to_numpy()[places]) for name in ("sha256", "label", "part"))
        if len(hashes) == 1 and not pd.isna(next(iter(hashes))):
            continue
        paths = tuple(map(PurePosixPath, group))
        if len(labels) > 1:
            yield Finding("near-label-conflict", paths, "nearly the same image in two classes", _TWO_LABELS)
        if len(parts) > 1:
            yield Finding("near-leak", paths, "nearly the same image in two splits", "keep it in only one split")
        if len(labels) == len(parts) == 1:
            yield Finding("near-duplicate", paths, "nearly the same image more than once", "keep the best of them")


def patients_in_two_parts(images: pd.DataFrame) -> Iterator[Finding]:
    """Patients who have images in more than one split of the collection."""
    if images["part"].nunique() < 2:
        return
    parts: dict[str, set[str]] = defaultdict(set)
    for patient, part in images[["patient", "part"]].dropna().drop_duplicates().itertuples(index=False):
        parts[patient].add(part)
    shared = [patient for patient, found in parts.items() if len(found) > 1]
    if shared:
        paths = tuple(PurePosixPath(path) for path in images.index[images["patient"].isin(shared)])
        message = f"{len(shared)} patients are in more than one split, for example {shared[0]!r}"
        fix = "check --patient; if it is right, move all images of a patient into one split"
        yield Finding("patient-leak", paths, message, fix)


def named_like_a_part(images: pd.DataFrame) -> Iterator[Finding]:
    """File names of a flat collection that Hugging Face's loader takes for splits, and then drops all others."""
    names = "\n".join(images.index.tolist())
    if not any(word in names for word in _PART_STEMS):  # so in most collections
        return
    named = images.index[[_PART_WORD.search(path) is not None for path in images.index]]
    if len(named):
        message = "load_dataset takes these names for splits and silently drops all other files"
        fix = "rename them, or let balance fill create splits (do not use --no-holdout)"
        yield Finding("named-like-a-part", tuple(map(PurePosixPath, named)), message, fix)


def unmatched(images: pd.DataFrame, patient: str | None) -> Iterator[Finding]:
    """Files in which the expression found no patient."""
    unmatched = images.index[images["patient"].isna()]
    if patient and len(unmatched):
        message = f"--patient {shlex.quote(patient)} finds no patient in {len(unmatched)} of {len(images)} files"
        yield Finding(
            "no-patient",
            tuple(map(PurePosixPath, unmatched)),
            message,
            "change the expression so that it fits these files too",
        )


def unreadable(root: Path, faults: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Files that cannot be read, (path, what the decoder says) each, told apart by what is wrong with them."""
    by_cause: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path, fault in faults:
        by_cause[_cause(root / path, fault)].append((path, fault))
    for cause, (message, fix) in _UNREADABLE.items():
        if found := by_cause.get(cause):
            words = message.format(found[0][1])
            yield Finding("unreadable", tuple(PurePosixPath(path) for path, _ in found), words, fix)


_UNREADABLE = {
    "empty": ("empty: a file of 0 bytes", "copy it again from its source, or remove it"),
    "no image": (
        "not an image: not PNG, JPEG, TIFF, BMP, WebP or DICOM ({})",
        "convert X-rays to PNG (8 or 16 bit), and remove the rest",
    ),
    "too large": (
        "too large to decode ({})",
        "make smaller copies of X-rays, and remove the rest",
    ),
    "truncated": ("truncated: the end of the file is missing ({})", "copy it again from its source, or remove it"),
    "packed": ("it cannot be decoded here ({})", "install the package that is named, or convert the file"),
    "no pixels": ("DICOM without pixels ({})", "export it again with its pixels, or remove it"),
    "damaged": ("damaged: it cannot be decoded ({})", "repair or remove it"),
    "closed": ("no permission to read it ({})", "ask its owner for permission to read it"),
}
_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM", b"RIFF")
_TOO_MUCH = ("too large", "too much data", "passes")
_SAID_BY_DICOM = {"cannot be decoded (": "packed", "no pixels": "no pixels"}
_CUT = ("truncated", "not enough", "unexpected end", "premature", "less than expected", "end of file")


def _cause(path: Path, fault: str) -> str:
    try:
        with path.open("rb") as file:
            beginning = file.read(PREAMBLE)
    except OSError:
        return "closed"
    if not beginning:
        return "empty"
    if not beginning.startswith(_BEGINNINGS) and not is_dicom(beginning):
        return "no image"
    for words, cause in _SAID_BY_DICOM.items():
        if words in fault:
            return cause
    if any(words in fault for words in _TOO_MUCH):
        return "too large"
    return "truncated" if any(word in fault.lower() for word in _CUT) or _lacks_its_end(path) else "damaged"


def _lacks_its_end(path: Path) -> bool:
    """Whether a PNG or JPEG lacks the mark that ends every one, or a WebP is shorter than it says."""
    with path.open("rb") as file:
        beginning, size = file.read(8), file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 64))
        end = file.read(64)
    if beginning.startswith(b"\x89PNG"):
        return b"IEND" not in end
    if beginning.startswith(b"RIFF"):
        return int.from_bytes(beginning[4:], "little") + 8 > size
    return beginning.startswith(b"\xff\xd8\xff") and b"\xff\xd9" not in end


def wrong_extensions(images: pd.DataFrame) -> Iterator[Finding]:
    """Files whose content is of another format than their extension says."""
    names = [path[path.rfind(".") :].lower() for path in images.index.tolist()]  # a Path takes ten times as long
    extensions = pd.Series(names, images.index, dtype=object)
    formats = images["format"].replace("MPO", "JPEG")  # a JPEG with a second one behind it
    plain = (formats == "DICOM") & ~extensions.isin(list(EXTENSIONS))  # archives give no suffix
    wrong = formats[(formats != extensions.map(EXTENSIONS)) & ~plain]
    if len(wrong):
        pairs = Counter(zip(extensions[wrong.index], wrong, strict=True))
        message = "extension and format differ: " + ", ".join(
            f"{count} {name} called {extension}" for (extension, name), count in pairs.most_common(3)
        )
        fix = "rename them: programs that rely on the extension fail on them or misread them"
        yield Finding("wrong-extension", tuple(map(PurePosixPath, wrong.index)), message, fix)


def clipped_by_loaders(images: pd.DataFrame) -> Iterator[Finding]:
    """Files of more than 8 bits a pixel, of which Pillow's conversion to RGB makes all above 255 white."""
    clipped = images.index[images["mode"].str.match(r"I$|I;|F$")]
    if len(clipped):
        message = "more than 8 bits per pixel: torchvision's ImageFolder clips every value above 255 to white"
        fix = (
            "give ImageFolder a loader that rescales, such as "
            'loader=lambda p: Image.fromarray(balancer.imaging.decode.read_grey(Path(p))).convert("RGB"); '
            "balance itself reads them correctly"
        )
        yield Finding("clipped-by-loaders", tuple(map(PurePosixPath, clipped)), message, fix)


def turned_by_exif(paths: Sequence[str], count: int) -> Iterator[Finding]:
    """Files whose EXIF tag asks a viewer to turn or mirror them, of so many in all."""
    if paths:
        message = (
            f"EXIF turns {len(paths)} of {count} images: Hugging Face's loader turns them, torchvision's ImageFolder "
            "and balance take the pixels as they are stored"
        )
        fix = (
            "look at some, then save the pixels as they are to be seen, without the tag, for example in a copy of the "
            "collection: mogrify -auto-orient FILES"
        )
        yield Finding("turned-by-exif", tuple(map(PurePosixPath, paths)), message, fix)


def numbered_classes(images: pd.DataFrame) -> Iterator[Finding]:
    """Classes that are small numbers."""
    labels = sorted(images["label"].unique())
    if are_grades(labels):
        message = f"the classes are numbers, {', '.join(labels)}: their meaning is not known"
        fix = "describe them in a template pack: balance prompts --new FILE.yaml, then: balance fill --pack FILE.yaml"
        yield Finding("numbered-classes", (), message, fix)


def alike_class_names(images: pd.DataFrame) -> Iterator[Finding]:
    """Classes whose names differ only in case or in how Unicode writes a letter."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in sorted(images["label"].unique()):
        alike[unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())].append(label)
    for labels in alike.values():
        if len(labels) > 1:
            folders = images.loc[images["label"].isin(labels), ["part", "label"]].drop_duplicates()
            paths = tuple(PurePosixPath(part, label) for part, label in folders.itertuples(index=False))
            message = f"{len(labels)} classes whose names look alike: {', '.join(map(ascii, labels))}"
            yield Finding("alike-class-names", paths, message, "merge them, or give them clearly different names")


def small_classes(images: pd.DataFrame) -> Iterator[Finding]:
    """Classes of too few images, or of too few patients where those of all its images are known."""
    for label, rows in images.groupby("label"):
        if len(rows) < FEW_IMAGES:
            paths = tuple(map(PurePosixPath, rows.index))
            message = f"{label} has {len(rows)} image{'s' if len(rows) > 1 else ''}, fewer than {FEW_IMAGES}"
            yield Finding("few-images", paths, message, "collect more: this is too few to train or to test")
        patients = rows["patient"].nunique()
        if rows["patient"].notna().all() and patients < FEW_PATIENTS:
            paths = tuple(map(PurePosixPath, rows.index))
            message = f"{label} has {patients} patient{'s' if patients > 1 else ''}, fewer than {FEW_PATIENTS}"
            fix = "collect more: a test by patient is not possible, and a network memorises these patients"
            yield Finding("few-patients", paths, message, fix)


def about_label_sets(images: pd.DataFrame, sets: LabelSets) -> Iterator[Finding]:
    """What is wrong with images of several findings: contradictions, and findings that are hard to learn or to make."""
    both = sets.contradicting()
    if len(both):
        message = f"{len(both)} images are marked {sets.nothing!r} and have a finding; the finding counts"
        yield Finding("contradicting-labels", tuple(map(PurePosixPath, both)), message, "correct the table, scan again")
    parts = images["part"].map(canonical_part)
    trained, has = ~parts.isin(["val", "test"]), sets.has()
    absent = has.columns[(has.any() & ~has[trained.to_numpy()].any()).to_numpy()]
    if len(absent):
        message = f"no training image has {', '.join(map(repr, absent))}: nothing can be learned or generated of it"
        fix = "put patients with it into the training split, or leave the column out"
        yield Finding("not-in-training", tuple(map(PurePosixPath, images.index[has[absent].any(axis=1)])), message, fix)
    if alone := sets.never_alone():
        some = ", ".join(f"{name!r} (most often with {other!r})" for name, other in alone.items())
        message = f"never the only finding of an image: {some}"
        yield Finding("never-alone", (), message, "none needed: new images have it together with other findings")


def blank(paths: Sequence[str]) -> Iterator[Finding]:
    """Images in which nothing is to be seen."""
    if paths:
        message = "blank: only one grey level"
        yield Finding("blank", tuple(map(PurePosixPath, paths)), message, "remove them")


def negatives(paths: Sequence[str]) -> Iterator[Finding]:
    """Images that are the negatives of what the others show."""
    if paths:
        message = f"{len(paths)} images look like negatives of the others: a generator would learn both"
        fix = "invert them in the collection (new = brightest value - old), or take them out"
        yield Finding("inverted", tuple(map(PurePosixPath, paths)), message, fix)


def several_frames(paths: Sequence[str]) -> Iterator[Finding]:
    """Animated files, and those of several pages."""
    if paths:
        message = "several frames or pages in one file: only the first is read"
        yield Finding("several-frames", tuple(map(PurePosixPath, paths)), message, "save only the frame that you need")


def empty_class(folder: Path, ignored: int) -> Finding:
    """A class folder in which there is no image."""
    what = f"none of its {ignored} files is a supported image" if ignored else "it is empty"
    message = f"class folder without images: {what}; it does not count as a class"
    return Finding("empty-class", (PurePosixPath(folder.as_posix()),), message, "add images, or remove the folder")


def ignored_files(paths: Sequence[str]) -> Finding:
    """Files in class folders that are not read as images."""
    kinds = Counter(PurePosixPath(path).suffix.lower() or "no extension" for path in paths)
    message = "not read: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    fix = "convert X-rays to PNG (8 or 16 bit); ignore the rest"
    return Finding("ignored-file", tuple(map(PurePosixPath, paths)), message, fix)
