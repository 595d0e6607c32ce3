"""The one reader of tables: CSV and its like in any common encoding, gzip, XLSX and Parquet; all cells as text."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from balancer.errors import TableError
from balancer.files import MAX_COLUMNS, MAX_TABLE, read_plainly

MAX_CELLS = 200_000_000
MAX_UNPACKED = 1 << 30
"""Bytes that a compressed table may have when it is unpacked."""
_SEPARATORS = (",", "\t", ";", "|")
_SAMPLE = 1 << 16
_LINES = 50
_IMAGE = re.compile(r"\.(?:png|jpe?g|tiff?|bmp|webp|dcm|dicom)$", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_ADVICE = "export it as CSV in UTF-8, and name that file in the same balance command"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was read: `header` are the names of its columns without blanks around them, `cells` their texts.

    A table without a header line has the numbers from 1 as names. The columns of `cells` are numbers from 0.
    """

    path: Path
    header: tuple[str, ...]
    cells: pd.DataFrame
    sha256: str
    has_header: bool = True

    def column(self, name: str) -> int | None:
        """The place of a column by its name, whatever its case, else by its number from 1."""
        places = [place for place, each in enumerate(self.header) if each == name.strip()]
        places += [place for place, each in enumerate(self.header) if each.casefold() == name.strip().casefold()]
        if places:
            return places[0]
        return int(name) - 1 if name.isdecimal() and 1 <= int(name) <= len(self.header) else None


def read_table(path: Path) -> Table:
    """Read a table; no cell is evaluated, and numbers stay as they are written.

    Raises:
        TableError: no such file, no table, or one that would take too much.

    >>> path = folder / "meta.csv"
    >>> _ = path.write_text("image; label\\n001.png;mass\\n")
    >>> read_table(path).header, read_table(path).cells.values.tolist()
    (('image', 'label'), [['001.png', 'mass']])
    """
    data = _read(path)
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        if data[:4] == b"PAR1":
            header, cells = _parquet(data)
            return _checked(Table(path, header, cells, sha256))
        if data[:2] == b"PK":
            return _checked(_from_rows(path, _workbook(data), sha256))
        return _checked(_from_text(path, _decoded(path, _unpacked(data)), sha256))
    except TableError:
        raise
    except Exception as error:  # readers of damaged workbooks and of Parquet raise anything
        raise _refused(path, "a table that can be read", _plain(error)) from error


def read_list(path: Path) -> list[str]:
    """The files that a list names, one a line; of a table, its first column without the header.

    Raises:
        TableError: no such file, or no text.
    """
    return read_table(path).cells[0].str.strip().tolist()


def _read(path: Path) -> bytes:
    try:
        return read_plainly(path, MAX_TABLE)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _refused(
            path,
            "a table: CSV, TSV, XLSX or Parquet",
            why,
            "check its name, then run the same balance command again",
        ) from error


def _unpacked(data: bytes) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        with gzip.open(io.BytesIO(data)) as file:
            content = file.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"gzip: {error}") from error
    if len(content) > MAX_UNPACKED:
        raise ValueError(f"more than {MAX_UNPACKED:,} bytes when unpacked")
    return content


def _decoded(path: Path, data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    if b"\0" in data[:_SAMPLE]:
        return _without_mark(path, data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return data.decode(_encoding(data[max(0, error.start - _SAMPLE // 2) :][:_SAMPLE]), "replace")


def _without_mark(path: Path, data: bytes) -> str:
    """UTF-16 without a mark at its beginning: every other byte of plain letters is zero."""
    even, odd = data[:_SAMPLE:2].count(0), data[1:_SAMPLE:2].count(0)
    if max(even, odd) > 4 * min(even, odd) and max(even, odd) * 4 > len(data[:_SAMPLE]):
        return data.decode("utf-16-le" if odd > even else "utf-16-be")
    raise _refused(path, "a table as text, XLSX or Parquet", "not text (an old Excel workbook?)")


def _encoding(sample: bytes) -> str:
    """The likeliest encoding of text that is no UTF-8; Windows' western one where nothing speaks for another."""
    from charset_normalizer import from_bytes

    found = from_bytes(sample, cp_isolation=["cp1252", "latin_1", "gb18030", "shift_jis", "euc_kr", "big5", "cp1251"])
    best = found.best()
    return "cp1252" if best is None or best.encoding in ("latin_1", "ascii") else best.encoding


def _from_text(path: Path, text: str, sha256: str) -> Table:
    text = text.lstrip("\r\n")
    first = text[:_SAMPLE]
    separator = _separator(first)
    header = _split(first, separator)
    if not any(name.strip() for name in header):
        raise _refused(path, "a table with rows", "it is empty")
    if len(header) > MAX_COLUMNS:
        raise _refused(path, f"a table of at most {MAX_COLUMNS:,} columns", "one with more")
    has_header = is_header(header)
    return _named(path, header, _parsed(path, text, separator, len(header), has_header), sha256, has_header)


def _from_rows(path: Path, rows: Sequence[Sequence[str]], sha256: str) -> Table:
    width = max(map(len, rows), default=0)
    if not width:
        raise _refused(path, "a table with rows", "its first sheet is empty")
    header = [*rows[0], *[""] * (width - len(rows[0]))]
    has_header = is_header(header)
    cells = pd.DataFrame([[*row, *[""] * (width - len(row))] for row in rows[has_header:]], columns=range(width))
    return _named(path, header, cells.astype(str), sha256, has_header)


def _named(path: Path, header: Sequence[str], cells: pd.DataFrame, sha256: str, has_header: bool) -> Table:
    names = [name.strip() for name in header] if has_header else [str(n) for n in range(1, len(header) + 1)]
    return Table(path, tuple(names), cells, sha256, has_header)


def is_header(first: Sequence[str]) -> bool:
    """Whether a first line holds names: no file, no path, no number.

    >>> is_header(["Path", "Frontal/Lateral", "AP/PA"]), is_header(["train/p1/study1/", "0"])
    (True, False)
    """
    return not any(_is_value(cell.strip()) for cell in first if cell.strip()) or _counts_up(first)


def _is_value(cell: str) -> bool:
    return bool(_IMAGE.search(cell) or cell.count("/") > 1 or cell.endswith("/") or _NUMBER.fullmatch(cell))


def _counts_up(first: Sequence[str]) -> bool:
    """Whether the names are 0, 1, 2, ... as some programs write where there are none."""
    named = [cell.strip() for cell in first if cell.strip()]
    return len(named) > 1 and named == [str(number) for number in range(len(named))]


def _separator(text: str) -> str:
    found = {mark: len(_split(text, mark)) for mark in _SEPARATORS}
    best = max(found, key=lambda mark: found[mark])
    if found[best] > 1:
        return best
    lines = [line.strip() for line in text.splitlines()[:_LINES] if line.strip()]
    counts = {len(line.split()) for line in lines[: max(1, len(lines) - 1)]}  # the last may be cut
    by_blanks = len(counts) == 1 and counts != {1} and any(_IMAGE.search(word) for word in lines[0].split()[:-1])
    return " " if by_blanks else ","


def _split(text: str, separator: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])  # "\r" alone ends lines too
    except csv.Error:  # an open quote, control characters
        return []


def _parsed(path: Path, text: str, separator: str, width: int, has_header: bool) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)  # of a separator at each line's end
            return pd.read_csv(
                io.StringIO(text),
                sep=separator,
                header=0 if has_header else None,
                names=range(width),
                index_col=False,
                dtype=str,
                na_filter=False,
            )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise TableError(
            needed=f"the same number of cells in each line of {path.name} as in the header: {width}",
            found=str(error).strip(),
            next_step="correct that line, or export the table again with quoted text, then: balance scan DATA",
        ) from error


def _workbook(data: bytes) -> list[list[str]]:
    """The first sheet's rows; a workbook is an archive, and may be far larger than its file."""
    import openpyxl

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_UNPACKED:
            raise ValueError(f"{unpacked:,} bytes when unpacked; at most {MAX_UNPACKED:,} are read")
        if "xl/workbook.xml" not in archive.namelist():
            raise ValueError("an archive, not a workbook")
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    try:
        rows, cells = [], 0
        for row in book.worksheets[0].iter_rows(values_only=True):
            if len(row) > MAX_COLUMNS or (cells := cells + len(row)) > MAX_CELLS:
                raise ValueError(f"more than {MAX_COLUMNS:,} columns or {MAX_CELLS:,} cells")
            rows.append(_trimmed([_text(value) for value in row]))
    finally:
        book.close()
    return [row for row in rows if row]


def _trimmed(row: list[str]) -> list[str]:
    while row and not row[-1]:
        row.pop()
    return row


def _parquet(data: bytes) -> tuple[tuple[str, ...], pd.DataFrame]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(data))
    meta = file.metadata
    size = sum(meta.row_group(number).total_byte_size for number in range(meta.num_row_groups))
    if size > MAX_UNPACKED or meta.num_columns > MAX_COLUMNS or meta.num_rows * meta.num_columns > MAX_CELLS:
        raise ValueError(f"{meta.num_rows:,} rows of {meta.num_columns:,} columns, {size:,} bytes unpacked")
    columns = [_texts(column.to_pylist()) for column in file.read().columns]
    names = tuple(name.strip() for name in file.schema_arrow.names)
    return names, pd.DataFrame(dict(enumerate(columns)), dtype=str)


def _texts(values: Iterable[Any]) -> list[str]:
    same: dict[str, str] = {}
    return [same.setdefault(text, text) for text in map(_text, values)]


def _text(value: Any) -> str:
    """A cell as it would stand in CSV."""
    if value is None or value != value:  # NaN is not itself
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat(sep=" ")
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value.isoformat() if isinstance(value, date) else str(value)


def _checked(table: Table) -> Table:
    if len(table.header) > MAX_COLUMNS or table.cells.size > MAX_CELLS:
        raise ValueError(f"{table.cells.shape[0]:,} rows of {len(table.header):,} columns, more than can be read")
    return table


def _plain(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _refused(path: Path, needed: str, found: str, advice: str = _ADVICE) -> TableError:
    return TableError(needed=needed, found=f"{path}: {found}", next_step=advice)
