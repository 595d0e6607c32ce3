"""The table and the manifest beside the images of a balanced folder: `metadata.parquet` and `balance.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from balancer import __version__
from balancer.dataset.finding_columns import apart
from balancer.errors import OutputError
from balancer.files import sha256_if_there

MANIFEST = "balance.json"
TABLE = "metadata.parquet"
CARD = "README.md"
ORIGINALS = "original"
"""The fact that says what real images are, where they are no copies."""
FORMAT = 1
_SET = "label_set"
"""The column of the whole label set, in place of `label`, where images have several findings."""
_BETWEEN_STAMPS = re.compile(r"; (?!th(?:at|is) )")  # one stamp has a semicolon of its own
_LATER = ("mode", "source", "reference", "original_sha256")
"""Columns that tables of earlier versions lack."""
_COLUMNS = {
    **{
        "file_name": "string",
        "label": "int64",
        "is_synthetic": "bool",
        "patient": "string",
        "sha256": "string",
    },
    **{"decision": "string", "model": "string", "prompt": "string", "seed": "int64", "job_id": "string"},
    **dict.fromkeys(_LATER, "string"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One image of a balanced folder.

    `path` is relative to the folder. `patient` of a synthetic image is that of the real image it was made from. What
    follows `sha256` is known of synthetic images alone, and what follows `decision` not of those that were made
    elsewhere. `source` and `reference` are the real images, by their paths in the collection, that it was made from
    and has its intensities from. `original_sha256` is the hash of the collection's file where a real image is no copy.
    """

    path: str
    label: str
    is_synthetic: bool
    patient: str | None
    sha256: str
    decision: str | None = None
    model: str | None = None
    prompt: str | None = None
    seed: int | None = None
    job_id: str | None = None
    mode: str | None = None
    source: str | None = None
    reference: str | None = None
    original_sha256: str | None = None

    @property
    def collection_sha256(self) -> str:
        """The hash by which a real image is known in its collection."""
        return self.original_sha256 or self.sha256


@dataclass(frozen=True, slots=True)
class Manifest:
    """What makes a folder ours. `training` is the training folder within it ("" for the folder itself).

    `counts` are (real, synthetic) by folder and class; `files` are the hashes of the other files beside the images.
    """

    training: str
    labels: tuple[str, ...]
    counts: Mapping[str, Mapping[str, tuple[int, int]]]
    facts: Mapping[str, str]
    files: Mapping[str, str]
    version: str = __version__
    unmerging: bool = False

    def to_json(self) -> bytes:
        """The content of `balance.json`."""
        content = {"tool": "balance", "format": FORMAT, **asdict(self)}
        return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()

    @property
    def tables(self) -> list[str]:
        """The folders that have a `metadata.parquet`."""
        return [path[: -len(TABLE)].rstrip("/") for path in self.files if PurePosixPath(path).name == TABLE]


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a balanced folder, or `None` where there is none that can be read: the folder is not ours."""
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
        if content.pop("tool") != "balance" or content.pop("format") != FORMAT:
            return None
        content["labels"] = tuple(content["labels"])
        content["counts"] = {
            part: {label: (real, synthetic) for label, (real, synthetic) in counts.items()}
            for part, counts in content["counts"].items()
        }
        return Manifest(**content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def require_manifest(folder: Path) -> Manifest:
    """The manifest of a balanced folder.

    Raises:
        OutputError: the folder is not one that `balance fill` made.
    """
    manifest = read_manifest(folder)
    if manifest is not None:
        return manifest
    what = f"no readable {MANIFEST} in it" if folder.is_dir() else "no such folder"
    raise OutputError(
        needed="a balanced folder, made by: balance fill",
        found=f"{folder}: {what}",
        next_step="name the balanced folder, or make one: balance fill --target max",
    )


def changed_tables(folder: Path, manifest: Manifest) -> list[str]:
    """The files beside the images, but for the card, that are missing or not as they were written."""
    return [path for path, sha in manifest.files.items() if path != CARD and sha256_if_there(folder / path) != sha]


def table_bytes(
    rows: Sequence[Row], folder: str, labels: Sequence[str], marks: Sequence[Mapping[str, int | None]] | None = None
) -> bytes:
    """`metadata.parquet` for the rows of one folder.

    Its schema carries what `datasets.Features` would write there, so that `label` comes back as a `ClassLabel` whose
    numbers are those of `ImageFolder`. Where images have several findings, `marks` has them for each row: then `labels`
    is a list of classes, each finding has a column of 1, 0 or null, and the set as a whole is in `label_set`.
    """
    number = {label: index for index, label in enumerate(labels)}
    start = len(folder) + 1 if folder else 0
    columns = {
        "file_name": [row.path[start:] for row in rows],
        "label": [number[row.label] for row in rows],
        **{name: [getattr(row, name) for row in rows] for name in list(_COLUMNS)[2:]},
    }
    features: dict[str, dict[str, Any]] = {name: {"dtype": kind, "_type": "Value"} for name, kind in _COLUMNS.items()}
    features["label"] = {"names": list(labels), "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    types = {"string": pa.string(), "int64": pa.int64(), "bool": pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in _COLUMNS.items()], metadata=metadata)
    table = pa.Table.from_pydict(columns, schema=schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table if marks is None else _with_findings(table, features, marks), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _with_findings(table: pa.Table, features: Mapping[str, Any], marks: Sequence[Mapping[str, int | None]]) -> pa.Table:
    """The table with a list of classes and a column for each finding; the label set keeps its number."""
    findings = list(marks[0])
    names = list(apart(findings, (*_COLUMNS, "labels", _SET)))
    numbers = [[place for place, value in enumerate(each.values()) if value == 1] for each in marks]
    added = {"labels": pa.array(numbers, pa.list_(pa.int64()))}
    added |= {
        name: pa.array([each[finding] for each in marks], pa.int8())
        for name, finding in zip(names, findings, strict=True)
    }
    told = {_SET if name == "label" else name: kind for name, kind in features.items()}
    told["labels"] = {"feature": {"names": findings, "_type": "ClassLabel"}, "_type": "Sequence"}
    told |= {name: {"dtype": "int8", "_type": "Value"} for name in names}
    table = table.rename_columns([_SET if name == "label" else name for name in table.column_names])
    for name, column in added.items():
        table = table.append_column(name, column)
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": told}})})


def findings_of_folder(folder: Path, manifest: Manifest) -> tuple[str, ...] | None:
    """The findings that a balanced folder's tables have; None where each image has one class.

    Raises:
        OutputError: a table is missing or damaged.
    """
    part = next(iter(manifest.tables))
    try:
        schema = pq.read_schema(folder / part / TABLE)
        return names_of(schema) if _SET in schema.names else None
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        raise _damaged(part) from error


def stamps_in(facts: Mapping[str, str]) -> list[str]:
    """The stamps of a balanced folder, which its facts hold as one text.

    >>> stamps_in({"stamps": "weak; one set; that is all"})
    ['weak', 'one set; that is all']
    """
    said = facts.get("stamps", "")
    return _BETWEEN_STAMPS.split(said) if said else []


def names_of(schema: pa.Schema) -> tuple[str, ...]:
    """The names behind the numbers of `label`, or of `labels` where images have several findings.

    Raises:
        ValueError, LookupError, TypeError: they are not told as they were written.
    """
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    told = features["labels"]["feature"] if "labels" in features else features["label"]
    return tuple(map(str, told["names"]))


def read_rows(folder: Path, manifest: Manifest) -> dict[str, Row]:
    """All rows of a balanced folder by path.

    Raises:
        OutputError: a table is missing, damaged or names files outside the folder.
    """
    return {row.path: row for part in manifest.tables for row in read_table(folder, part, manifest)}


def read_marks(folder: Path, manifest: Manifest) -> tuple[tuple[str, ...], dict[str, list[int | None]]]:
    """The findings of a balanced folder, and 1, 0 or None for each of them by path; none where images have one class.

    Raises:
        OutputError: a table is missing or damaged.
    """
    findings, found = tuple[str, ...](), dict[str, list[int | None]]()
    for part in manifest.tables:
        try:
            table = pq.read_table(folder / part / TABLE, partitioning=None)
            if _SET not in table.column_names:
                continue
            findings = names_of(table.schema)
            columns = [table[name].to_pylist() for name in apart(findings, (*_COLUMNS, "labels", _SET))]
            names = table["file_name"].to_pylist()
            found |= {
                f"{part}/{name}" if part else name: list(marks)
                for name, marks in zip(names, zip(*columns, strict=True), strict=True)
            }
        except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
            raise _damaged(part) from error
    return findings, found


def read_table(folder: Path, part: str, manifest: Manifest, file_name: str | None = None) -> Iterator[Row]:
    """The rows of one part's table, or only that of one file.

    Raises:
        OutputError: the table is missing, damaged or names files outside the folder.
    """
    filters = None if file_name is None else [("file_name", "==", file_name)]
    try:
        there = pq.read_schema(folder / part / TABLE).names
        known = [name for name in _COLUMNS if name in there or name not in _LATER]
        known = [_SET if name == "label" and _SET in there else name for name in known]
        found = pq.read_table(folder / part / TABLE, columns=known, filters=filters, partitioning=None)
        columns = [found[name].to_pylist() for name in known]
        yield from [_row(part, manifest.labels, *values) for values in zip(*columns, strict=True)]
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        raise _damaged(part) from error


def _damaged(part: str) -> OutputError:
    return OutputError(
        needed=f"the {TABLE} that balance fill wrote",
        found=f"{part or '.'}/{TABLE} is missing or damaged",
        next_step="move the folder aside, then make it again: balance fill",
    )


def _row(part: str, labels: Sequence[str], file_name: str, label: int, *others: Any) -> Row:
    if file_name.startswith("/") or ".." in file_name.split("/"):
        raise ValueError("a file outside the folder")
    return Row(f"{part}/{file_name}" if part else file_name, labels[label], *others)
