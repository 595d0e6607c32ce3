"""A user's table of patients: read, its columns found, its values brought to one form, its rows to their images."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import shlex
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from balancer.errors import TableError
from balancer.findings import Finding

USUAL_NAMES = {
    "file": "file filename filepath path relativepath image imageindex imagename imagefile imagefilename imagepath "
    "imageid img imgname imgpath",
    "patient": "patient patientid pid subject subjectid participant participantid",
    "sex": "sex gender patientsex patientgender",
    "age": "age patientage ageyears ageinyears ageatstudy",
    "view": "view viewposition viewpos projection",
}
ROLES = tuple(USUAL_NAMES)
MAX_AGE = 120
_VALUES = ("sex", "age", "view")
_NOTHING = ["", "-", "?", "na", "n/a", "nan", "none", "null"]
_MISSING = [*_NOTHING, "unknown", "unk", "u", "o", "other", "not specified"]
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
_SEPARATORS = (",", "\t", ";", "|")
_NUMBER = 3  # examples in a message


@dataclass(frozen=True, slots=True)
class TableRef:
    """Which table was used: where it lies, the columns that the user named, those found, its content's hash."""

    path: Path
    named: Mapping[str, str]
    columns: Mapping[str, str]
    sha256: str

    @property
    def options(self) -> str:
        """How the user would name it on the command line."""
        pairs = " ".join(f"{role}={column}" for role, column in self.named.items())
        return f"--patients {shlex.quote(str(self.path))}" + (f" --columns {shlex.quote(pairs)}" if pairs else "")


@dataclass(frozen=True, slots=True)
class PatientTable:
    """A table that was read: `rows` has the columns found of file, patient, sex, age (years) and view."""

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
                next_step="put them in quotes: --columns 'patient=PID sex=Gender view=ViewPosition'",
            )
        named |= pairs
    return named


def read_table(path: Path, named: Mapping[str, str] | None = None) -> PatientTable:
    """Read a table with a header line: CSV or its like, UTF-8, UTF-16 or Latin-1; every cell is text, never evaluated.

    Raises:
        TableError: no such file, no table, or without the columns that are needed.
    """
    data = _read(path)
    text = _decode(path, data)
    header, separator = _header(path, text)
    columns = _find_columns(path, header, named or {})
    cells = _cells(path, text, separator, len(header)).iloc[:, [header.index(name) for name in columns.values()]]
    cells.columns = pd.Index(list(columns))
    rows, findings = _normalised(cells)
    ref = TableRef(path, dict(named or {}), columns, hashlib.sha256(data).hexdigest())
    return PatientTable(ref, rows, findings)


def fill_in(images: pd.DataFrame, table: PatientTable) -> tuple[pd.DataFrame, list[Finding]]:
    """The images with what the table tells of each, and what is wrong with the table.

    A row finds its image by the relative path, else by the file's name or stem if only one image has it. What no
    row of the file tells is taken from the rows of its patient, if they agree. A patient known before is kept.

    Raises:
        TableError: not one row fits an image.
    """
    rows, findings = table.rows, list(table.findings)
    contradicted, ambiguous = set[str](), set[str]()
    found, who, result = pd.Series(False, index=images.index), images["patient"], images
    if "file" in rows:
        targets, ambiguous = _targets(rows["file"], images.index)
        told, wrong = _agreed(rows.drop(columns="file"), targets)
        told = told.reindex(images.index)
        contradicted |= set(wrong)
        findings += _ambiguous(ambiguous)
        found |= images.index.isin(targets.dropna())
        who = told["patient"].where(told["patient"].notna(), who) if "patient" in told else who
        result = _filled(result, told if images["patient"].isna().all() else _without_patient(told))
    if "patient" in rows:
        told, wrong = _of_patients(rows)
        result = _filled(result, told.reindex(who).set_axis(images.index), skip=contradicted)
        found |= who.isin(rows["patient"].dropna())
        contradicted |= set(images.index[who.isin(list(wrong))])
        result.loc[who.isin([patient for patient, names in wrong.items() if "sex" in names]), "sex"] = None
    _require_some(images, table, bool(found.any()))
    findings += _contradictory([path for path in images.index if path in contradicted])
    findings += _without_row([path for path in images.index[~found] if path not in ambiguous], table)
    return result, findings


def take_over(images: pd.DataFrame, known: pd.DataFrame, ref: TableRef) -> pd.DataFrame:
    """The images with what an earlier scan knew of them, for a table that is gone."""
    names = [*_VALUES, *(["patient"] if "patient" in ref.columns else [])]
    return _filled(images, known[names].reindex(images.index))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TableError(
            needed="a table of patients: CSV or TSV with a header line",
            found=f"{path}: {error.strerror}",
            next_step="balance scan DATA --patients FILE.csv (--patients '' goes on without one)",
        ) from error


def _decode(path: Path, data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif data[:2] == b"PK" or b"\0" in data:
        raise TableError(
            needed="a table of patients as text, CSV or TSV",
            found=f"{path.name}, which is no text (an Excel workbook?)",
            next_step="export it as CSV, then: balance scan DATA --patients FILE.csv",
        )
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _header(path: Path, text: str) -> tuple[list[str], str]:
    first = text.lstrip("\r\n")[:100_000]
    found = {mark: next(csv.reader(io.StringIO(first), delimiter=mark), []) for mark in _SEPARATORS}
    separator = max(found, key=lambda mark: len(found[mark]))
    header = [name.strip() for name in found[separator]]
    if not any(header):
        raise TableError(
            needed="a table of patients with a header line",
            found=f"{path.name}, which is empty",
            next_step="write a first line such as: file,patient,sex,age,view",
        )
    return header, separator


def _find_columns(path: Path, header: Sequence[str], named: Mapping[str, str]) -> dict[str, str]:
    plain = {re.sub(r"[\W_]+", "", name).casefold(): name for name in reversed(header)}
    columns = {}
    for role, usual in USUAL_NAMES.items():
        if role in named:
            columns[role] = _named_column(path, header, role, named[role])
        elif known := next((plain[name] for name in usual.split() if name in plain), None):
            columns[role] = known
    if not columns.keys() & {"file", "patient"} or not columns.keys() & {"patient", *_VALUES}:
        raise _columns_missing(path, header, "a file or a patient column, and one of what is to be known", columns)
    return columns


def _named_column(path: Path, header: Sequence[str], role: str, name: str) -> str:
    same = [column for column in header if column.casefold() == name.casefold()]
    if not same:
        raise _columns_missing(path, header, f"the column {name!r} for {role}", {})
    return name if name in same else same[0]


def _columns_missing(path: Path, header: Sequence[str], needed: str, columns: Mapping[str, str]) -> TableError:
    known = f" (of these {', '.join(columns.values())} were understood)" if columns else ""
    return TableError(
        needed=f"{needed} in {path.name}",
        found=f"the columns {', '.join(map(repr, header))}{known}",
        next_step="name the columns: balance scan DATA --patients FILE.csv --columns 'file=COLUMN patient=COLUMN "
        "sex=COLUMN age=COLUMN view=COLUMN'",
    )


def _cells(path: Path, text: str, separator: str, width: int) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)  # of a separator at each line's end
            return pd.read_csv(
                io.StringIO(text),
                sep=separator,
                header=0,
                names=range(width),
                index_col=False,
                dtype=str,
                na_filter=False,
            )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise TableError(
            needed=f"as many cells in each line of {path.name} as the header has: {width}",
            found=str(error).strip(),
            next_step="mend that line, or export the table again with texts in quotes",
        ) from error


def _normalised(cells: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Each distinct text is read once, so that a million rows cost little."""
    rows, findings = pd.DataFrame(index=cells.index), []
    for role in map(str, cells):
        texts = cells[role].astype(object).str.strip()
        if role == "file":
            rows[role] = texts.str.replace("\\", "/", regex=False).str.replace(r"^(?:\./)+", "", regex=True)
            continue
        missing = texts.str.casefold().isin(_NOTHING if role == "patient" else _MISSING)
        read = _READERS[role]
        values = texts.map({text: read(text) for text in texts[~missing].unique()})
        rows[role] = values.astype(float if role == "age" else object).where(~missing)
        if (failed := texts[~missing & values.isna()]).size:
            findings.append(_unreadable(role, failed))
    return rows, tuple(findings)


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


_READERS: Mapping[str, Callable[[str], object]] = {"patient": str, "sex": _sex, "age": _age, "view": _view}


def _targets(entries: pd.Series, paths: pd.Index) -> tuple[pd.Series, set[str]]:
    """The image of each row, missing where there is none, and images that a name or stem does not tell apart."""
    targets = pd.Series(None, index=entries.index, dtype=object)
    rest, whole = entries[entries != ""], dict(zip(paths, paths, strict=True))
    while len(rest):  # a path may begin higher up than the collection
        found = rest.map(whole)
        targets.update(found.dropna())
        rest = rest[found.isna()]
        rest = rest[rest.str.contains("/", regex=False)].str.split("/", n=1).str[1]
    ambiguous: set[str] = set()
    taken = set(targets.dropna())
    for short in (_name, _stem):
        left = entries[targets.isna() & (entries != "")].map(short)
        by_name = pd.Series(paths, index=[short(path) for path in paths], dtype=object)
        several = by_name.index.duplicated(keep=False)
        found = left.map(by_name[~several].to_dict()).dropna()
        wide = _differ(entries, found)
        ambiguous |= set(by_name[several & by_name.index.isin(left)]) - taken
        ambiguous |= set(wide)
        found = found[~found.isin(taken | set(wide))]
        targets.update(found)
        taken |= set(found)
    return targets, ambiguous - taken


def _differ(entries: pd.Series, found: pd.Series) -> pd.Series:
    """Images for which rows of several files ask."""
    asked = pd.DataFrame({"target": found, "entry": entries.reindex(found.index)}).drop_duplicates()
    return asked.loc[asked["target"].duplicated(), "target"]


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _stem(path: str) -> str:
    name = _name(path)
    return re.sub(r"\.(?:png|jpe?g|tiff?|bmp|webp|dcm|dicom|nii|gz)$", "", name, flags=re.IGNORECASE)


def _agreed(rows: pd.DataFrame, keys: pd.Series) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """One row for each key; where its rows contradict each other the value is missing, and is told by name.

    Values are compared by number, which a million rows need.
    """
    rows, keys = rows[keys.notna()], keys.dropna()
    places, names = pd.factorize(keys)
    told, different = {}, {}
    for name in map(str, rows):
        codes, values = pd.factorize(rows[name])
        groups = pd.Series(codes).where(codes >= 0).groupby(places)
        least, most = groups.min(), groups.max()
        choice = least.where(least == most, -1).astype(int).to_numpy()  # -1 is the last, nothing
        told[name] = np.append(np.asarray(values, dtype=object), [None])[choice]
        different[name] = (least < most).to_numpy()
    index = pd.Index(names, dtype=object)
    wrong = pd.DataFrame(different, index=index)
    wrong = wrong[wrong.any(axis=1)]
    return (
        pd.DataFrame(told, index=index, dtype=object),
        {str(key): list(wrong.columns[row]) for key, row in zip(wrong.index, wrong.to_numpy(), strict=True)},
    )


def _of_patients(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """What holds for all images of a patient, and which patients have rows that contradict each other.

    Where each image has a row of its own, age and view may differ between those of one patient.
    """
    steady = [name for name in _VALUES if name in rows and (name != "view" or "file" not in rows)]
    told, wrong = _agreed(rows[steady], rows["patient"])
    return told, {who: names for who, names in wrong.items() if "file" not in rows or "sex" in names}


def _without_patient(told: pd.DataFrame) -> pd.DataFrame:
    return told.drop(columns="patient", errors="ignore")


def _filled(images: pd.DataFrame, told: pd.DataFrame, skip: set[str] | None = None) -> pd.DataFrame:
    """What is missing, from the same rows and columns of `told`."""
    kept, images = images.index.isin(list(skip or ())), images.copy()
    for name in told:
        values = images[name].where(images[name].notna() | kept, told[name])
        images[name] = values.astype(float) if name == "age" else values.astype(object).where(values.notna(), None)
    return images


def _require_some(images: pd.DataFrame, table: PatientTable, some: bool) -> None:
    if some:
        return
    name, rows = table.ref.path.name, table.rows
    role = "file" if "file" in rows else "patient"
    here = images.index[0] if role == "file" else images["patient"].dropna().head(1).to_list()
    advice = f"name the right column: --columns '{role}=COLUMN'"
    if role == "patient":
        advice += r", and say how a file's name tells the patient: --patient '(p\d+)'"
    raise TableError(
        needed=f"rows of {name} that fit the images by {role}",
        found=f"none: {table.ref.columns[role]} is {', '.join(map(repr, rows[role].head(_NUMBER)))}, "
        f"and the collection has {here or 'no known patient'}",
        next_step=advice,
    )


def _unreadable(role: str, failed: pd.Series) -> Finding:
    counts = failed.value_counts()
    examples = ", ".join(repr(text[:40]) for text in counts.index[:_NUMBER])
    what = f"{role} could not be read in {len(failed)} rows of the table, for instance {examples}"
    limits = {"age": f"write years from 0 to {MAX_AGE}", "sex": "write female or male", "view": "write PA, AP, lateral"}
    return Finding("table-unreadable", (), f"{what}; it counts as unknown", limits.get(role, "mend the table"))


def _ambiguous(paths: set[str]) -> Iterator[Finding]:
    if paths:
        message = f"the table's file names do not tell {len(paths)} images apart; what it says of them is not taken"
        fix = "write paths into the table's file column, such as CLASS/image.png"
        yield Finding("table-ambiguous", tuple(map(PurePosixPath, sorted(paths))), message, fix)


def _contradictory(paths: Sequence[str]) -> Iterator[Finding]:
    if paths:
        message = f"rows of the table contradict each other for {len(paths)} images; what differs counts as unknown"
        fix = "correct the table, then scan again"
        yield Finding("table-contradiction", tuple(map(PurePosixPath, paths)), message, fix)


def _without_row(paths: Sequence[str], table: PatientTable) -> Iterator[Finding]:
    if paths:
        message = f"{table.ref.path.name} has no row for {len(paths)} images"
        fix = "add them to the table; until then nothing is known of them"
        yield Finding("table-no-row", tuple(map(PurePosixPath, paths)), message, fix)
