"""The table that a table-labelled collection goes out with: its own columns, and what is synthetic."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from balancer.collection.label_sets import findings_in
from balancer.collection.scan import Collection
from balancer.collection.several_labels import labels_of
from balancer.collection.sources.options import parse_names, parse_pairs
from balancer.collection.sources.reading import SourceRef
from balancer.collection.walk import canonical_part
from balancer.dataset.finding_columns import FindingColumns, cell_of
from balancer.dataset.provenance import escape_formula

LABELS = "labels.csv"
"""Its name in the balanced folder; no loader takes it for one of its own."""
OURS = ("balanced_class", "is_synthetic", "provenance", "source_file")
"""The class that the image's folder stands for, 1 or 0, the `sha256` of its row in provenance.csv, the original."""
_MOST_SHARE, _FEW = 0.5, 20
_IDENTIFIER = re.compile(r"(?=(?:\D*\d){6})[\w.:/ -]+")
_TOLD_BY_FOLDERS = ("the path", "the table's name")
_USUAL = ("file", "label", "patient", "split")


class Placed(Protocol):
    """A file of the balanced folder, as a layout places it."""

    @property
    def path(self) -> str:
        """Where it lies in the balanced folder."""

    @property
    def folder(self) -> str:
        """The folder of its split."""

    @property
    def label(self) -> str:
        """Its class."""

    @property
    def source(self) -> str:
        """The file that it is a copy of."""

    @property
    def patient(self) -> str | None:
        """Whose image it is, or was made from."""

    @property
    def made(self) -> Any:
        """How it was made; None where it is no synthetic image."""


@dataclass(frozen=True, slots=True)
class LabelsTable:
    """What a table says of each image of a collection, by the columns that were read, under their own names.

    `columns` are the names by role; `flags` the labels that have a column each, none where `label` is one column with
    `separator` between several labels; `rows` the labels and facts of each path of the collection. Other columns of
    the source are not copied, nor what may be an identifier or a date: nobody said that it may leave the collection.
    """

    columns: Mapping[str, str]
    flags: tuple[str, ...]
    separator: str
    rows: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]]
    findings: FindingColumns | None = None

    def to_csv(self, entries: Sequence[Placed], hashes: Mapping[str, str], root: str) -> bytes:
        """A row for each file of the balanced folder; of a synthetic one, its class and where it comes from.

        A 1 says that a label was given; a blank cell that it was not, whether it was denied or never looked for. Where
        images have several findings, 0 says that one was denied, and -1 that it is uncertain.
        """
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([escape_formula(name) for name in self._header()])
        for entry in entries:
            writer.writerow([escape_formula(cell) for cell in self._cells(entry, hashes[entry.path], root)])
        return buffer.getvalue().encode(errors="replace")

    def _facts(self) -> list[str]:
        return [role for role in self.columns if role not in _USUAL]

    def _header(self) -> list[str]:
        names = self.columns
        labels = self.flags or (names["label"],)
        return [
            names["file"],
            *labels,
            names["patient"],
            names["split"],
            *(names[each] for each in self._facts()),
            *OURS,
        ]

    def _cells(self, entry: Placed, sha256: str, root: str) -> Iterator[str]:
        source = "" if entry.made else entry.source[len(root) + 1 :]
        own = (entry.label,) if self.findings is None else findings_in(entry.label)
        labels, facts = self.rows.get(source, (own, {}))
        yield entry.path
        marks = (
            {} if self.findings is None else dict(zip(self.findings.findings, self.findings.told(entry), strict=True))
        )
        flags = [cell_of(marks[name]) if name in marks else "1" if name in labels else "" for name in self.flags]
        yield from flags or [self.separator.join(labels)]
        yield entry.patient or ""
        yield canonical_part(entry.folder) or ""
        yield from (facts.get(name, "") for name in self._facts())
        yield from (entry.label, str(int(entry.made is not None)), sha256 if entry.made else "", source)


def labels_table(collection: Collection, findings: FindingColumns | None = None) -> LabelsTable | None:
    """The table of a collection whose labels came from tables; None where folders or paths alone told them.

    Where images have several findings, `findings` are theirs.
    """
    source = collection.source
    if source is None or source.by_folder or not source.tables:
        return None
    images = collection.images
    told = [_facts_of(text, age) for text, age in zip(images["told"], images["age"], strict=True)]
    rows = dict(zip(images.index, zip(labels_of(images), told, strict=True), strict=True))
    return LabelsTable(
        *(_columns(source, _attributes(told)), _flags(source), str(source.options.get("separator") or "|"), rows),
        findings,
    )


def labels_file(
    table: LabelsTable | None, entries: Sequence[Placed], hashes: Mapping[str, str], root: str
) -> dict[str, bytes]:
    """`labels.csv` by its name, where the collection came as a table; else nothing."""
    return {} if table is None else {LABELS: table.to_csv(entries, hashes, root)}


def _facts_of(told: str | None, age: float) -> dict[str, str]:
    found = json.loads(told) if isinstance(told, str) else {}
    return found if pd.isna(age) else {**found, "age": f"{age:g}"}


def _attributes(told: Sequence[Mapping[str, str]]) -> list[str]:
    """What is known beside labels, patient and split, but for what may tell who somebody is."""
    values: dict[str, set[str]] = {}
    for facts in told:
        for name, value in facts.items():
            values.setdefault(name, set()).add(value)
    return sorted(
        name
        for name, distinct in values.items()
        if len(distinct) <= max(_FEW, _MOST_SHARE * len(told)) and not any(map(_IDENTIFIER.fullmatch, distinct))
    )


def _columns(source: SourceRef, attributes: Sequence[str]) -> dict[str, str]:
    """The name of each role's column: its own, where it is one of a table, and no other has that name."""
    roles = (*_USUAL, *attributes)
    named = {role: source.columns.get(role, role) for role in roles}
    if source.how.startswith("DICOM"):  # its column holds numbers of studies, ours names of files
        named["file"] = "file"
    own = {role: role if ", " in name or name in _TOLD_BY_FOLDERS else name for role, name in named.items()}
    taken: set[str] = {*OURS, *_flags(source)}
    found = {}
    for role, name in own.items():
        found[role] = f"{name} ({role})" if name in taken else name
        taken.add(found[role])
    return found


def _flags(source: SourceRef) -> tuple[str, ...]:
    mapped = parse_pairs(source.options.get("map", ()), "--map", "OLD=NEW")
    names = parse_names(source.options.get("labels_in_columns"))
    blank = [mapped[""]] if names and mapped.get("") else []
    return tuple(dict.fromkeys(filter(None, (*(mapped.get(name, name) for name in names), *blank))))
