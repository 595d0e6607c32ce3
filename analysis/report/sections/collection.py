"""What the sections on the collection show: classes, findings, and real beside synthetic images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from analysis.report.charts import Bar, bars
from analysis.report.data import PARTS, Facts
from analysis.report.formatting import count
from balancer.collection.imbalance import measure_imbalance

FILL = "balance fill --target max --dry-run"
_FILES = 3
_PART_NAMES = {"train": "training", "holdout": "generator holdout", "val": "validation", "test": "test"}


def distribution(facts: Facts) -> Mapping[str, Any]:
    """Classes before and after, by part."""
    before, added = facts.training, facts.added
    rows = [
        Bar(
            label, {"real": real, "synthetic": added[label]}, " + ".join(map(count, filter(None, (real, added[label]))))
        )
        for label, real in before.items()
    ]
    parts = [part for part in PARTS if facts.counts[part]]
    tested = {label: facts.counts["test"].get(label, (0, 0))[0] for label in facts.labels}
    tests = [Bar(label, {"real": images}, count(images)) for label, images in tested.items()]
    return {
        "before": measure_imbalance(before),
        "after": measure_imbalance({label: real + added[label] for label, real in before.items()}),
        "added": sum(added.values()),
        "training": bars(
            "training-images", rows, ["real", "synthetic"], "Training images of each class, real and synthetic"
        ),
        "test": any(tested.values())
        and bars("test-images", tests, ["real"], "Test images of each class, all of them real"),
        "parts": [_PART_NAMES[part] for part in parts],
        "rows": [
            [label, *(_images(facts.counts[part].get(label, (0, 0))) for part in parts), count(added[label])]
            for label in facts.labels
        ],
        "crosstabs": [
            (
                "age group" if name == "age" else name,
                list(next(iter(table.values()), {})),
                [[label, *map(_images, row.values())] for label, row in table.items()],
            )
            for name, table in facts.attributes.items()
        ],
        "fill": FILL,
    }


def _images(found: tuple[int, int]) -> str:
    images, patients = found
    return f"{images:,} ({patients:,})" if patients else f"{images:,}"


def findings(facts: Facts) -> Mapping[str, Any]:
    """What the scan found, one row for each kind."""
    rows = []
    for kind, times in Counter(kind for kind, *_ in facts.findings).items():
        same = [each for each in facts.findings if each[0] == kind]
        files = [path for *_, paths in same for path in paths]
        named = ", ".join(files[:_FILES]) + (f" and {len(files) - _FILES} more" if len(files) > _FILES else "")
        rows.append([kind, count(times), same[0][1], same[0][2], *([] if facts.private else [named])])
    return {"rows": rows}


def sheets(facts: Facts) -> Mapping[str, Any]:
    """Real images beside synthetic ones, class by class."""
    found = {} if facts.balanced is None else facts.balanced.sheets
    strips = {
        label: list(zip(("real", "synthetic"), sides, strict=True)) for label, sides in found.items() if any(sides)
    }
    return {"strips": strips if any(made for _, made in found.values()) else {}, "fill": FILL}
