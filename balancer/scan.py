"""A labelled folder of X-rays to a `Collection`, with findings about what is wrong with it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from balancer.errors import CollectionError, ImageError
from balancer.files import sha256_of
from balancer.findings import (
    Finding,
    alike_class_names,
    clipped_by_loaders,
    duplicates,
    named_like_a_part,
    patients_in_two_parts,
    small_classes,
    unmatched,
    unreadable,
    wrong_extensions,
)
from balancer.folders import Found, labelled_files, require_folder
from balancer.images import Header, read_header
from balancer.shortcuts import shortcuts

COLUMNS = [
    "label",
    "part",
    "patient",
    "format",
    "mode",
    "bits",
    "width",
    "height",
    "size",
    "mtime_ns",
    "sha256",
    "sex",
    "age",
    "view",
]
ATTRIBUTES = ("sex", "age", "view")
"""What a table of patients may tell of an image: "female" or "male", years, and "PA", "AP" or "lateral"."""
DTYPES = {
    **dict.fromkeys(("label", "part", "patient", "format", "mode", "sha256", "sex", "view"), object),
    "age": float,
}
_UNKNOWN = (None, None, None)
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
    (missing where no table of patients tells them).
    """

    root: Path
    images: pd.DataFrame
    findings: tuple[Finding, ...]
    patient_pattern: str | None = None

    @property
    def labels(self) -> list[str]:
        """The classes, sorted as `ImageFolder` sorts them."""
        return sorted(self.images["label"].unique())

    @property
    def has_parts(self) -> bool:
        """Whether the collection comes with its own train, val or test folders."""
        return bool((self.images["part"] != "").any())


def scan(
    root: Path,
    patient: str | None = None,
    *,
    known: pd.DataFrame | None = None,
    progress: Progress = lambda done, total: None,
) -> Collection:
    """Read the headers of all images below `root`, in `CLASS/` or `train|val|test/CLASS/` folders.

    `patient` is a regular expression that is searched in each path below its class folder; its first group, or the
    whole match, names the patient. Rows of `known`, an earlier table, are taken over for files whose size and time did
    not change.

    Raises:
        CollectionError: not a folder, or without two classes of readable images; a bad expression.
    """
    expression = _compile(patient)
    findings: list[Finding] = []
    files = list(labelled_files(require_folder(root), findings))
    rows, broken = _read_rows(root, files, {} if known is None else _by_path(known), progress)
    findings += unreadable(root, ((str(each.paths[0]), each.message) for each in broken))
    images = _table(rows, files, expression)
    require_two_classes(root, images)
    _require_some_patient(images, patient)
    images["sha256"] = _hash_where_sizes_agree(root, images)
    findings += [*named_like_a_part(images)] if not images["part"].any() else []
    findings += [*duplicates(images), *patients_in_two_parts(images), *unmatched(images, patient)]
    findings += [*wrong_extensions(images), *clipped_by_loaders(images), *alike_class_names(images)]
    findings += [*small_classes(images), *shortcuts(images)]
    return Collection(root, images, tuple(findings), patient)


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
    return Collection(collection.root, images, collection.findings, collection.patient_pattern)


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


def _compile(patient: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(patient) if patient else None
    except re.error as error:
        raise CollectionError(
            needed="a regular expression that finds the patient in a file name",
            found=f"{patient!r}: {error}",
            next_step=r"put it in quotes, for example: balance scan DATA --patient '(p\d+)'",
        ) from error


def _read_rows(
    root: Path,
    files: Sequence[Found],
    known: Mapping[str, tuple[Header, int, int, str | None]],
    progress: Progress,
) -> tuple[dict[str, tuple[Header, str | None]], list[Finding]]:
    """Header and known hash of each readable file, and findings for the others."""

    def read(file: Found) -> tuple[Header, str | None] | ImageError:
        path, _, _, stat = file
        header, size, mtime, sha256 = known.get(path, (None, -1, -1, None))
        fresh = header is None or (size, mtime) != (stat.st_size, stat.st_mtime_ns)
        try:
            return (read_header(root / path), None) if fresh or header is None else (header, sha256)
        except ImageError as error:
            return error

    rows: dict[str, tuple[Header, str | None]] = {}
    broken: list[Finding] = []
    with ThreadPoolExecutor(1) as pool:
        for done, (file, result) in enumerate(zip(files, pool.map(read, files), strict=True), start=1):
            if isinstance(result, ImageError):
                broken.append(Finding("unreadable", (PurePosixPath(file[0]),), result.found, result.next_step))
            else:
                rows[file[0]] = result
            progress(done, len(files))
    return rows, broken


def _by_path(known: pd.DataFrame) -> dict[str, tuple[Header, int, int, str | None]]:
    columns = ("format", "mode", "bits", "width", "height", "size", "mtime_ns", "sha256")
    return {
        path: (Header(*row[:5]), row[5], row[6], None if pd.isna(row[7]) else row[7])
        for path, *row in zip(known.index, *(known[name] for name in columns), strict=True)
    }


def _table(
    rows: Mapping[str, tuple[Header, str | None]],
    files: Sequence[Found],
    patient: re.Pattern[str] | None,
) -> pd.DataFrame:
    records = [
        (
            label,
            part,
            _patient(path, part, label, patient),
            *astuple(rows[path][0]),
            stat.st_size,
            stat.st_mtime_ns,
            rows[path][1],
            *_UNKNOWN,
        )
        for path, part, label, stat in files
        if path in rows
    ]
    index = pd.Index([file[0] for file in files if file[0] in rows], dtype=object, name="path")
    return pd.DataFrame(records, index=index, columns=COLUMNS).astype(DTYPES)


def _patient(path: str, part: str, label: str, expression: re.Pattern[str] | None) -> str | None:
    if expression is None:
        return None
    below_class = path[len(f"{part}/{label}/" if part else f"{label}/") :]
    found = expression.search(below_class)
    return None if found is None else found.group(1 if expression.groups else 0)


def require_two_classes(root: Path, images: pd.DataFrame) -> None:
    """Raise a CollectionError where the readable images are not of two classes at least."""
    labels = sorted(images["label"].unique())
    if len(labels) >= 2:
        return
    raise CollectionError(
        needed="at least two class folders with readable images, as in FOLDER/CLASS/image.png "
        "(PNG, JPEG, TIFF, BMP or WebP)",
        found=f"{root}: " + (f"only the class {labels[0]!r}" if labels else "no class folder with a readable image"),
        next_step="point to the folder above the class folders: balance scan FOLDER",
    )


def _require_some_patient(images: pd.DataFrame, patient: str | None) -> None:
    if patient and images["patient"].isna().all():
        raise CollectionError(
            needed="an expression that finds the patient in the files' names",
            found=f"{patient} finds none, in {images.index[0]} for one",
            next_step="mend it, or leave it out and have the patients unknown: --patient ''",
        )


def _hash_where_sizes_agree(root: Path, images: pd.DataFrame) -> pd.Series:
    """Only files of the same size can be the same: the others need not be read to find duplicates."""
    needed = images.index[images["size"].duplicated(keep=False) & images["sha256"].isna()]
    found = _hash_all(root, list(needed), lambda done, total: None)
    return images["sha256"].where(images["sha256"].notna(), pd.Series(found, dtype=object).reindex(images.index))


def _hash_all(root: Path, paths: Sequence[str], progress: Progress) -> dict[str, str]:
    found: dict[str, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, sha256 in zip(paths, pool.map(lambda path: sha256_of(root / path), paths), strict=True):
            found[path] = sha256
            progress(len(found), len(paths))
    return found


def _require_unchanged(file: Path, path: str, size: int) -> None:
    now = file.stat().st_size if file.is_file() else None
    if now == size:
        return
    raise CollectionError(
        needed=f"the collection as it was scanned: {path} of {size} bytes",
        found="no such file" if now is None else f"{now} bytes",
        next_step="scan it again: balance scan FOLDER",
    )
