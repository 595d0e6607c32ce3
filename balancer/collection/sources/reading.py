"""What every source gives: which files are images of the collection, their labels, splits, patients and the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from balancer.collection.findings import Finding
from balancer.collection.walk import Listing

FINDINGS = ("empty-class", "ignored-file", "ignored-folder", "hidden-folder", "unlabelled")
"""The kinds of finding that a source makes of folders and tables, not of what is in the images."""
Places = npt.NDArray[np.int64]
Facts = Mapping[str, npt.NDArray[Any]]
"""Columns by name, an entry for each file, None where nothing is known."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of files, as pairs: file number `owners[i]` has label `names[which[i]]`; sorted by file, then by label.

    >>> Labels.single(["normal", "nodule", "normal"]).names
    ('nodule', 'normal')
    """

    names: tuple[str, ...]
    owners: Places
    which: Places

    @classmethod
    def single(cls, labels: Sequence[str]) -> Labels:
        """One label for each file."""
        names = sorted(set(labels))
        number = {name: place for place, name in enumerate(names)}
        return cls(tuple(names), np.arange(len(labels)), np.array([number[label] for label in labels], np.int64))

    def first(self) -> npt.NDArray[Any]:
        """The first label of each file, where each has one."""
        return np.array(self.names, object)[self.which]

    def counts(self, files: int) -> Places:
        """How many labels each of so many files has."""
        return np.bincount(self.owners, minlength=files)

    def of_each(self, files: int) -> list[tuple[str, ...]]:
        """The labels of each of so many files."""
        ends = np.cumsum(self.counts(files)).tolist()
        named = [self.names[each] for each in self.which.tolist()]
        return [tuple(named[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source tells of the files of a listing.

    `listing` holds the images of the collection alone; `parts`, `labels` and `facts` are of its paths, in order. A
    part is a folder's name where the folders tell it, else train, val or test; "" where there is none. `ignored`
    counts what was left out, by why. `by_folder`: the labels are names of folders, which nobody said are classes.
    """

    listing: Listing
    labels: Labels
    parts: list[str]
    findings: tuple[Finding, ...] = ()
    facts: Facts = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    by_folder: bool = True

    def left_out(self, folders: Mapping[str, int], kind: str, why: str) -> Reading:
        """The same, with folders that were left out, each with how many images, and why."""
        if not folders:
            return self
        found = [
            Finding("ignored-folder", (PurePosixPath(name),), f"it {why}: {count} files", "nothing: they are not read")
            for name, count in folders.items()
        ]
        counts = {**self.ignored, kind: self.ignored.get(kind, 0) + sum(folders.values())}
        return replace(self, findings=(*self.findings, *found), ignored=counts)


class Source(Protocol):
    """Where labels come from."""

    def read(self, listing: Listing) -> Reading:
        """What it tells of the files.

        Raises:
            CollectionError: it tells nothing of them, or what cannot be right.
            TableError: a table that cannot be read.
        """
        ...
