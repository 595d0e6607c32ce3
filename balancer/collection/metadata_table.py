"""A user's table of patients: read, its columns found, its values brought to one form."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from balancer.collection.findings import Finding
from balancer.errors import TableError
from balancer.imaging import tables
from balancer.imaging.tables import Table
from balancer.text import shape_of

USUAL_NAMES = {
    "file": "file filename filepath path relativepath image imageindex imagename imagefile imagefilename imagepath "
    "imageid img imgname imgpath",
    "patient": "patient patientid pid subject subjectid participant participantid",
    "sex": "sex gender patientsex patientgender",
    "age": "age patientage ageyears ageinyears ageatstudy",
    "view": "view viewposition viewpos projection",
    "site": "",  # an institution is read only where its column is named
}
ROLES = tuple(USUAL_NAMES)
_USUAL = tuple(USUAL_NAMES.items())
MAX_AGE = 120
VALUES = ("sex", "age", "view")
SITE = "site"
"""The hospital; it is kept among what a source tells in its own words."""
_NOTHING = ["", "-", "?", "na", "n/a", "nan", "none", "null"]
_MISSING = [*_NOTHING, "unknown", "unk", "u", "o", "other", "not specified"]
_NOTHING_TOLD = {"patient": frozenset(_NOTHING), **dict.fromkeys((*VALUES, SITE), frozenset(_MISSING))}
_SEX = {
    **dict.fromkeys(("f", "female", "woman", "girl", "w"), "female"),
    **dict.fromkeys(("m", "male", "man", "boy"), "male"),
}
_VIEW = {
    **dict.fromkeys(("pa", "posteroanterior", "posterioranterior", "paerect", "paview"), "PA"),
    **dict.fromkeys(("ap", "anteroposterior", "anteriorposterior", "apview", "aperect", "apsupine"), "AP"),
    **dict.fromkeys(("apportable", "portableap", "aphorizontal"), "AP"),
    **dict.fromkeys(("lateral", "lat", "l", "ll", "rl", "leftlateral", "rightlateral", "lateralview"), "lateral"),
}
_PLAIN_VIEW = r"[^\W_][\w .,/()-]{0,39}"  # what stands in a prompt as it is written: no formula, no sentence
_AGE = r"[>≥]?\s*(\d{1,4}(?:[.,]\d+)?)\s*(y|yr|yrs|years?|m|mo|months?|w|weeks?|d|days?|\+)?"
_IN_A_YEAR = {"m": 12.0, "w": 365.25 / 7, "d": 365.25}
_NUMBER, _LONGEST = 3, 40  # examples in a message, and their letters
_AGE_DIGITS = 4  # a date has more


@dataclass(frozen=True, slots=True)
class TableRef:
    """Which table was used: where it lies, the columns that the user named, those found, its content's hash."""

    path: Path
    named: Mapping[str, str]
    columns: Mapping[str, str]
    sha256: str

    @property
    def options(self) -> str:
        """How the user would name it on the command line, from here."""
        pairs = " ".join(f"{role}={column}" for role, column in self.named.items())
        place = shlex.quote(os.path.relpath(self.path))
        return f"--patients {place}" + (f" --columns {shlex.quote(pairs)}" if pairs else "")


@dataclass(frozen=True, slots=True)
class PatientTable:
    """A table that was read: `rows` has the columns found of file, patient, sex, age (years), view and site."""

    ref: TableRef
    rows: pd.DataFrame
    findings: tuple[Finding, ...]


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """The pairs of `--columns`; a column's name may have spaces.

    >>> parse_columns(["patient=PID sex=Patient Gender", "view=View"])
    {'patient': 'PID', 'sex': 'Patient Gender', 'view': 'View'}

    Raises:
        TableError: something that is no such pair.
    """
    named: dict[str, str] = {}
    for text in texts:
        before, *pieces = re.split(r"(?:^|[\s,;]+)(\w+)=", text.strip())
        pairs = dict(zip(pieces[::2], (column.strip() for column in pieces[1::2]), strict=True))
        if before.strip() or not pairs or not all(pairs.values()) or not pairs.keys() <= set(ROLES):
            raise TableError(
                needed=f"pairs of {', '.join(ROLES)} and a column's name",
                found=f"{text!r} in --columns",
                next_step="use quotes: --columns 'patient=PID sex=Gender view=ViewPosition'",
            )
        named |= pairs
    return named


def read_table(path: Path, named: Mapping[str, str] | None = None) -> PatientTable:
    """Read a table of patients; every cell is text, never evaluated.

    Raises:
        TableError: no such file, no table, or without the columns that are needed.
    """
    table = _read(path)
    columns = _find_columns(table, named or {})
    cells = table.cells[[table.column(name) for name in columns.values()]]
    cells.columns = pd.Index(list(columns))
    rows, findings = normalised(cells)
    return PatientTable(TableRef(path, dict(named or {}), columns, table.sha256), rows, findings)


def _read(path: Path) -> Table:
    try:
        return tables.read_table(path)
    except TableError as error:
        step = f"{error.next_step}: balance scan DATA --patients FILE.csv (--patients '' goes on without one)"
        raise TableError(needed=error.needed, found=error.found, next_step=step) from error


def usual_columns(header: Sequence[str]) -> dict[str, str]:
    """The columns that are called as usual, by what they tell."""
    plain = {re.sub(r"[\W_]+", "", name).casefold(): name for name in reversed(header)}
    found = {role: next((plain[name] for name in usual.split() if name in plain), None) for role, usual in _USUAL}
    return {role: name for role, name in found.items() if name is not None}


def _find_columns(table: Table, named: Mapping[str, str]) -> dict[str, str]:
    usual = usual_columns(table.header)
    given = {role: _named_column(table, role, name) for role, name in named.items()}
    columns = {role: (usual | given)[role] for role in ROLES if role in usual | given}
    if not columns.keys() & {"file", "patient"} or not columns.keys() & {"patient", *VALUES, SITE}:
        needed = "a column with the file or the patient, and one with sex, age, view or site"
        raise _columns_missing(table, needed, columns)
    return columns


def _named_column(table: Table, role: str, name: str) -> str:
    place = table.column(name)
    if place is None:
        raise _columns_missing(table, f"the column {name!r} for {role}", {})
    return table.header[place]


def _columns_missing(table: Table, needed: str, columns: Mapping[str, str]) -> TableError:
    known = f" (of these {', '.join(columns.values())} were understood)" if columns else ""
    return TableError(
        needed=f"{needed} in {table.path.name}",
        found=f"the columns {', '.join(map(repr, table.header))}{known}",
        next_step="name the columns: balance scan DATA --patients FILE.csv --columns 'file=COLUMN patient=COLUMN "
        "sex=COLUMN age=COLUMN view=COLUMN site=COLUMN'",
    )


def normalised(cells: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Each distinct text is read once, so that a million rows cost little."""
    rows, findings = pd.DataFrame(index=cells.index), []
    for role in map(str, cells):
        texts = cells[role].to_numpy(object)
        if role == "file":
            rows[role] = pd.Series([_path(text) for text in texts], cells.index, dtype=object)
            continue
        places, distinct = pd.factorize(texts)
        missing = np.array([text.strip().casefold() in _NOTHING_TOLD[role] for text in distinct], bool)
        values = [None if gone else _READERS[role](text.strip()) for text, gone in zip(distinct, missing, strict=True)]
        known = np.array([*values, None], float if role == "age" else object)
        rows[role] = pd.Series(known[places], cells.index)
        failed = np.array([value is None for value in values], bool) & ~missing
        if failed.any():
            findings.append(_unreadable(role, pd.Series(texts[failed[places]], dtype=object).str.strip()))
    return rows, tuple(findings)


def _path(text: str) -> str:
    return re.sub(r"^(?:\./)+", "", text.strip().replace("\\", "/"))


def _sex(text: str) -> str | None:
    return _SEX.get(text.casefold())


def _age(text: str) -> float | None:
    """Years, of "34", "034Y" or "034M" as DICOM writes them, "90+"; nothing for what no one reaches."""
    found = re.fullmatch(_AGE, text.casefold())
    if found is None:
        return None
    age = float(found[1].replace(",", ".")) / _IN_A_YEAR.get((found[2] or "y")[0], 1.0)
    return age if age <= MAX_AGE else None


def _view(text: str) -> str | None:
    known = _VIEW.get(re.sub(r"[\W_]+", "", text).casefold())
    return known or (text if re.fullmatch(_PLAIN_VIEW, text) else None)


_READERS: Mapping[str, Callable[[str], object]] = {"patient": str, "sex": _sex, "age": _age, "view": _view, SITE: str}


def _shown(role: str, text: str) -> str:
    """An example of a value; of what may be a date of birth, how it is written alone."""
    is_date = role == "age" and sum(letter.isdigit() for letter in text) > _AGE_DIGITS
    return shape_of(text[:_LONGEST]) if is_date else text[:_LONGEST]


def _unreadable(role: str, failed: pd.Series) -> Finding:
    counts = failed.value_counts()
    examples = ", ".join(repr(_shown(role, text)) for text in counts.index[:_NUMBER])
    what = f"{role} could not be read in {len(failed)} rows of the table, for instance {examples}"
    limits = {"age": f"write years from 0 to {MAX_AGE}", "sex": "write female or male", "view": "write PA, AP, lateral"}
    return Finding("table-unreadable", (), f"{what}; it counts as unknown", limits.get(role, "correct the table"))
