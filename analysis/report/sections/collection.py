"""What the sections on the collection show: classes, findings, and real beside synthetic images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from analysis.report.charts import Bar, Chart, bars, heat
from analysis.report.data import PARTS, Facts
from analysis.report.formatting import count
from balancer.collection.crosstabs import Crosstab
from balancer.collection.imbalance import FindingImbalance, measure_imbalance

FILL = "balance fill --target max --dry-run"
_FILES = 3
_MOST = 20  # findings in one figure
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
            "training-images", rows, ["real", "synthetic"], f"Training images of each {facts.what}, real and synthetic"
        ),
        "test": any(tested.values())
        and bars("test-images", tests, ["real"], f"Test images of each {facts.what}, all of them real"),
        "parts": [_PART_NAMES[part] for part in parts],
        "rows": [
            [label, *(_images(facts.counts[part].get(label, (0, 0))) for part in parts), count(added[label])]
            for label in facts.labels
        ],
        "crosstabs": [
            (
                "age group" if name == "age" else name,
                list(next(iter(table.values()), {})),
                crosstab_rows(table),
            )
            for name, table in facts.attributes.items()
        ],
        "together": together(facts),
        "figures": facts.imbalance and _figures(facts.imbalance),
        "fill": FILL,
    }


def crosstab_rows(table: Crosstab) -> list[list[str]]:
    """A row for each class: images, and known patients in brackets, of each value."""
    return [[label, *map(_images, row.values())] for label, row in table.items()]


def together(facts: Facts) -> Chart | None:
    """Which findings go together in real training images; of many the rarest, which are filled."""
    if facts.imbalance is None or len(facts.training) < 2:
        return None
    shown = sorted(sorted(facts.training, key=lambda each: facts.training[each])[:_MOST])
    totals = {label: facts.training[label] for label in shown}
    return heat("co-occurrence", facts.imbalance.together, totals, "Real training images with both of two findings")


def _figures(found: FindingImbalance) -> list[list[str]]:
    """The imbalance of findings, a row each."""
    ratios = [
        [f"{name}: images of the most frequent for each of it (IRLbl)", _ratio(r)] for name, r in found.ratios.items()
    ]
    return [
        *ratios,
        ["mean of these (MeanIR)", f"{found.mean_ratio:.1f}"],
        ["their spread over their mean (CVIR)", f"{found.variation:.2f}"],
        ["rare findings beside frequent ones (SCUMBLE): 0 never, 1 always", f"{found.concurrence:.2f}"],
    ]


def _ratio(value: float) -> str:
    return f"{value:.1f}" if value < 1e9 else "no image"


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
