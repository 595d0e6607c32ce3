"""What a scan found, for programs; `balancer/cli/scan.schema.json` describes it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from balancer.collection.crosstabs import crosstabs
from balancer.collection.imbalance import FindingImbalance, Imbalance, effective_number
from balancer.collection.label_sets import GIVEN, UNCERTAIN, UNKNOWN, LabelSets
from balancer.collection.scan import Collection, patient_groups
from balancer.collection.several_labels import a_row_for_each_label
from balancer.collection.sources.rows import BOTH
from balancer.collection.walk import canonical_part

if TYPE_CHECKING:
    from balancer.splits.split import Split

_SEX_LETTERS = {"female": "F", "f": "F", "woman": "F", "male": "M", "m": "M", "man": "M", "o": "O", "other": "O"}


def scan_json(
    collection: Collection, split: Split, figures: Imbalance, findings: FindingImbalance | None = None
) -> dict[str, Any]:
    """All that a scan found; `findings` are the figures of images that have several."""
    images, sets = collection.images, collection.label_sets
    each = images if sets is None else a_row_for_each_label(images)
    patients = int(images["patient"].nunique())
    source = collection.source
    return {
        "collection": collection.root.name,
        "images": len(images),
        "imbalance_ratio": None if math.isinf(figures.ratio) else figures.ratio,
        "evenness": figures.evenness,
        **({} if sets is None or findings is None else {"imbalance": _of_findings(sets, findings)}),
        "classes": _classes(each, split, figures) | _without_finding(collection, split, each),
        "split": {"origin": split.origin, "seed": split.seed, "sha256": split.sha256, "folds": split.fold_count},
        "splits": _splits(collection),
        "patients": {
            "pattern": collection.patient_pattern,
            "count": patients or None,
            "groups": [
                {"patient": patient, "images": size, "files": list(names)}
                for patient, size, names in patient_groups(images)
            ],
        },
        "views": _told(collection, "view") or None,
        "sexes": _sexes(collection) or None,
        "ignored": dict(source.ignored) if source else {},
        "unreadable": [
            str(path) for found in collection.findings if found.kind == "unreadable" for path in found.paths
        ],
        "multi_label": bool(source and source.has_several),
        "source": _source(collection),
        "attributes": _attributes(collection, each),
        "findings": [
            {"kind": found.kind, "paths": list(map(str, found.paths)), "message": found.message, "fix": found.fix}
            for found in collection.findings
        ],
    }


def _classes(each: Any, split: Split, figures: Imbalance) -> dict[str, Any]:
    parts = split.parts.reindex(each.index)
    counts = {name: each.loc[parts == name, "label"].value_counts().to_dict() for name in split.parts.unique()}
    whole = each["label"].value_counts().to_dict()
    patients = each.groupby("label")["patient"].nunique().to_dict()
    return {
        label: {
            "images": {"all": whole.get(label, 0), **{name: of.get(label, 0) for name, of in counts.items()}},
            "patients": patients.get(label, 0) or None,
            "share": figures.shares[label],
            "effective_number": figures.effective_numbers[label],
            "deficit": figures.deficits[label],
        }
        for label in figures.counts
    }


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _without_finding(collection: Collection, split: Split, each: Any) -> dict[str, Any]:
    """The label that says that there is no finding, counted as a class is."""
    sets = collection.label_sets
    if sets is None or sets.nothing is None or not (each["label"] == sets.nothing).any():
        return {}
    trained = split.paths("train", "holdout")
    count = int((sets.only(trained).marks[sets.nothing] == GIVEN).sum())
    total, name = len(trained), sets.nothing
    known = Imbalance({name: count}, {name: count / total}, 1, 1, {name: effective_number(count, total)}, {name: 0})
    return _classes(each[each["label"] == name], split, known)


def _of_findings(sets: LabelSets, figures: FindingImbalance) -> dict[str, Any]:
    """The figures of Charte et al. of the training images, and what is uncertain, not known, or without a finding."""
    return {
        "ir": {name: None if math.isinf(ratio) else ratio for name, ratio in figures.ratios.items()},
        "mean_ir": figures.mean_ratio,
        "cvir": figures.variation,
        "scumble": figures.concurrence,
        "together": figures.together,
        "no_finding": {"label": sets.nothing, "images": int(sets.without_finding().sum())},
        "uncertain": _some(sets.counts(UNCERTAIN)),
        "unknown": _some(sets.counts(UNKNOWN)),
    }


def _splits(collection: Collection) -> dict[str, int] | None:
    """Images in each of the collection's own splits."""
    if not collection.has_parts:
        return None
    return dict(Counter(canonical_part(part) or "train" for part in collection.images["part"]))


def _told(collection: Collection, name: str) -> dict[str, int]:
    """How often the source tells each value, in its own words; else what a table of patients tells.

    An image that several apply to counts in each.
    """
    images = collection.images
    known = {text: json.loads(text) for text in images["told"].dropna().unique()}
    values = [known[text].get(name) if isinstance(text, str) else None for text in images["told"]]
    usual = images[name].tolist()
    both = (value or other for value, other in zip(values, usual, strict=True))
    each = (piece for value in both if isinstance(value, str) for piece in value.split(BOTH))
    return dict(Counter(each).most_common())


def _sexes(collection: Collection) -> dict[str, int]:
    """F, M, and O for other, as DICOM writes them; what is none of these is not known."""
    found: Counter[str] = Counter()
    for value, count in _told(collection, "sex").items():
        if letter := _SEX_LETTERS.get(value.casefold()):
            found[letter] += count
    return dict(found)


def _source(collection: Collection) -> dict[str, Any]:
    """Where the labels come from; tables by their names, without their folders."""
    source = collection.source
    if source is None:
        return {"how": "folder", "preset": None, "tables": [], "columns": {}, "decided": True}
    return {
        "how": source.how,
        "preset": source.options.get("preset"),
        "tables": sorted(source.tables),
        "columns": dict(source.columns),
        "decided": not source.is_undecided,
    }


def _attributes(collection: Collection, each: Any) -> dict[str, Any]:
    ref, known = collection.table, collection.images["patient"].notna().any()

    def cells(row: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
        return {
            value: {"images": count, "patients": patients if known else None}
            for value, (count, patients) in row.items()
        }

    return {
        "table": None if ref is None else ref.path.name,
        "columns": {} if ref is None else dict(ref.columns),
        "by_class": {
            name: {label: cells(row) for label, row in by_class.items()} for name, by_class in crosstabs(each).items()
        },
    }
