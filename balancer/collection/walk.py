"""The files of a labelled folder: which may be images, of which part and class, and which are not read."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISREG

from balancer.collection.findings import Finding, empty_class, ignored_files
from balancer.errors import CollectionError
from balancer.imaging.decode import EXTENSIONS

FINDINGS = ("empty-class", "ignored-file", "ignored-folder", "hidden-folder")
"""The kinds of finding that come from walking through the folders, not from what is in the images."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files that may be images, sorted within each class folder; a place in one list is the same in all.

    `paths` are relative to the root, `sizes` bytes, `times` of the last change in ns. Columns instead of rows, since a
    million rows of Python objects are slow to make and to keep.
    """

    paths: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    times: array[int] = field(default_factory=lambda: array("q"))


PART_NAMES = {
    "train": ("train", "training", "trn", "tr"),
    "val": ("val", "valid", "validation", "dev"),
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
        CollectionError: there is none, or its name is no valid Unicode.
    """
    if root.is_dir() and _is_text(str(root)):
        return root
    raise CollectionError(
        needed="a folder that holds a folder of X-rays for each class",
        found=f"{printable(str(root))}: {_what_is(root)}",
        next_step="balance scan FOLDER",
    )


def _what_is(root: Path) -> str:
    if root.is_dir():
        return "its name is no valid Unicode"
    return "a file" if root.exists() else "nothing there"


def labelled_files(root: Path, findings: list[Finding], *, parts: bool = True) -> Files:
    """Every file that may be an image; what else is there goes to `findings`.

    Without `parts` every folder is a class, whatever it is called.
    """
    files, ignored = Files(), list[str]()
    for part, folder in _part_folders(root, findings) if parts else [("", root)]:
        for label, class_folder in _subfolders(folder, root, findings):
            others = len(ignored)
            _walk(class_folder, class_folder.relative_to(root).as_posix(), set(), files, ignored)
            count = len(files.paths) - len(files.labels)
            files.parts.extend([part] * count)
            files.labels.extend([label] * count)
            if not count:
                findings.append(empty_class(class_folder.relative_to(root), len(ignored) - others))
    if ignored:
        findings.append(ignored_files([printable(path) for path in ignored]))
    return files


def _part_folders(root: Path, findings: list[Finding]) -> list[tuple[str, Path]]:
    folders = _subfolders(root, root, findings)
    parts = [(name, folder) for name, folder in folders if canonical_part(name) and _has_folders(folder)]
    if not parts:
        return [("", root)]
    kinds = Counter(canonical_part(name) for name, _ in parts)
    if kinds["train"] != 1 or max(kinds.values()) > 1:
        raise CollectionError(
            needed="one training folder, and at most one each for validation and test",
            found=f"{root}: {', '.join(name for name, _ in parts)}",
            next_step="rename or join the folders, then run: balance scan FOLDER",
        )
    others = [PurePosixPath(name) for name, folder in folders if (name, folder) not in parts]
    if others:
        message = f"beside {', '.join(name for name, _ in parts)} these folders are not read"
        findings.append(Finding("ignored-folder", tuple(others), message, "move their images into a part's class"))
    return parts


def _has_folders(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)


def _subfolders(folder: Path, root: Path, findings: list[Finding]) -> list[tuple[str, Path]]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if _is_folder(entry))
    except PermissionError as error:
        raise CollectionError(
            needed="permission to read the folder",
            found=str(folder),
            next_step="ask its owner, or run as a user who may: balance scan FOLDER",
        ) from error
    hidden = [(folder / name).relative_to(root) for name in names if name.startswith(".")]
    if hidden:
        message = "hidden folders are not read, but torchvision's ImageFolder takes each for a class"
        paths = tuple(PurePosixPath(path.as_posix()) for path in hidden)
        findings.append(Finding("hidden-folder", paths, message, "take them out of the collection"))
    unread = [name for name in names if not _is_text(name)]
    if unread:
        paths = tuple(PurePosixPath(printable(name)) for name in unread)
        message = "folders whose names are no valid Unicode are not read"
        findings.append(Finding("ignored-folder", paths, message, "rename them"))
    return [(name, folder / name) for name in names if not name.startswith(".") and name not in unread]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _walk(folder: Path, below: str, seen: set[tuple[int, int]], files: Files, ignored: list[str]) -> None:
    """Collect the files of a folder, whose path relative to the root is `below`, and of the folders in it."""
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:  # a link that leads back up
        return
    seen.add((status.st_dev, status.st_ino))
    for name in sorted(os.listdir(folder)):  # noqa: PTH208  # names alone
        path = f"{below}/{name}"
        if name[0] == ".":
            continue
        try:
            stat = os.stat(f"{folder}/{name}")  # noqa: PTH116  # once a file, and a Path would cost as much again
            if not (name.isascii() or _is_text(name)):
                ignored.append(path)
            elif S_ISDIR(stat.st_mode):
                _walk(folder / name, path, seen, files, ignored)
            elif name[name.rfind(".") :].lower() in EXTENSIONS and S_ISREG(stat.st_mode):
                files.paths.append(path)
                files.sizes.append(stat.st_size)
                files.times.append(stat.st_mtime_ns)
            else:
                ignored.append(path)
        except OSError:  # a link to itself, or a folder that may not be read
            ignored.append(path)


def printable(name: str) -> str:
    """A name that is no valid Unicode, as text."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _is_text(name: str) -> bool:
    """Whether a file name is valid Unicode: Linux also allows names that are not."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
