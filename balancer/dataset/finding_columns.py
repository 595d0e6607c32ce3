"""The findings of each file of a balanced folder, for its tables: a list of classes; a column of 1, 0 or unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from balancer.collection.label_sets import DENIED, GIVEN, UNCERTAIN, UNKNOWN, findings_in
from balancer.collection.scan import Collection
from balancer.jobs import Candidate

Mark = int | None
"""1: it has the finding; 0: it has not; None: uncertain, not told, or perhaps removed by an edit."""


class Placed(Protocol):
    """A file of the balanced folder, as a layout places it."""

    @property
    def label(self) -> str:
        """The name of its label set."""

    @property
    def source(self) -> str:
        """The file that it is a copy of."""

    @property
    def made(self) -> Any:
        """The candidate and its verdict; None where it is no synthetic image."""


@dataclass(frozen=True, slots=True)
class FindingColumns:
    """The findings of a collection, and the marks of its images by path; `root` is the collection's folder."""

    findings: tuple[str, ...]
    marks: Mapping[str, Sequence[int]]
    root: str

    @classmethod
    def of(cls, collection: Collection, root: str) -> FindingColumns | None:
        """The columns of a collection's findings; None where each image has one class."""
        sets = collection.label_sets
        if sets is None:
            return None
        table = sets.only(collection.images.index).marks[sets.findings]
        rows = dict(zip(table.index, table.to_numpy().tolist(), strict=True))
        return cls(tuple(sets.findings), rows, root)

    def told(self, entry: Placed) -> list[int]:
        """What the collection says of a file, or what a synthetic one was made with: given, denied, uncertain, unknown.

        An image that was made from another may have kept findings of its source: they are unknown, and not denied.
        """
        if entry.made is None:
            return list(self.marks[entry.source[len(self.root) + 1 :]])
        own, candidate = set(findings_in(entry.label)), entry.made[0]
        open_to, beside = set(self.unknown_of(candidate)), DENIED if candidate.job is not None else UNKNOWN
        return [GIVEN if finding in own else UNKNOWN if finding in open_to else beside for finding in self.findings]

    def unknown_of(self, candidate: Candidate) -> list[str]:
        """Findings that the source of an edited image has, or may have, and that its label set has not.

        The edit may have removed them or not, so that nobody knows whether they are still there.
        """
        source = None if candidate.job is None else candidate.job.method.source
        if source is None:
            return []
        own, there = set(findings_in(candidate.label)), set(findings_in(source.label))
        marks = self.marks.get(source.path, [GIVEN if finding in there else DENIED for finding in self.findings])
        told = zip(self.findings, marks, strict=True)
        return [finding for finding, mark in told if mark != DENIED and finding not in own]

    def marks_of(self, entry: Placed) -> dict[str, Mark]:
        """1, 0 or None for each finding of a file."""
        told = zip(self.findings, self.told(entry), strict=True)
        return {finding: value if value in (GIVEN, DENIED) else None for finding, value in told}

    def counts(self, entries: Iterable[Placed]) -> dict[str, tuple[int, int]]:
        """How many real and how many synthetic files have each finding."""
        found: Counter[tuple[str, bool]] = Counter()
        for entry in entries:
            for finding, value in self.marks_of(entry).items():
                found[finding, entry.made is not None] += value == GIVEN
        return {finding: (found[finding, False], found[finding, True]) for finding in self.findings}


def cell_of(value: int) -> str:
    """A mark as it stands in a table of columns: 1, 0, -1 or blank.

    >>> [cell_of(value) for value in (1, 0, -1, -2)]
    ['1', '0', '-1', '']
    """
    return str(value) if value in (GIVEN, DENIED, UNCERTAIN) else ""


def apart(findings: Sequence[str], taken: Iterable[str]) -> Iterator[str]:
    """Names of the columns of findings, none of which is another column's.

    >>> list(apart(["Mass", "seed"], ["seed"]))
    ['Mass', 'seed (finding)']
    """
    others = set(taken)
    yield from (f"{name} (finding)" if name in others else name for name in findings)
