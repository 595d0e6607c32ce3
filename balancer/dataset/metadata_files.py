"""The files beside the images of a balanced folder: `metadata.parquet`, `provenance.csv` and the manifest."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from balancer import __version__
from balancer.collection.scan import Sample
from balancer.errors import OutputError
from balancer.jobs import Candidate, Job, ModelRef, Verdict

MANIFEST = "balance.json"
TABLE = "metadata.parquet"
PROVENANCE = "provenance.csv"
CARD = "README.md"
ORIGINALS = "original"
"""The fact that says what real images are, where they are no copies."""
FORMAT = 1
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
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


def table_bytes(rows: Sequence[Row], folder: str, labels: Sequence[str]) -> bytes:
    """`metadata.parquet` for the rows of one folder.

    Its schema carries what `datasets.Features` would write there, so that `label` comes back as a `ClassLabel` whose
    numbers are those of `ImageFolder`.
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
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pydict(columns, schema=schema), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def read_rows(folder: Path, manifest: Manifest) -> dict[str, Row]:
    """All rows of a balanced folder by path.

    Raises:
        OutputError: a table is missing, damaged or names files outside the folder.
    """
    return {row.path: row for part in manifest.tables for row in read_table(folder, part, manifest)}


def read_table(folder: Path, part: str, manifest: Manifest, file_name: str | None = None) -> Iterator[Row]:
    """The rows of one part's table, or only that of one file.

    Raises:
        OutputError: the table is missing, damaged or names files outside the folder.
    """
    filters = None if file_name is None else [("file_name", "==", file_name)]
    try:
        there = pq.read_schema(folder / part / TABLE).names
        known = [name for name in _COLUMNS if name in there or name not in _LATER]
        found = pq.read_table(folder / part / TABLE, columns=known, filters=filters, partitioning=None)
        columns = [found[name].to_pylist() for name in known]
        yield from [_row(part, manifest.labels, *values) for values in zip(*columns, strict=True)]
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        raise OutputError(
            needed=f"the {TABLE} that balance fill wrote",
            found=f"{part or '.'}/{TABLE} is missing or damaged",
            next_step="move the folder aside, then make it again: balance fill",
        ) from error


def provenance_bytes(entries: Iterable[tuple[str, str, Candidate, Verdict]]) -> bytes:
    """`provenance.csv` for (path, sha256, candidate, verdict) of each synthetic file.

    A cell that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    buffer = io.StringIO()
    rows = [_provenance(*entry) for entry in entries]
    writer = csv.DictWriter(buffer, list(_PROVENANCE_COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: escape_formula(value) for name, value in row.items()} for row in rows)
    return buffer.getvalue().encode(errors="replace")


def read_provenance_row(folder: Path, path: str) -> dict[str, str]:
    """The row of `provenance.csv` for one file, as it was before it was guarded; empty where there is none."""
    return next((row for row in provenance_rows(folder) if row.get("file") == path), {})


def provenance_rows(folder: Path) -> Iterator[dict[str, str]]:
    """The rows of `provenance.csv` as they were before they were guarded, as far as they can be read."""
    try:
        with (folder / PROVENANCE).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield {name: unescape_formula(value) for name, value in row.items() if name and isinstance(value, str)}
    except (OSError, ValueError, csv.Error):
        pass  # the table beside the images is the authority; this only adds to it


def escape_formula(cell: str) -> str:
    """Make a cell plain text for any spreadsheet.

    >>> escape_formula("=HYPERLINK(0)"), unescape_formula(escape_formula("=HYPERLINK(0)"))
    ("'=HYPERLINK(0)", '=HYPERLINK(0)')
    """
    return f"'{cell}" if cell.startswith(_DANGEROUS) else cell


def unescape_formula(cell: str) -> str:
    """Undo `escape_formula`."""
    return cell[1:] if cell.startswith("'") else cell


def _row(part: str, labels: Sequence[str], file_name: str, label: int, *others: Any) -> Row:
    if file_name.startswith("/") or ".." in file_name.split("/"):
        raise ValueError("a file outside the folder")
    return Row(f"{part}/{file_name}" if part else file_name, labels[label], *others)


def _provenance(path: str, sha256: str, candidate: Candidate, verdict: Verdict) -> dict[str, str]:
    job = candidate.job
    known = {} if job is None else {**_job(job), **_config(job), **_method(job)}
    return {
        **dict.fromkeys(_PROVENANCE_COLUMNS, ""),
        **{"file": path, "label": candidate.label, "sha256": sha256, "pixels_sha256": candidate.pixels},
        **{"generator": "external" if job is None else "balance", **_origin(candidate)},
        **{name: "" if value is None else str(value) for name, value in known.items()},
        **{"decision": verdict.decision, "reviewer": verdict.reviewer},
        "scores": json.dumps(dict(verdict.scores), sort_keys=True),
        "reasons": json.dumps(list(verdict.reasons), ensure_ascii=False),
    }


def _origin(candidate: Candidate) -> dict[str, str]:
    origin = candidate.origin
    return {} if origin is None else {"original_file": origin.file, "original_sha256": origin.sha256}


def _job(job: Job) -> dict[str, Any]:
    prompt = job.prompt
    slots = json.dumps(dict(prompt.slots), sort_keys=True, ensure_ascii=False)
    return {
        **{"job_id": job.id, "index": job.index, "seed": job.seed, "prompt": prompt.text},
        **{"negative_prompt": prompt.negative, "template": prompt.template, "slots": slots},
    }


def _config(job: Job) -> dict[str, Any]:
    config = job.config
    names = ("scheduler", "steps", "guidance_scale", "width", "height", "dtype", "batch_size")
    scale = config.adapter_scale if config.adapter else None
    return {
        **_model("model", config.model),
        **_model("adapter", config.adapter),
        "adapter_scale": scale,
        **{name: getattr(config, name) for name in names},
    }


def _model(kind: str, model: ModelRef | None) -> dict[str, Any]:
    if model is None:
        return {}
    return {kind: model.name, f"{kind}_revision": model.revision, f"{kind}_sha256": model.sha256}


def _method(job: Job) -> dict[str, Any]:
    method = job.method
    return {
        "mode": method.mode,
        **_sample("source", method.source),
        "strength": method.strength,
        **_sample("reference", method.reference),
    }


def _sample(kind: str, sample: Sample | None) -> dict[str, Any]:
    if sample is None:
        return {}
    return {f"{kind}_path": sample.path, f"{kind}_patient": sample.patient, f"{kind}_sha256": sample.sha256}


_PROVENANCE_COLUMNS = (
    *(
        "file",
        "label",
        "sha256",
        "pixels_sha256",
        "generator",
        "original_file",
        "original_sha256",
        "job_id",
        "index",
        "seed",
        "prompt",
        "negative_prompt",
        "template",
        "slots",
    ),
    *(
        "model",
        "model_revision",
        "model_sha256",
        "adapter",
        "adapter_revision",
        "adapter_sha256",
        "adapter_scale",
    ),
    *("scheduler", "steps", "guidance_scale", "width", "height", "dtype", "batch_size"),
    *("mode", "source_path", "source_patient", "source_sha256", "strength"),
    *("reference_path", "reference_patient", "reference_sha256"),
    *("decision", "reviewer", "scores", "reasons"),
)
