"""Several tables as a user names them: alike ones below each other, others joined by a column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from balancer.collection.metadata_table import usual_columns
from balancer.collection.sources.marks import Texts
from balancer.collection.sources.options import DICOM
from balancer.collection.walk import canonical_part
from balancer.errors import TableError
from balancer.imaging.tables import Table, read_table

LABEL_NAMES = (
    *("label", "labels", "class", "classname", "diagnosis", "diagnoses", "finding", "findings", "findinglabels"),
    *("findinglabel", "target", "category", "disease", "diseases", "dx", "pathology", "condition", "classes"),
)
SPLIT_NAMES = ("split", "subset", "partition")
BOTH = " and "
"""What stands between the names of columns that all apply to one image."""
_SET = ("1", "1.0")
_FLAGS = (*_SET, "0", "0.0", "")
_ALIKE = 0.8
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Rows:
    """One table, or several of the same columns below each other; `table` is the number of each row's own."""

    tables: tuple[Table, ...]
    cells: pd.DataFrame
    table: np.ndarray[tuple[int], np.dtype[np.int64]]

    @property
    def header(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(map(str, self.cells))

    @property
    def name(self) -> str:
        """The names of the files."""
        return ", ".join(table.path.name for table in self.tables)

    def column(self, name: str) -> str | None:
        """A column by its name, whatever its case, else by its number."""
        first = self.tables[0].column(name)
        if first is not None:
            return self.tables[0].header[first]
        folded = {each.casefold(): each for each in reversed(self.header)}
        return folded.get(name.strip().casefold())

    def texts(self, columns: Sequence[str]) -> Texts:
        """The cells of a column without blanks around them; of several, the first that is not blank.

        Of several columns that hold 1 and 0 alone, the names of those with 1, with "and" between.
        """
        if len(columns) > 1 and self.cells[list(columns)].isin(_FLAGS).all(axis=None):
            return self._flagged(columns)
        found = self.cells[columns[0]].to_numpy(object)
        for name in columns[1:]:
            found = np.where(found == "", self.cells[name].to_numpy(object), found)
        return found

    def _flagged(self, columns: Sequence[str]) -> Texts:
        found = np.full(len(self.cells), "", object)
        for name in columns:
            set_here = self.cells[name].isin(_SET).to_numpy()
            found = np.where(set_here, np.where(found == "", name, found + f"{BOTH}{name}"), found)
        return found


def read_rows(paths: Sequence[Path]) -> list[Rows]:
    """All tables, those of nearly the same columns together.

    Raises:
        TableError: one cannot be read.
    """
    groups: list[list[Table]] = []
    for table in map(read_table, paths):
        alike = next((group for group in groups if _are_alike(group[0], table)), None)
        groups.append([table]) if alike is None else alike.append(table)
    return [_stacked(group) for group in groups]


def _are_alike(one: Table, other: Table) -> bool:
    if not (one.has_header and other.has_header):
        return not (one.has_header or other.has_header) and len(one.header) == len(other.header)
    first, second = set(one.header), set(other.header)
    return len(first & second) >= _ALIKE * len(first | second)


def _stacked(group: Sequence[Table]) -> Rows:
    frames = []
    for table in group:
        names = _apart(table.header)
        frames.append(
            pd.DataFrame({name: table.cells[place].str.strip() for place, name in enumerate(names)}, dtype=str)
        )
    cells = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True).fillna("")
    numbers = np.repeat(np.arange(len(group)), [len(table.cells) for table in group])
    return Rows(tuple(group), cells, numbers)


def _apart(header: Iterable[str]) -> list[str]:
    """Names that differ: a second column of the same name gets its number."""
    seen: dict[str, int] = {}
    names = []
    for place, name in enumerate(header, start=1):
        names.append(f"{name} {place}" if name in seen else name)
        seen[name] = place
    return names


def roles_of(rows: Rows, named: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The columns of each role in a table: those that were named, else those that are called as usual."""
    usual = {role: (name,) for role, name in usual_columns(rows.header).items()}
    plain = {re.sub(r"[\W_]+", "", name).casefold(): name for name in reversed(rows.header)}
    if split := next((plain[name] for name in SPLIT_NAMES if name in plain), None):
        usual["split"] = (split,)
    found = {role: columns for role, columns in usual.items() if role not in named}
    for role, names in named.items():
        there = [column for name in names if (column := rows.column(name.removeprefix(DICOM))) is not None]
        if there:
            found[role] = tuple(there)  # type: ignore[assignment]
    return found  # type: ignore[return-value]


def label_column(rows: Rows) -> str | None:
    """The one column that is called as labels usually are.

    Raises:
        TableError: there are several.
    """
    plain = {name: re.sub(r"[\W_]+", "", name).casefold() for name in rows.header}
    found = [name for name, short in plain.items() if short in LABEL_NAMES]
    if len(found) > 1:
        raise TableError(
            needed="one column with the label",
            found=f"{rows.name}: {' and '.join(map(repr, found))} are possible",
            next_step=f"choose one: balance scan DATA --labels TABLE --columns 'label={found[0]}'",
        )
    return found[0] if found else None


def missing(groups: Sequence[Rows], needed: str, role: str, name: str | None = None) -> TableError:
    """The error for a column that no table has, with those that there are."""
    columns = "; ".join(f"{rows.name}: {_some(rows.header)}" for rows in groups)
    what = f"the column {name!r} for {role}" if name else needed
    return TableError(
        needed=what,
        found=columns,
        next_step=f"name the column, or its number: balance scan DATA --labels TABLE --columns '{role}=COLUMN'",
    )


def split_of_tables(rows: Rows) -> list[str] | None:
    """The split that the name of each table tells, where they tell different ones: train.csv and valid.csv."""
    told = [_split_in(table.path.name) for table in rows.tables]
    return [each or "" for each in told] if len(told) > 1 and all(told) and len(set(told)) == len(told) else None


def _split_in(name: str) -> str | None:
    words = re.findall(r"[^\W\d_]+", name.partition(".")[0])
    found = {part for word in words if (part := canonical_part(word))}
    return found.pop() if len(found) == 1 else None


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
