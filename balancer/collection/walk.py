"""All files below a root: which may be images, and which are not read."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import accumulate, compress
from operator import attrgetter
from pathlib import Path
from stat import S_ISREG

from balancer.errors import CollectionError
from balancer.imaging.decode import EXTENSIONS
from balancer.imaging.dicom import starts_as_dicom

MACOS = "__MACOSX"
"""The folder in which macOS puts what belongs to the files of an archive; a shadow of each, none an image."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies below a root; all paths are relative to it and sorted.

    `paths` are the files that may be images, `sizes` in bytes, `times` of the last change in ns: columns instead of
    rows, since a million rows of Python objects are slow to make and to keep. `runs` are the folders of paths that
    follow each other ("" for the root), each with how many: a folder occurs twice where another lies in between.
    `others` are files that are not read, `folders` all that were entered, `hidden` and `unnamed` (no valid Unicode)
    those that were not; `shadows` are files that macOS writes beside images.
    """

    root: Path
    paths: list[str] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    times: array[int] = field(default_factory=lambda: array("q"))
    runs: list[tuple[str, int]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    shadows: list[str] = field(default_factory=list)

    def placed(self) -> Iterator[tuple[str, int, int]]:
        """Each run with the places of its paths: the first, and the one behind the last."""
        ends = accumulate(count for _, count in self.runs)
        return ((folder, end - count, end) for (folder, count), end in zip(self.runs, ends, strict=True))

    def without(self, globs: tuple[str, ...]) -> tuple[Listing, list[str]]:
        """Return the listing without the paths that match a glob, and the matching paths.

        A glob without a slash is compared with each folder's and file's name, another with the whole path.

        >>> Listing(Path(), ["a/masks/1.png"], runs=[("a/masks", 1)]).without(("masks",))[1]
        ['a/masks/1.png']
        """
        left = [not any(_fits(path, glob) for glob in globs) for path in self.paths]
        if all(left):
            return self, []
        out = [path for path, stays in zip(self.paths, left, strict=True) if not stays]
        return self.only(left), out

    def of_runs(self, kept: list[bool]) -> Listing:
        """The listing with only the paths of the chosen runs."""
        if all(kept):
            return self
        return self.only([stays for (_, count), stays in zip(self.runs, kept, strict=True) for _ in range(count)])

    def only(self, kept: list[bool]) -> Listing:
        """The listing with only the chosen paths."""
        runs = [(folder, sum(kept[start:end])) for folder, start, end in self.placed()]
        columns = (list(compress(self.paths, kept)), *(array("q", compress(each, kept)) for each in self._numbers()))
        rest = (self.others, self.folders, self.hidden, self.unnamed, self.shadows)
        return Listing(self.root, *columns, [run for run in runs if run[1]], *rest)  # type: ignore[arg-type, call-arg]

    def _numbers(self) -> tuple[array[int], array[int]]:
        return self.sizes, self.times


PART_NAMES = {
    "train": ("train", "training", "trn", "tr"),
    "val": ("val", "valid", "validate", "validation", "dev"),
    "test": ("test", "testing", "tst", "eval", "evaluation"),
}


def canonical_part(folder: str) -> str | None:
    """`train`, `val` or `test` for a folder that is called so or by a usual synonym.

    >>> canonical_part("Validation"), canonical_part("NORMAL")
    ('val', None)
    """
    return next((part for part, names in PART_NAMES.items() if folder.casefold() in names), None)


def require_folder(root: Path) -> Path:
    """The collection's root, if there is such a folder.

    Raises:
        CollectionError: there is none, or its name is not valid Unicode.
    """
    if root.is_dir() and _is_text(str(root)):
        return root
    raise CollectionError(
        needed="a folder that holds a folder of X-rays for each class",
        found=f"{as_unicode(str(root))}: {_what_is(root)}",
        next_step="balance scan FOLDER",
    )


def _what_is(root: Path) -> str:
    if root.is_dir():
        return "its name is not valid Unicode"
    return "a file" if root.exists() else "nothing there"


def list_files(root: Path) -> Listing:
    """Walk through all folders below `root`; nothing is opened.

    Raises:
        CollectionError: the root may not be read.
    """
    found = Listing(root)
    try:
        _walk(str(root), "", found)
    except PermissionError as error:
        raise CollectionError(
            needed="permission to read the folder",
            found=str(root),
            next_step="ask its owner, or run as a user who may: balance scan FOLDER",
        ) from error
    return found


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116
    return status.st_dev, status.st_ino


def _walk(folder: str, below: str, found: Listing) -> None:
    """Collect a folder's files and those of the folders in it; `below` is its path with a slash, "" for the root."""
    files, folders = [], []  # type: ignore[var-annotated]
    with os.scandir(folder) as entries:
        for entry in entries:
            (folders if _is_folder(entry) else files).append(entry)
    files.sort(key=attrgetter("name"))
    start = 0
    for inner in sorted(folders, key=lambda entry: f"{entry.name}/"):
        end = start
        while end < len(files) and files[end].name < f"{inner.name}/":  # so that all paths are sorted
            end += 1
        _take(files[start:end], below, found)
        _enter(inner, f"{below}{inner.name}", found)
        start = end
    _take(files[start:] if start else files, below, found)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _enter(inner: os.DirEntry[str], path: str, found: Listing) -> None:
    if inner.name == MACOS:
        found.shadows.extend(_images_in(inner.path, path))
    elif inner.name[0] == ".":
        found.hidden.append(path)
    elif not _is_text(inner.name):
        found.unnamed.append(as_unicode(path))
    else:
        try:
            if inner.is_symlink() and _leads_up(found.root, path):
                return
            found.folders.append(path)
            _walk(inner.path, f"{path}/", found)
        except OSError:  # it may not be read
            found.others.append(path)


def _leads_up(root: Path, path: str) -> bool:
    """Whether a link leads to a folder that it lies in."""
    pieces = path.split("/")
    return _identity(root / path) in (_identity(root.joinpath(*pieces[:count])) for count in range(len(pieces)))


def _images_in(folder: str, below: str) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        inner = os.path.relpath(place, folder)
        yield from (f"{below}/{inner}/{name}" for name in sorted(names) if is_image_name(name))


def _take(files: list[os.DirEntry[str]], below: str, found: Listing) -> None:
    """Add a folder's files, sorted by name: those that may be images, and the others."""
    paths, sizes, times, before = found.paths, found.sizes, found.times, len(found.paths)
    for entry in files:
        name = entry.name
        if name[0] == ".":
            if name.startswith("._") and is_image_name(name):
                found.shadows.append(f"{below}{name}")
            continue
        try:
            if _may_be_image(name, entry.path) and (name.isascii() or _is_text(name)):
                status = entry.stat()
                if S_ISREG(status.st_mode):
                    paths.append(f"{below}{name}")
                    sizes.append(status.st_size)
                    times.append(status.st_mtime_ns)
                    continue
        except OSError:  # a link to itself, or to nothing
            pass
        found.others.append(f"{below}{name}")
    if len(paths) > before:
        found.runs.append((below[:-1], len(paths) - before))


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as that of an image."""
    return name[name.rfind(".") :].lower() in EXTENSIONS


def _may_be_image(name: str, path: str) -> bool:
    """Whether a file is called as an image, or is DICOM without a suffix, as archives write it (`1.2.840.113`)."""
    suffix = name[name.rfind(".") :].lower()
    return suffix in EXTENSIONS or (("." not in name or suffix[1:].isdigit()) and starts_as_dicom(path))


def as_unicode(name: str) -> str:
    """A name that is no valid Unicode, as text."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_text(name: str) -> bool:
    """Whether a file name is valid Unicode: Linux also allows names that are not."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _fits(path: str, glob: str) -> bool:
    glob = glob.removesuffix("/")
    if "/" in glob:
        return fnmatchcase(path, glob) or fnmatchcase(path, f"{glob}/*")
    return any(fnmatchcase(piece, glob) for piece in path.split("/"))
