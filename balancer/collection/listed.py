"""What a source tells of files as a table of images: classes, splits, patients, facts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from balancer.collection.findings import Finding
from balancer.collection.label_sets import GIVEN, MARK, UNCERTAIN, UNKNOWN, LabelSets
from balancer.collection.metadata_table import VALUES, normalised
from balancer.collection.several_labels import to_text
from balancer.collection.sources.reading import Reading
from balancer.errors import CollectionError

COLUMNS = [
    *("label", "part", "patient", "format", "mode", "bits", "width", "height", "size", "mtime_ns", "sha256"),
    *("sex", "age", "view", "labels", "told"),
]
DTYPES = {
    **dict.fromkeys(("label", "part", "patient", "format", "mode", "sha256", "sex", "view", "labels", "told"), object),
    "age": float,
}
_FACTS = ("patient", *VALUES)


def listed(reading: Reading, sets: LabelSets | None = None) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """A table of the files with what their source tells, the rest missing; and what of it cannot be read.

    Where images have several findings, `sets` are theirs.
    """
    files = reading.listing
    index = pd.Index(files.paths, dtype=object, name="path")  # with its type: pandas would look at each text for one
    unknown = pd.Series([None] * len(index), index, dtype=object)
    columns = dict.fromkeys(COLUMNS, unknown) | {"age": unknown.astype(float)}
    classes = reading.classes() if sets is None else sets.names()
    texts = {
        "label": np.asarray(classes, object),
        "part": reading.parts,
        "labels": _labels(reading),
        "told": _told(reading),
    }
    columns |= {name: pd.Series(values, index, dtype=object) for name, values in texts.items() if values is not None}
    numbers = {"size": files.sizes, "mtime_ns": files.times}
    columns |= {name: pd.Series(np.array(values, np.int64), index) for name, values in numbers.items()}
    facts, findings = _facts(reading)
    columns |= {name: facts[name].set_axis(index) for name in facts}  # type: ignore[misc]
    return pd.DataFrame(columns), findings


def label_sets(reading: Reading) -> LabelSets | None:
    """What is known of each finding on each file, where files have several labels or none; else None.

    Raises:
        CollectionError: a label's name has the mark that stands between those of a set.
    """
    if not reading.is_undecided:
        return None
    wrong = [name for name in reading.labels.names if MARK in name]
    if wrong:
        raise CollectionError(
            needed=f"names of findings without {MARK}",
            found=repr(wrong[0]),
            next_step=f"rename it: balance scan DATA --map '{wrong[0]}={wrong[0].replace(MARK, ' ')}'",
        )
    told = {GIVEN: reading.labels, UNCERTAIN: reading.uncertain, UNKNOWN: reading.untold}
    pairs = {value: (labels.owners, labels.which) for value, labels in told.items() if labels is not None}
    paths = pd.Index(reading.listing.paths, dtype=object, name="path")
    return LabelSets.from_pairs(paths, reading.labels.names, pairs)


def _facts(reading: Reading) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Patient, sex, age and view in the form that all else knows."""
    known = {name: _blank(values) for name, values in reading.facts.items() if name in _FACTS}  # type: ignore[arg-type]
    if not known:
        return pd.DataFrame(), ()
    rows, findings = normalised(pd.DataFrame(known, dtype=object))
    return rows.assign(**{name: rows[name].astype(DTYPES[name]) for name in rows}), findings  # type: ignore[arg-type, index]


def _blank(values: Sequence[Any]) -> list[str]:
    return ["" if value is None else str(value) for value in values]


def _labels(reading: Reading) -> list[str] | None:
    """All labels as text, where an image may have several or a class was chosen; None where its class says it all."""
    if reading.chosen is None and not reading.is_undecided:
        return None
    known: dict[tuple[str, ...], str] = {}
    return [known.setdefault(each, to_text(each)) for each in reading.labels.of_each(len(reading.listing.paths))]


def _told(reading: Reading) -> list[str | None] | None:
    """What is known beside patient and age, in the collection's own words."""
    names = [name for name in reading.facts if name not in ("patient", "age")]
    if not names:
        return None
    known: dict[tuple[Any, ...], str | None] = {}
    found = []
    for values in zip(*(reading.facts[name] for name in names), strict=True):
        if values not in known:
            said = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            known[values] = json.dumps(said, ensure_ascii=False) if said else None
        found.append(known[values])
    return found
