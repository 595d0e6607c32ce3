"""Labels from tables: one or several, a row or many for a file, in one column or in one for each label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from balancer.collection.findings import Finding
from balancer.collection.guard import is_mask_name
from balancer.collection.join_metadata import agreed
from balancer.collection.sources.marks import (
    Disagreement,
    Marks,
    Texts,
    joined_values,
    of_cells,
    of_columns,
    of_files,
    reduced,
)
from balancer.collection.sources.matching import Match, match_files, match_keys
from balancer.collection.sources.options import DICOM, SourceOptions
from balancer.collection.sources.reading import Labels, Places, Reading
from balancer.collection.sources.rows import Rows, label_column, missing, read_rows, roles_of, split_of_tables
from balancer.collection.sources.split_lists import parts_of
from balancer.collection.walk import Listing
from balancer.errors import TableError
from balancer.text import shape_of

_NAMED = 3
_MOST_LABELS = 500
_MOST_SHARE, _FEW_FILES = 0.5, 50
_OF_THE_TABLE = ("file", "label", "split")
Headers = Callable[[Sequence[str], Sequence[str]], Mapping[str, Texts]]
"""What the headers of files tell: paths and keywords to a column for each keyword, None where it is not there."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables that name files; `headers` reads those of DICOM files, where a column is joined to them."""

    options: SourceOptions
    headers: Headers
    as_is: bool = False

    def read(self, listing: Listing) -> Reading:
        """The labels of the files that have a row; the others are left out, and named.

        Raises:
            TableError: no table, without the columns that are needed, or it names none of the files; rows of one file
                that differ; a column of too many labels.
        """
        base, match, found = self._gathered(listing, labels=True)
        return _reading(listing, base, match, found, self._file(base), self.options)

    def add_facts(self, reading: Reading) -> Reading:
        """What the tables tell of files whose labels are known from elsewhere.

        Raises:
            TableError: as above.
        """
        _, match, found = self._gathered(reading.listing, labels=False)
        told = found.facts.pop("split", None)
        everything = np.ones(len(reading.listing.paths), bool)
        parts, about = (reading.parts, ()) if told is None else parts_of(told, everything, reading.listing)
        facts, columns = {**found.facts, **reading.facts}, {**found.columns, **reading.columns}
        tables = {**reading.tables, **found.tables}
        findings = (*reading.findings, *about, *_findings([], [], (), reading.listing, match, found))
        return replace(reading, facts=facts, parts=parts, columns=columns, findings=findings, tables=tables)

    def _gathered(self, listing: Listing, *, labels: bool) -> tuple[Rows, Match, _Found]:
        """The table that names files, its rows' files, and what all tables tell."""
        base, *others = _base_first(read_rows(self.options.labels), self.options)
        match = self._match(base, listing)
        _require_some(base, match, listing, self._file(base))
        found = _Found(len(listing.paths), labels)
        found.take(base, match, self.options, self.as_is)
        for rows in others:
            found.take(rows, self._joined(rows, base, match, listing), self.options, self.as_is)
        return base, match, found

    def _file(self, rows: Rows) -> Texts:
        return rows.texts(roles_of(rows, self.options.named)["file"])

    def _match(self, rows: Rows, listing: Listing) -> Match:
        named = self.options.named.get("file", ("",))[0]
        if named.startswith(DICOM):
            keyword = named.removeprefix(DICOM)
            values = self.headers(listing.paths, [keyword])[keyword]
            return match_keys(self._file(rows), values, f"DICOM {keyword}")
        return match_files(self._file(rows), listing.paths, self.options.strip_prefix)

    def _joined(self, rows: Rows, base: Rows, match: Match, listing: Listing) -> Match:
        """The files of another table's rows: by its own file column, else by the columns of `--on`."""
        if "file" in roles_of(rows, self.options.named):
            return self._match(rows, listing)
        on = self.options.on or tuple(name for name in rows.header if name in base.header)[:1]
        ours, theirs = ([each.column(name) for name in on] for each in (base, rows))
        if not on or None in ours or None in theirs:
            raise TableError(
                needed=f"a column that joins {rows.name} to {base.name}",
                found=" and ".join(", ".join(map(repr, each.header[:_NAMED])) for each in (rows, base)),
                next_step="name it: balance scan DATA --labels TABLE --labels TABLE --on COLUMN",
            )
        told, _ = agreed(pd.DataFrame({"on": _known(_key(base, ours))}), match.rows, match.keys)
        of_file = np.append(told["on"], [None])[match.files]
        return match_keys(_key(rows, theirs), of_file, " and ".join(on))


class _Found:
    """What the tables tell of each file, gathered table by table; the first that tells something counts."""

    def __init__(self, files: int, wants_labels: bool) -> None:
        self.wants_labels = wants_labels
        self.labels: Labels | None = None
        self.uncertain: Labels | None = None
        self.untold: Labels | None = None
        self.known: npt.NDArray[np.bool_] = np.zeros(files, bool)
        self.facts: dict[str, Texts] = {}
        self.differ: npt.NDArray[np.bool_] = np.zeros(files, bool)
        self.columns: dict[str, str] = {}
        self.tables: dict[str, str] = {}

    def take(self, rows: Rows, match: Match, options: SourceOptions, as_is: bool) -> None:
        """Add labels, patients and other facts of one table."""
        self.tables |= {table.path.name: table.sha256 for table in rows.tables}
        roles = roles_of(rows, options.named)
        wanted = self.wants_labels and self.labels is None
        if wanted and not {"label"} & (roles.keys() | options.named.keys()) and not options.labels_in_columns:
            roles |= {"label": (column,)} if (column := label_column(rows)) else {}
        if wanted and (marks := _marks(rows, roles, options, as_is)) is not None:
            self._take_labels(rows, match, marks, options)
            self.columns["label"] = ", ".join(options.labels_in_columns or roles.get("label", ()))
        telling = {role: columns for role, columns in roles.items() if role not in ("file", "label")}
        texts = {role: rows.texts(columns) for role, columns in telling.items() if role not in self.facts}
        if (of_tables := split_of_tables(rows)) and "split" not in texts:
            texts["split"] = np.array(of_tables, object)[rows.table]
        told, differ = agreed(
            pd.DataFrame({role: _known(each) for role, each in texts.items()}), match.rows, match.keys
        )
        for role, values in told.items():
            self.facts[role] = np.append(values, [None])[match.files]
            self.differ |= np.append(differ[role], False)[match.files]
            self.columns[role] = ", ".join(telling.get(role, ("the table's name",)))

    def _take_labels(self, rows: Rows, match: Match, marks: Marks, options: SourceOptions) -> None:
        try:
            found = reduced(marks, match.rows, match.keys, options.rows)
        except Disagreement as error:
            raise _differing(rows, match, marks, error.keys) from error
        told = (of_files(each, match.files) for each in (found.labels, found.unsure, found.untold))
        self.labels, self.uncertain, self.untold = told
        self.known = np.append(found.known, False)[match.files]


def _base_first(groups: Sequence[Rows], options: SourceOptions) -> list[Rows]:
    """The table that names files, best the one that has their labels too, before the others."""
    naming = [rows for rows in groups if "file" in roles_of(rows, options.named)]
    if not naming:
        raise missing(groups, "a column that names the files", "file", next(iter(options.named.get("file", ())), None))
    labelled = [rows for rows in naming if _label_columns(rows, options) or "label" in roles_of(rows, options.named)]
    base = (labelled or naming)[0]
    return [base, *(rows for rows in groups if rows is not base)]


def _label_columns(rows: Rows, options: SourceOptions) -> dict[str, str]:
    found = {name: rows.column(name) for name in options.labels_in_columns}
    return {name: column for name, column in found.items() if column is not None}


def _marks(rows: Rows, roles: Mapping[str, tuple[str, ...]], options: SourceOptions, as_is: bool) -> Marks | None:
    """The labels that the rows of a table give; None where it has no column of them."""
    mapped = options.mapped or {}
    if options.labels_in_columns:
        columns = _label_columns(rows, options)
        texts = {name: rows.texts([column]) for name, column in columns.items()}
        return of_columns(texts, options.uncertain, mapped, options.blank) if columns else None
    columns_of_label = roles.get("label")
    if not columns_of_label:
        return None
    texts_of_label = rows.texts(columns_of_label)
    if options.separator is None and not as_is and (joined := joined_values(texts_of_label)):
        raise TableError(
            needed="the separator between several labels in a cell, or one label in each cell",
            found=f"{joined[0]!r} in {rows.name}",
            next_step=f"balance scan DATA --labels TABLE --separator '{joined[1]}' (as one label: --as-is)",
        )
    marks = of_cells(texts_of_label, options.separator, mapped)
    _require_few(rows, marks, columns_of_label[0], as_is)
    return marks


def _require_few(rows: Rows, marks: Marks, column: str, as_is: bool) -> None:
    count = len(marks.names)
    share = _FEW_FILES < count > _MOST_SHARE * len(rows.cells)
    if count <= _MOST_LABELS and not (share and not as_is):
        return
    few = [name for name in rows.header if 1 < rows.cells[name].nunique() <= _FEW_FILES]
    raise TableError(
        needed=f"a column with a label for each image, with at most {_MOST_LABELS} different labels",
        found=f"{column!r} of {rows.name} has {count:,}: {', '.join(map(repr, marks.names[:_NAMED]))}, ...",
        next_step=f"name another column, such as {', '.join(map(repr, few[:_NAMED])) or 'DIAGNOSIS'}: "
        "balance scan DATA --labels TABLE --columns 'label=COLUMN'",
    )


def _key(rows: Rows, columns: Iterable[Any]) -> Texts:
    texts = [rows.texts([column]) for column in columns]
    return texts[0] if len(texts) == 1 else np.array(["\0".join(each) for each in zip(*texts, strict=True)], object)


def _known(texts: Texts) -> Texts:
    return np.where(texts == "", None, texts)  # type: ignore[call-overload, no-any-return]  # None beside texts


def _require_some(rows: Rows, match: Match, listing: Listing, entries: Texts) -> None:
    if match.found:
        return
    shown = shape_of if match.how.startswith("DICOM") else str
    named = ", ".join(repr(shown(text)) for text in pd.unique(entries)[:_NAMED])
    here = ", ".join(repr(path) for path in listing.paths[:_NAMED])
    raise TableError(
        needed=f"a column of {rows.name} that names the files of {listing.root.name}",
        found=f"none of the files in the table was found: it has {named}; the folder has {here or 'no images'}"
        + (" (several files have each of these names)" if match.ambiguous.any() else ""),
        next_step="name another column, or the prefix of its paths to remove: "
        "balance scan DATA --labels TABLE --columns 'file=COLUMN' --strip-prefix PREFIX",
    )


def _differing(rows: Rows, match: Match, marks: Marks, keys: Places) -> TableError:
    """The error for rows of one file that differ: which labels one of them has, row by row."""
    places = np.flatnonzero(match.rows == keys[0])[:_NAMED]
    said = [[marks.names[each] for each in marks.which[marks.owners == place]] for place in places]
    return TableError(
        needed=f"a rule for {len(keys)} images whose rows in {rows.name} give different labels",
        found=f"one of them has {'; '.join(' and '.join(names) or 'none' for names in said)}",
        next_step="use the label that any, most or all of the rows have: balance scan DATA --labels TABLE --rows any "
        "(or majority, or all)",
    )


def _reading(
    listing: Listing, base: Rows, match: Match, found: _Found, entries: Texts, options: SourceOptions
) -> Reading:
    if found.labels is None:
        raise missing([base], "a column with the labels", "label", next(iter(options.named.get("label", ())), None))
    kept = found.known
    left = [path for path, stays in zip(listing.paths, kept.tolist(), strict=True) if not stays]
    masks = [path for path in left if is_beside(path)]
    without = pd.unique(entries[(match.rows < 0) & (entries != "")])
    parts, about_parts = parts_of(found.facts.get("split"), kept, listing)
    counts = {"masks": len(masks), "unlabelled": len(left) - len(masks), "rows_without_file": len(without)}
    return Reading(
        listing.only(kept.tolist()),
        found.labels.only(kept),
        parts,
        tuple(_findings(left, masks, without, listing, match, found)) + about_parts,
        {role: values[kept] for role, values in found.facts.items() if role not in _OF_THE_TABLE},
        {name: count for name, count in counts.items() if count},
        by_folder=False,
        uncertain=None if found.uncertain is None else found.uncertain.only(kept),
        untold=None if found.untold is None else found.untold.only(kept),
        columns={**found.columns, "file": ", ".join(roles_of(base, options.named)["file"])},
        how=match.how,
        tables=found.tables,
    )


def is_beside(path: str) -> bool:
    """Whether a file lies in a folder of masks or annotations."""
    return any(map(is_mask_name, path.split("/")[:-1]))


def _findings(
    left: list[str], masks: list[str], without: Sequence[str], listing: Listing, match: Match, found: _Found
) -> Iterator[Finding]:
    if masks:
        yield Finding(
            "ignored-file", _paths(masks), f"{len(masks)} masks are not read", "none needed: masks have no label"
        )
    others = sorted(set(left) - set(masks))
    ambiguous = [path for path, several in zip(listing.paths, match.ambiguous.tolist(), strict=True) if several]
    if others:
        message = f"{len(others)} images have no label in the table and are not read"
        yield Finding("unlabelled", _paths(others), message, "add rows for them if they belong to the collection")
    if ambiguous:
        message = f"the table's file names do not distinguish {len(ambiguous)} images, which are not read"
        yield Finding("table-ambiguous", _paths(ambiguous), message, "write paths into the column, such as a/b.png")
    if len(without):
        of_headers = match.how.startswith("DICOM")  # numbers of studies are no file names: they stay in the table
        some = "" if of_headers else f", {', '.join(repr(text) for text in without[:_NAMED])} for example"
        message = f"{len(without)} files in the table were not found{some}"
        yield Finding("rows-without-file", (), message, "add the files; until then these rows are ignored")
    if found.differ.any():
        paths = [path for path, wrong in zip(listing.paths, found.differ.tolist(), strict=True) if wrong]
        message = (
            f"rows of the table contradict each other for {len(paths)} images; values that differ count as unknown"
        )
        yield Finding("table-contradiction", _paths(paths), message, "correct the table, then scan again")


def _paths(names: Iterable[str]) -> tuple[PurePosixPath, ...]:
    return tuple(map(PurePosixPath, names))
