"""The files of a labelled folder: which may be images, of which part and class, and which are not read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from balancer.errors import CollectionError
from balancer.findings import Finding, empty_class, ignored_files
from balancer.images import EXTENSIONS

Found = tuple[str, str, str, os.stat_result]
"""A file that may be an image: its path relative to the root, part, label and stat."""

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


def labelled_files(root: Path, findings: list[Finding], *, parts: bool = True) -> Iterator[Found]:
    """Yield (path relative to root, part, label, stat) of each file that may be an image, in sorted order.

    Without `parts` every folder is a class, whatever it is called.
    """
    ignored: list[str] = []
    for part, folder in _part_folders(root, findings) if parts else [("", root)]:
        for label, class_folder in _subfolders(folder, root, findings):
            before = len(ignored)
            found = [*_walk(class_folder, class_folder.relative_to(root).as_posix(), set(), ignored)]
            if not found:
                findings.append(empty_class(class_folder.relative_to(root), len(ignored) - before))
            for path, stat in found:
                yield path, part, label, stat
    if ignored:
        findings.append(ignored_files([printable(path) for path in ignored]))


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
            next_step="ask its owner, or run as a user who may",
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


def _walk(
    folder: Path, below: str, seen: set[tuple[int, int]], ignored: list[str]
) -> Iterator[tuple[str, os.stat_result]]:
    stat = folder.stat()
    if (stat.st_dev, stat.st_ino) in seen:  # a link that leads back up
        return
    seen.add((stat.st_dev, stat.st_ino))
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path = f"{below}/{entry.name}"
        if entry.name.startswith("."):
            continue
        try:
            if not _is_text(entry.name):
                ignored.append(path)
            elif entry.is_dir():
                yield from _walk(Path(entry.path), path, seen, ignored)
            elif entry.is_file() and PurePosixPath(entry.name).suffix.lower() in EXTENSIONS:
                yield path, entry.stat()
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
