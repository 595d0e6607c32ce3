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

FINDINGS = (
    "empty-class",
    "ignored-file",
    "ignored-folder",
    "hidden-folder",
    "unlabelled",
    "rows-without-file",
    "no-split",
    "several-labels",
    "uncertain-labels",
    "table-ambiguous",
    "table-contradiction",
    "no-pixels",
    "derived-image",
    "polarity-contradiction",
    "burned-in",
    "dicom-patient",
)
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

    def only(self, kept: npt.NDArray[np.bool_]) -> Labels:
        """The labels of the files that are kept, numbered anew."""
        renumbered, stays = np.cumsum(kept) - 1, kept[self.owners]
        return Labels(self.names, renumbered[self.owners[stays]], self.which[stays])

    def has(self, name: str, files: int) -> npt.NDArray[np.bool_]:
        """Which of so many files have a label."""
        found = np.zeros(files, bool)
        if name in self.names:
            found[self.owners[self.which == self.names.index(name)]] = True
        return found

    def of_each(self, files: int) -> list[tuple[str, ...]]:
        """The labels of each of so many files."""
        ends = np.cumsum(self.counts(files)).tolist()
        named = [self.names[each] for each in self.which.tolist()]
        return [tuple(named[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


@dataclass(frozen=True, slots=True)
class SourceRef:
    """Where a collection's labels come from, as it is remembered: the options, the tables, what was left out.

    `columns` are those of each role, `tables` the hash of each file's content, `how` the way files were found. Where
    images have several findings, `labels` are the columns of their marks, and `nothing` the one that says that there
    is none.
    """

    how: str = "folder"
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    by_folder: bool = True
    has_several: bool = False
    is_undecided: bool = False
    labels: Sequence[str] = field(default_factory=list)
    nothing: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source tells of the files of a listing.

    `listing` holds the images of the collection alone; `parts`, `labels` and `facts` are of its paths, in order. A
    part is a folder's name where the folders tell it, else train, val or test; "" where there is none. `ignored`
    counts what was left out, by why. `by_folder`: the labels are names of folders, which nobody said are classes.
    `uncertain` are labels that are neither given nor denied, `untold` those of which nothing is said; `columns` says
    where each role was read, `how` files were found; `chosen` is the one class of each file where several labels on an
    image made a choice necessary.
    """

    listing: Listing
    labels: Labels
    parts: list[str]
    findings: tuple[Finding, ...] = ()
    facts: Facts = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    by_folder: bool = True
    uncertain: Labels | None = None
    untold: Labels | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    how: str = "folder"
    chosen: npt.NDArray[Any] | None = None
    tables: Mapping[str, str] = field(default_factory=dict)

    def ref(self, options: Mapping[str, Any]) -> SourceRef:
        """The source as it is stored with the collection."""
        several, undecided = self.has_several, self.is_undecided
        told = (dict(options), dict(self.columns), dict(self.tables), dict(self.ignored))
        return SourceRef(self.how, *told, self.by_folder, several, undecided)

    @property
    def is_undecided(self) -> bool:
        """Whether some file has several labels or none, and nobody said which class it is of."""
        return self.chosen is None and bool((self.labels.counts(len(self.listing.paths)) != 1).any())

    @property
    def has_several(self) -> bool:
        """Whether some file has more than one label."""
        return bool((self.labels.counts(len(self.listing.paths)) > 1).any())

    def classes(self) -> npt.NDArray[Any]:
        """The one class of each file, where nothing is undecided."""
        return self.labels.first() if self.chosen is None else self.chosen

    def only(self, kept: npt.NDArray[np.bool_], reason: str, finding: Finding | None = None) -> Reading:
        """The same with the chosen files alone; the others are counted under a reason."""
        left = int((~kept).sum())
        if not left:
            return self
        return replace(
            self,
            listing=self.listing.only(kept.tolist()),
            labels=self.labels.only(kept),
            uncertain=None if self.uncertain is None else self.uncertain.only(kept),
            untold=None if self.untold is None else self.untold.only(kept),
            parts=[part for part, stays in zip(self.parts, kept.tolist(), strict=True) if stays],
            facts={name: values[kept] for name, values in self.facts.items()},
            findings=self.findings if finding is None else (*self.findings, finding),
            ignored={**self.ignored, reason: self.ignored.get(reason, 0) + left},
            chosen=None if self.chosen is None else self.chosen[kept],
        )

    def with_ignored(self, counts: Mapping[str, int], finding: Finding) -> Reading:
        """This reading with further files that were left out, by reason."""
        total = {**self.ignored, **{name: self.ignored.get(name, 0) + count for name, count in counts.items()}}
        return replace(self, ignored=total, findings=(*self.findings, finding))

    def left_out(self, folders: Mapping[str, int], kind: str, why: str) -> Reading:
        """This reading with folders that were left out: the number of images in each, and the reason."""
        if not folders:
            return self
        found = [
            Finding(
                "ignored-folder", (PurePosixPath(name),), f"it {why}: {count} files", "none needed: they are not read"
            )
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
