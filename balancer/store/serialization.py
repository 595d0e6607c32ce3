"""Values as the ledger holds them in text, and back; what is to be said where they are not as they were written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path, PurePosixPath
from sys import intern
from typing import Any

import pandas as pd

from balancer.collection.findings import Finding
from balancer.collection.image_stats import Contents
from balancer.collection.label_sets import LabelSets
from balancer.collection.listed import COLUMNS, DTYPES
from balancer.collection.metadata_table import TableRef
from balancer.collection.sources.reading import SourceRef
from balancer.jobs import DECISIONS, ExternalOrigin, Job, Verdict, is_id_of
from balancer.splits.split import PARTS, Split
from balancer.store.faults import damaged

CONTENTS = tuple(field.name for field in fields(Contents))
"""The columns of what is inside an image."""
_REPEATED = ("label", "part", "patient", "format", "mode", "sex", "view", "labels", "told")


def value_from(text: str) -> Any:
    """Decode a stored JSON text.

    Raises:
        DamagedLedger: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, TypeError) as error:
        raise damaged(f"not a JSON value: {str(text)[:40]!r}") from error


def job_from(key: str, label: str, text: str | None) -> Job | None:
    """The job of a candidate; `None` where it was made elsewhere.

    Raises:
        DamagedLedger: it cannot be read, or is not the one that the candidate is named after, or of another class.
    """
    if text is None:
        return None
    try:
        job = Job.from_json(text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(f"the job of candidate {key} cannot be read") from error
    if is_id_of(text, job, key):  # as it is written; to write it again takes ten times as long
        vars(job)["id"] = key
    if (job.id, job.label) != (key, label):
        raise damaged(f"the job of candidate {key} does not match its name")
    return job


def table_to_json(table: TableRef | None, portable: Callable[[Path], str]) -> str | None:
    """Where the table of patients is, by `portable`, and how it was read."""
    if table is None:
        return None
    fields = {"named": dict(table.named), "columns": dict(table.columns), "sha256": table.sha256}
    return json.dumps({"path": portable(table.path), **fields})


def table_from(text: str | None, place: Callable[[str], Path]) -> TableRef | None:
    """Read the reference to a table of patients; `place` makes a path of a stored one.

    Raises:
        DamagedLedger: it is no JSON.
    """
    if text is None:
        return None
    fields = value_from(text)
    return TableRef(**{**fields, "path": place(fields["path"])})


def source_to_json(source: SourceRef | None, portable: Callable[[Path], str]) -> str | None:
    """Where the labels come from; files among the options by `portable`."""
    if source is None:
        return None
    options = {
        name: _in_options(name, value, lambda text: portable(Path(text))) for name, value in source.options.items()
    }
    return json.dumps({**asdict(source), "options": options})


def source_from(text: str | None, place: Callable[[str], Path]) -> SourceRef | None:
    """Read where labels come from; `place` makes a path of a stored one.

    Raises:
        DamagedLedger: it is no JSON.
    """
    if text is None:
        return None
    fields = value_from(text)
    options = {
        name: _in_options(name, value, lambda text: str(place(text).resolve()))
        for name, value in fields["options"].items()
    }
    return SourceRef(**{**fields, "options": options})


def _in_options(name: str, value: Any, change: Callable[[str], str]) -> Any:
    """The value of an option with the files that it names changed."""
    if name == "labels":
        return [change(each) for each in value]
    if name == "split_list":
        pairs = (each.partition("=") for each in value)
        return [f"{part}={change(file)}" for part, _, file in pairs]
    return value


def images_from(chunks: Iterable[Iterable[tuple[Any, ...]]]) -> pd.DataFrame:
    """The table of images, gathered by columns: rows of a million images would take twice the memory."""
    columns: dict[str, list[Any]] = {name: [] for name in ("path", *COLUMNS)}
    same: dict[Any, Any] = {}  # one object for each label, patient, format that many images share
    for rows in chunks:
        for (name, values), more in zip(columns.items(), zip(*rows, strict=True), strict=True):
            values.extend((same.setdefault(each, each) for each in more) if name in _REPEATED else more)
    index = pd.Index(columns.pop("path"), dtype=object, name="path")
    return pd.DataFrame(
        {name: pd.Series(values, index, dtype=DTYPES.get(name)) for name, values in columns.items()}, index=index
    )


def label_sets_from(rows: Sequence[tuple[str, str]], paths: pd.Index, source: SourceRef | None) -> LabelSets | None:
    """What is known of each finding on each image; None where images have one class.

    Raises:
        DamagedLedger: it does not fit the images, or the labels.
    """
    if not rows or source is None:
        return None
    if [path for path, _ in rows] != paths.tolist():
        raise damaged("marks of other images")
    try:
        return LabelSets.from_texts(paths, [text for _, text in rows], source.labels, source.nothing)
    except ValueError as error:
        raise damaged(str(error)) from error


def require_parts(rows: Iterable[tuple[str]]) -> None:
    """See that each part of a split is one that there is.

    Raises:
        DamagedLedger: it is not.
    """
    for (part,) in rows:
        if part not in PARTS:
            raise damaged(f"not a split: {str(part)[:40]!r}")


def split_from(rows: Sequence[tuple[str, str, Any]], origin: Any, seed: int) -> Split:
    """A split from paths with their parts and folds."""
    index = pd.Index([path for path, _, _ in rows], dtype=object)  # with its type: lookups are ten times as fast
    parts = pd.Series([part for _, part, _ in rows], index, dtype=object)
    folds = pd.Series([fold for _, _, fold in rows], index, dtype=object).dropna().astype("int64")
    return Split(parts, origin, seed, folds)


def contents_from(row: Sequence[Any]) -> Contents:
    """What is inside an image."""
    found = Contents(**dict(zip(CONTENTS, row, strict=True)))
    return replace(found, marked=bool(found.marked))


def finding_to_row(finding: Finding) -> tuple[str, str, str, str]:
    """A finding with its paths as JSON."""
    return finding.kind, json.dumps([str(path) for path in finding.paths]), finding.message, finding.fix


def finding_from(kind: str, paths: str, message: str, fix: str) -> Finding:
    """Read a finding from its columns."""
    return Finding(kind, tuple(PurePosixPath(path) for path in value_from(paths)), message, fix)


def origin_to_json(origin: ExternalOrigin | None) -> str | None:
    """The origin of an image that was made elsewhere, without the place of the store."""
    return None if origin is None else json.dumps({**asdict(origin), "given": origin.given.name}, sort_keys=True)


def origin_from(text: str | None, store: Path) -> ExternalOrigin | None:
    """Read the origin of an external image, whose file is in `store`."""
    if text is None:
        return None
    fields = value_from(text)
    return ExternalOrigin(**{**fields, "given": store / fields["given"]})


def verdict_to_row(verdict: Verdict) -> tuple[str, str, str, str]:
    """A verdict with its scores and reasons as JSON."""
    scores, reasons = json.dumps(dict(verdict.scores), sort_keys=True), json.dumps(verdict.reasons)
    return verdict.decision, scores, reasons, verdict.reviewer


def verdict_from(decision: Any, scores: str, reasons: str, reviewer: str) -> Verdict:
    """Read a verdict from its columns.

    Raises:
        DamagedLedger: it is none.
    """
    if decision not in DECISIONS:
        raise damaged(f"not a decision: {str(decision)[:40]!r}")
    numbers, words = value_from(scores), value_from(reasons)
    try:  # names, words and reviewers are the same ones again and again
        shared = {intern(name): value for name, value in numbers.items()}
        return Verdict(decision, shared, tuple(map(intern, words)), intern(reviewer))
    except (TypeError, AttributeError) as error:
        raise damaged("a verdict cannot be read") from error
