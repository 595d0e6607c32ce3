"""`provenance.csv` of a balanced folder: what every synthetic image is and where it comes from, a row each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from balancer.collection.scan import Sample
from balancer.devices import MADE_AGAIN
from balancer.jobs import Candidate, Job, ModelRef, Verdict

PROVENANCE = "provenance.csv"
COLUMNS = (
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
    *("scheduler", "steps", "guidance_scale", "width", "height", "dtype", "batch_size", "device"),
    *("mode", "source_path", "source_patient", "source_sha256", "strength", "mask", "mask_from"),
    *("reference_path", "reference_patient", "reference_sha256"),
    *("decision", "reviewer", "scores", "reasons"),
)
_OF_SETS = ("wanted_finding", "unknown_findings")
"""Columns of images with several findings alone: what one was made for, and what an edit may have kept or removed."""
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")


def provenance_bytes(
    entries: Iterable[tuple[str, str, Candidate, Verdict]], unknown: Callable[[Candidate], Sequence[str]] | None = None
) -> bytes:
    """`provenance.csv` for (path, sha256, candidate, verdict) of each synthetic file.

    Where images have several findings, `unknown` gives those of which an edit left it open whether they are there.
    A cell that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    buffer = io.StringIO()
    rows = [
        _provenance(*entry) | ({} if unknown is None else _of_sets(entry[2], unknown(entry[2]))) for entry in entries
    ]
    columns = COLUMNS if unknown is None else (*COLUMNS, *_OF_SETS)
    writer = csv.DictWriter(buffer, list(columns), lineterminator="\n")
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
    """Remove the apostrophe that `escape_formula` put before a cell."""
    return cell[1:] if cell.startswith("'") else cell


def _provenance(path: str, sha256: str, candidate: Candidate, verdict: Verdict) -> dict[str, str]:
    job = candidate.job
    known = {} if job is None else {**_job(job), **_config(job), **_method(job)}
    if candidate.device.endswith(MADE_AGAIN):
        known["dtype"] = "float32"
    return {
        **dict.fromkeys(COLUMNS, ""),
        **{"file": path, "label": candidate.label, "sha256": sha256, "pixels_sha256": candidate.pixels},
        **{"generator": "external" if job is None else "balance", **_origin(candidate), "device": candidate.device},
        **{name: "" if value is None else str(value) for name, value in known.items()},
        **{"decision": verdict.decision, "reviewer": verdict.reviewer},
        "scores": json.dumps(dict(verdict.scores), sort_keys=True),
        "reasons": json.dumps(list(verdict.reasons), ensure_ascii=False),
    }


def _origin(candidate: Candidate) -> dict[str, str]:
    origin = candidate.origin
    return {} if origin is None else {"original_file": origin.file, "original_sha256": origin.sha256}


def _of_sets(candidate: Candidate, unknown: Sequence[str]) -> dict[str, str]:
    return dict(zip(_OF_SETS, (candidate.wanted, json.dumps(list(unknown), ensure_ascii=False)), strict=True))


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
        **{"strength": method.strength, "mask": method.mask, "mask_from": method.mask_from},
        **_sample("reference", method.reference),
    }


def _sample(kind: str, sample: Sample | None) -> dict[str, Any]:
    if sample is None:
        return {}
    return {f"{kind}_path": sample.path, f"{kind}_patient": sample.patient, f"{kind}_sha256": sample.sha256}
