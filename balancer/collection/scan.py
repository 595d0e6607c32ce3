"""A labelled folder of X-rays to a `Collection`, with findings about what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from balancer.collection.findings import (
    INSIDE,
    Finding,
    about_label_sets,
    alike_class_names,
    clipped_by_loaders,
    duplicates,
    named_like_a_part,
    numbered_classes,
    patients_in_two_parts,
    small_classes,
    turned_by_exif,
    unmatched,
    unreadable,
    wrong_extensions,
)
from balancer.collection.join_metadata import fill_in, take_over
from balancer.collection.label_sets import LabelSets
from balancer.collection.listed import label_sets, listed
from balancer.collection.metadata_table import PatientTable, TableRef
from balancer.collection.pseudonyms import Pseudonyms
from balancer.collection.several_labels import a_row_for_each_label
from balancer.collection.shortcuts import SEEN_INSIDE, shortcuts
from balancer.collection.sources.advice import require_sound, too_few_classes
from balancer.collection.sources.dicom_headers import DicomHeaders, WithHeaders
from balancer.collection.sources.folders import Folders, without_copies
from balancer.collection.sources.path_pattern import THE_PATH
from balancer.collection.sources.reading import FINDINGS, Reading, Source, SourceRef
from balancer.collection.walk import Listing, list_files, require_folder
from balancer.errors import CollectionError, ImageError
from balancer.files import sha256_of
from balancer.imaging.headers import read_headers
from balancer.parallel import in_threads

ATTRIBUTES = ("sex", "age", "view")
"""What a table of patients may tell of an image: "female" or "male", years, and "PA", "AP" or "lateral"."""
_SOMETIMES = 256  # files between two calls of progress, which costs more than a file
_HEADER = ("format", "mode", "bits", "width", "height", "sha256")
Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One real image: its path relative to the collection (with `/`), label, patient and content hash."""

    path: str
    label: str
    patient: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Collection:
    """A scanned collection.

    `images` has one row a file, indexed by its path relative to `root` (text, `/`): label, part (the folder of a
    split layout as it is called on disk, else ""), patient (missing where unknown), format, mode, bits, width,
    height (pixels), size (bytes), mtime_ns, sha256 (missing until read), and the `ATTRIBUTES` sex, age and view
    (missing where no table of patients tells them), labels (all of an image's labels as JSON, missing where its class
    says it all) and told (what a source tells, in its own words, as JSON). `table` is the table of patients that was
    used, `source` where the labels come from; without one, from folders. `label_sets` are there where images have
    several findings: then the column label has the name of each image's set.
    """

    root: Path
    images: pd.DataFrame
    findings: tuple[Finding, ...]
    patient_pattern: str | None = None
    table: TableRef | None = None
    source: SourceRef | None = None
    label_sets: LabelSets | None = None

    @property
    def labels(self) -> list[str]:
        """The classes, sorted as `ImageFolder` sorts them; of images with several findings, those that any has."""
        if self.label_sets is None:
            return sorted(self.images["label"].unique())
        return [name for name, count in self.label_sets.only(self.images.index).counts().items() if count]

    @property
    def classes(self) -> list[str]:
        """What is made and merged under one name: the classes, or where images have several findings their sets."""
        return sorted(self.images["label"].unique())

    @property
    def is_multi_label(self) -> bool:
        """Whether images have several findings, or none, and nobody said which one class they are of."""
        return self.label_sets is not None

    @property
    def by_folder(self) -> bool:
        """Whether a file's folder is its class, so that the files can be laid out as they are."""
        return self.source is None or self.source.by_folder

    @property
    def patient_source(self) -> str | None:
        """Where the patients are known from: the expression, else the table's column; None when nowhere."""
        told = [each.columns["patient"] for each in (self.table, self.source) if each and "patient" in each.columns]
        return self.patient_pattern or (f"column {told[0]}" if told else None)

    @property
    def has_parts(self) -> bool:
        """Whether the collection comes with its own train, val or test folders."""
        return bool((self.images["part"] != "").any())


def scan(
    root: Path,
    patient: str | None = None,
    *,
    source: Source | None = None,
    options: Mapping[str, Any] | None = None,
    as_is: bool = False,
    known: Collection | None = None,
    table: PatientTable | TableRef | None = None,
    pseudonyms: Pseudonyms | None = None,
    progress: Progress = lambda done, total: None,
) -> Collection:
    """Read the headers of all images below `root`, in `CLASS/` or `train|val|test/CLASS/` folders.

    `source` tells labels otherwise, `options` are how it was asked for. Folders that look like anything but classes are
    refused, unless `as_is`.

    `patient` is a regular expression that is searched in each path below its class folder; its first group, or the
    whole match, names the patient. What `known`, an earlier scan, tells of a file is taken over if its size and time
    did not change. `table` tells of patients; of a mere reference, to a table that is gone, what `known` holds of it is
    kept. `pseudonyms` take the place of patients that headers and tables tell.

    Raises:
        CollectionError: not a folder, or without two classes of readable images; folders that look like no classes; a
            bad expression.
        TableError: no row of the table fits an image.
    """
    expression = _compile(patient)
    findings: list[Finding] = []
    listing, copies = without_copies(list_files(require_folder(root)))
    reading = _read(listing, source, as_is).left_out(
        copies, "second_copy", "contains a second copy of the files beside it"
    )
    findings += reading.findings
    sets = label_sets(reading)
    ref, origin = table.ref if isinstance(table, PatientTable) else table, reading.ref(options or {})
    if sets is not None:
        origin = replace(origin, labels=list(sets.marks.columns), nothing=sets.nothing)
    asked = (patient or None, ref, origin)
    same = known is not None and (sets is None) == (known.label_sets is None)
    if same and known is not None and asked == _asked_before(known) and _are_the_same(reading.listing, known):
        by_path = bool(patient) or origin.columns.get("patient") == THE_PATH
        images = known.images if pseudonyms is None or by_path else pseudonyms.of_patients(known.images)
        findings += _of_images(known)
        found = tuple(dict.fromkeys(findings))
        return replace(known, root=root, images=images, findings=found, label_sets=sets and sets.only(images.index))
    images, unread = listed(reading, sets)
    images, faults, orientations = _with_headers(root, images, None if known is None else known.images, progress)
    findings += [*unread, *unreadable(root, faults)]
    require_two_classes(root, images, listing, faults)
    before = images["patient"]
    images["patient"] = _patients(images, expression, by_folder=reading.by_folder)
    by_path = reading.columns.get("patient") == THE_PATH
    from_names = images["patient"].notna() & (by_path | ((expression is not None) & before.isna()))
    _require_some_patient(images, patient)
    if isinstance(table, PatientTable):
        images, about_table = fill_in(images, table)
        findings += about_table
    elif table is not None and known is not None:
        images = take_over(images, known.images, table)
    images = images if pseudonyms is None else pseudonyms.of_patients(images, from_names)
    images["sha256"] = _hash_where_sizes_agree(root, images)
    findings += [*named_like_a_part(images)] if not images["part"].any() else []
    findings += [*duplicates(images), *patients_in_two_parts(images), *unmatched(images, patient)]
    findings += [*wrong_extensions(images), *clipped_by_loaders(images), *_turned(images, orientations, known)]
    sets = None if sets is None else sets.only(images.index)
    findings += about_classes(images, sets)
    return Collection(root, images, tuple(findings), patient or None, ref, origin, sets)


def about_classes(images: pd.DataFrame, sets: LabelSets | None = None) -> list[Finding]:
    """What is to be said of the classes; of images with several findings, of each of these."""
    each = images if sets is None else a_row_for_each_label(images)
    found = [*alike_class_names(each), *numbered_classes(each), *small_classes(each)]
    return [*found, *shortcuts(images)] if sets is None else [*found, *about_label_sets(images, sets)]


def samples(images: pd.DataFrame) -> list[Sample]:
    """The rows of a table of images as `Sample`s; all hashes must be known."""
    columns = [images.index, images["label"], images["patient"], images["sha256"]]
    return [
        Sample(path, label, None if pd.isna(patient) else patient, sha256)
        for path, label, patient, sha256 in zip(*columns, strict=True)
    ]


def with_hashes(
    collection: Collection, paths: Iterable[str], progress: Progress = lambda done, total: None
) -> Collection:
    """The same collection with the content hashes of `paths` filled in.

    Raises:
        CollectionError: a file is gone, or has another size than when it was scanned.
    """
    wanted = collection.images.loc[list(paths)]
    for path, size in zip(wanted.index, wanted["size"], strict=True):
        _require_unchanged(collection.root / path, path, size)
    missing = wanted[wanted["sha256"].isna()]
    images = collection.images.copy()
    found = _hash_all(collection.root, list(missing.index), progress)
    images.loc[list(found), "sha256"] = pd.Series(found, dtype=object)
    return replace(collection, images=images)


def patient_groups(images: pd.DataFrame, count: int = 4) -> list[tuple[str, int, tuple[str, ...]]]:
    """Some of the patients found: the largest groups and the typical one, each with its size and first file names.

    They show whether the expression for patients is right.
    """
    sizes = images.groupby("patient").size().sort_values(ascending=False, kind="stable")
    order = [*sizes.index[: count - 1], *sizes.index[len(sizes) // 2 :]][:count]
    chosen = list(dict.fromkeys(order))
    return [(str(name), int(sizes[name]), _first_names(images, str(name))) for name in chosen]


def _first_names(images: pd.DataFrame, patient: str) -> tuple[str, ...]:
    return tuple(images.index[images["patient"] == patient][:3])


def _read(listing: Listing, source: Source | None, as_is: bool) -> Reading:
    """What the source tells of the files, unless it looks wrong."""
    if not listing.paths:
        raise too_few_classes(listing.root, [], listing)
    reading = (source or WithHeaders(Folders(), DicomHeaders(str(listing.root)))).read(listing)
    if not as_is:
        require_sound(listing, reading)
    if not listing.shadows:
        return reading
    message = f"{len(listing.shadows)} files that macOS writes beside images are not read"
    found = Finding("ignored-file", tuple(map(PurePosixPath, listing.shadows)), message, "remove them")
    return reading.with_ignored({"macos": len(listing.shadows)}, found)


def _compile(patient: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(patient) if patient else None
    except re.error as error:
        raise CollectionError(
            needed="a regular expression that finds the patient in a file name",
            found=f"{patient!r}: {error}",
            next_step=r"use quotes, for example: balance scan DATA --patient '(p\d+)'",
        ) from error


def _asked_before(known: Collection) -> tuple[object, ...]:
    return known.patient_pattern, known.table, known.source or SourceRef()


def _are_the_same(listing: Listing, known: Collection) -> bool:
    """Whether not one file came, went or changed, and all of them could be read."""
    images = known.images
    return (
        listing.paths == images.index.tolist()
        and np.array_equal(np.array(listing.sizes), images["size"].to_numpy())
        and np.array_equal(np.array(listing.times), images["mtime_ns"].to_numpy())
    )


def _of_images(known: Collection) -> Iterator[Finding]:
    """What a scan finds in names and headers: neither in the folders and tables nor inside the images."""
    inside = (*FINDINGS, *INSIDE)
    return (each for each in known.findings if each.kind not in inside and each.fix not in SEEN_INSIDE)


def _with_headers(
    root: Path, images: pd.DataFrame, known: pd.DataFrame | None, progress: Progress
) -> tuple[pd.DataFrame, list[tuple[str, str]], dict[str, int]]:
    """The table with headers, taken over where a file did not change, else read; and what is wrong with the others.

    The orientation of each file that was read comes with them.
    """
    fresh = np.ones(len(images), bool)
    told = {name: np.full(len(images), None, object) for name in _HEADER}
    columns = tuple(told.values())
    if known is not None and len(known):
        where = known.index.get_indexer(images.index)
        fresh = where < 0
        for name in ("size", "mtime_ns"):
            fresh |= known[name].to_numpy()[where] != images[name].to_numpy()
        for name, values in told.items():
            values[~fresh] = known[name].to_numpy()[where[~fresh]]
    shared = images["size"].duplicated(keep=False).to_numpy()  # only these can be exact duplicates
    paths = images.index.to_numpy()[fresh].tolist()
    rows = read_headers(root, zip(paths, shared[fresh].tolist(), strict=True))
    known_already, broken, orientations = len(images) - len(paths), list[tuple[str, str]](), dict[str, int]()
    for done, (place, path, row) in enumerate(zip(np.flatnonzero(fresh).tolist(), paths, rows, strict=True), start=1):
        if isinstance(row, ImageError):
            broken.append((path, row.found))
        else:
            for values, value in zip(columns, row[:-1], strict=True):
                values[place] = value
            orientations[path] = row[-1]
        if done % _SOMETIMES == 0 or done == len(paths):
            progress(known_already + done, len(images))
    images = images.assign(**{name: pd.Series(values, images.index, dtype=object) for name, values in told.items()})
    images = images[images["format"].notna()] if broken else images
    return images.astype({"bits": np.int64, "width": np.int64, "height": np.int64}), broken, orientations


def _turned(images: pd.DataFrame, orientations: Mapping[str, int], known: Collection | None) -> Iterator[Finding]:
    """Files that EXIF has turned: of those read now, and of those that an earlier scan found and that are unchanged."""
    before = [] if known is None else [each for each in known.findings if each.kind == "turned-by-exif"]
    paths = {str(path) for finding in before for path in finding.paths if str(path) not in orientations}
    paths |= {path for path, orientation in orientations.items() if orientation != 1}
    yield from turned_by_exif([path for path in images.index if path in paths] if paths else [], len(images))


def _patients(images: pd.DataFrame, expression: re.Pattern[str] | None, *, by_folder: bool = True) -> pd.Series:
    """The patient that the expression finds in each path, below its class folder; else the one that is known."""
    if expression is None:
        return images["patient"]
    group, search = (1 if expression.groups else 0), expression.search
    labels, parts = images["label"].tolist(), images["part"].tolist()
    starts = (len(label) + 1 + (len(part) + 1 if part else 0) for label, part in zip(labels, parts, strict=True))
    paths = images.index.tolist()
    found = [search(path[start:] if by_folder else path) for path, start in zip(paths, starts, strict=True)]
    named = pd.Series([match and match.group(group) for match in found], images.index, dtype=object)
    return named if images["patient"].isna().all() else named.where(named.notna(), images["patient"])


def require_two_classes(
    root: Path, images: pd.DataFrame, listing: Listing | None = None, faults: Sequence[tuple[str, str]] = ()
) -> None:
    """Raise a CollectionError where the readable images are not of two classes at least.

    `faults` are the files that cannot be read, and why.
    """
    if images["label"].nunique() < 2:
        raise too_few_classes(root, sorted(images["label"].unique()), listing or Listing(root), faults)


def _require_some_patient(images: pd.DataFrame, patient: str | None) -> None:
    if patient and images["patient"].isna().all():
        raise CollectionError(
            needed="an expression that finds the patient in the file names",
            found=f"{patient} finds none, for example in {images.index[0]} for one",
            next_step="correct it, or continue without known patients: --patient ''",
        )


def _hash_where_sizes_agree(root: Path, images: pd.DataFrame) -> pd.Series:
    """Only files of the same size can be the same: the others need not be read to find duplicates."""
    needed = images.index[images["size"].duplicated(keep=False) & images["sha256"].isna()]
    found = _hash_all(root, list(needed), lambda done, total: None)  # not many: what was read just now has its hash
    hashes = images["sha256"].copy()
    hashes.loc[list(found)] = list(found.values())
    return hashes


def _hash_all(root: Path, paths: Sequence[str], progress: Progress) -> dict[str, str]:
    return dict(zip(paths, in_threads(lambda path: sha256_of(root / path), paths, progress), strict=True))


def _require_unchanged(file: Path, path: str, size: int) -> None:
    now = file.stat().st_size if file.is_file() else None
    if now == size:
        return
    raise CollectionError(
        needed=f"the collection as it was scanned: {path} of {size} bytes",
        found="no such file" if now is None else f"{now} bytes",
        next_step="scan it again: balance scan FOLDER",
    )
