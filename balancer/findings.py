"""What can be wrong with a collection; each finder looks for one thing."""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

_PART_WORD = re.compile(
    r"(?:^|[-._ 0-9/])(?:train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?:[-._ 0-9/]|$)"
)
_PART_STEMS = ("train", "val", "dev", "test")

SAME_IMAGE = ("duplicate", "label-conflict", "leak", "near-duplicate", "near-label-conflict", "near-leak")
"""Kinds of findings that name files of one image: no split may part them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the collection that its owner should know: which files, what of them, and the fix."""

    kind: str
    paths: tuple[PurePosixPath, ...]
    message: str
    fix: str


def duplicates(images: pd.DataFrame) -> Iterator[Finding]:
    """Files with the same content: in one class, across classes, across parts."""
    hashed = images[images["sha256"].notna()]
    for _, group in hashed[hashed["sha256"].duplicated(keep=False)].groupby("sha256", sort=False):
        paths = tuple(PurePosixPath(path) for path in group.index)
        if group["label"].nunique() > 1:
            yield Finding("label-conflict", paths, "the same image in two classes", "keep it in the right class alone")
        elif group["part"].nunique() > 1:
            yield Finding("leak", paths, "the same image in two parts", "keep it in one part alone")
        else:
            yield Finding("duplicate", paths, "the same image more than once", "keep one of them")


def patients_in_two_parts(images: pd.DataFrame) -> Iterator[Finding]:
    """Patients of whom images are in more than one part of the collection."""
    if images["part"].nunique() < 2:
        return
    parts: dict[str, set[str]] = defaultdict(set)
    for patient, part in images[["patient", "part"]].dropna().drop_duplicates().itertuples(index=False):
        parts[patient].add(part)
    shared = [patient for patient, found in parts.items() if len(found) > 1]
    if shared:
        paths = tuple(PurePosixPath(path) for path in images.index[images["patient"].isin(shared)])
        message = f"{len(shared)} patients are in more than one part, {shared[0]!r} for one"
        fix = "see whether --patient is right; if it is, move each patient's images into one part"
        yield Finding("patient-leak", paths, message, fix)


def named_like_a_part(images: pd.DataFrame) -> Iterator[Finding]:
    """File names of a flat collection in which Hugging Face's loader sees a part, and then drops all others."""
    names = "\n".join(images.index.tolist())
    if not any(word in names for word in _PART_STEMS):  # so in most collections
        return
    named = images.index[[_PART_WORD.search(path) is not None for path in images.index]]
    if len(named):
        message = "load_dataset takes these names for parts and silently drops all other files"
        fix = "rename them, or let balance fill make parts (do not use --no-holdout)"
        yield Finding("named-like-a-part", tuple(map(PurePosixPath, named)), message, fix)


def unmatched(images: pd.DataFrame, patient: str | None) -> Iterator[Finding]:
    """Files in which the expression found no patient."""
    unmatched = images.index[images["patient"].isna()]
    if patient and len(unmatched):
        message = f"--patient {shlex.quote(patient)} finds no patient in {len(unmatched)} of {len(images)} files"
        yield Finding("no-patient", tuple(map(PurePosixPath, unmatched)), message, "widen the expression")


def empty_class(folder: Path, ignored: int) -> Finding:
    """A class folder in which there is no image."""
    what = f"none of its {ignored} files is a supported image" if ignored else "it is empty"
    message = f"class folder without images: {what}; it does not count as a class"
    return Finding("empty-class", (PurePosixPath(folder.as_posix()),), message, "put images into it or remove it")


def ignored_files(paths: Sequence[str]) -> Finding:
    """Files in class folders that are not read as images."""
    kinds = Counter(PurePosixPath(path).suffix.lower() or "no extension" for path in paths)
    message = "not read: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    fix = "convert what is an X-ray to PNG (8 or 16 bit); the rest does no harm"
    return Finding("ignored-file", tuple(map(PurePosixPath, paths)), message, fix)
