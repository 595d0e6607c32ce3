"""What the sections on a scan show: classes, sizes, grey levels, attributes, and what is wrong with the collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.report.charts import Bar, Chart, Row, bars, forest
from analysis.report.data import Facts
from analysis.report.formatting import count, figure
from analysis.report.scan_facts import ScanFacts
from analysis.report.sections import collection
from analysis.statistics.intervals import Interval
from balancer.collection.crosstabs import Crosstab
from balancer.collection.findings import KINDS
from balancer.text import many

DEEP = "balance scan DATA --deep --report"
_SIZES = 10
_SPLITS = {"training": ("train", "holdout"), "validation": ("val",), "test": ("test",)}
_POLARITY = ("inverted", "polarity-contradiction")


def classes(facts: ScanFacts) -> Mapping[str, Any]:
    """How many images each class has in each split, and how imbalanced that is."""
    shown = collection.distribution(facts)
    sizes = {label: {name: _images(facts, label, parts) for name, parts in _SPLITS.items()} for label in facts.labels}
    kinds = [name for name in _SPLITS if any(of[name] for of in sizes.values())]
    rows = [Bar(label, of, count(sum(of.values()))) for label, of in sizes.items()]
    return {
        "chart": bars("classes-by-split", rows, kinds, f"Images of each {facts.what} by split"),
        "rows": [cells[:-1] for cells in shown["rows"]],  # without the synthetic images
        **{name: shown[name] for name in ("before", "parts", "together", "figures")},
    }


def sizes(facts: ScanFacts) -> Mapping[str, Any]:
    """How large the images are, and what their files are."""
    found = {f"{width} × {height}": times for (width, height), times in facts.sizes.items()}
    shown = dict(list(found.items())[:_SIZES])
    if others := len(found) - len(shown):
        shown[many(others, "other size")] = facts.images - sum(shown.values())
    return {
        "chart": bars("sizes", [Bar(name, {"images": n}, count(n)) for name, n in shown.items()], ["images"], "Sizes"),
        "sides": _spread("sides", facts.sides, "Longer side of the images by class", "pixels"),
        "files": [[f"{name}, {bits} bits", count(times)] for (name, bits), times in facts.kinds_of_file.items()],
    }


def intensities(facts: ScanFacts) -> Mapping[str, Any]:
    """How bright the images of each class are, and of how much contrast."""
    axis = "grey levels (0 is black, 255 white)"
    rows = [[label, figure(value, 0), figure(facts.contrast[label], 0)] for label, value in facts.brightness.items()]
    return {
        "brightness": rows and _spread("brightness", facts.brightness, "Mean grey level of an image", axis),
        "contrast": rows and _spread("contrast", facts.contrast, "Standard deviation of grey levels", axis),
        "rows": rows,
    }


def attributes(facts: ScanFacts) -> Mapping[str, Any]:
    """Classes by sex, by age group and by view."""
    names = {name: name if name != "age" else "age group" for name in facts.attributes}
    charts = {name: _shares(name, names[name], table, facts.what) for name, table in facts.attributes.items()}
    tables = [
        (names[name], charts[name], list(next(iter(table.values()), {})), collection.crosstab_rows(table))
        for name, table in facts.attributes.items()
    ]
    return {"tables": tables}


def faults(facts: ScanFacts) -> Mapping[str, Any]:
    """Each kind of finding with some of its images; those of inverted images follow in a section of their own."""
    return {"rows": [(*told, () if told[0] in _POLARITY else tiles) for *told, tiles in _findings(facts)]}


def inverted(facts: ScanFacts) -> Mapping[str, Any]:
    """Negatives among upright images."""
    return {"found": [each for each in _findings(facts) if each[0] in _POLARITY], "deep": DEEP}


def _findings(facts: ScanFacts) -> list[tuple[Any, ...]]:
    """Kind, times, meaning, fix, files and images, the worst first."""
    order = {kind: place for place, kind in enumerate(KINDS)}
    rows = sorted(collection.findings(facts)["rows"], key=lambda row: order.get(row[0], len(order)))
    return [(*row, *([""] if facts.private else []), facts.examples.get(row[0], ())) for row in rows]


def _images(facts: Facts, label: str, parts: tuple[str, ...]) -> int:
    return sum(facts.counts[part].get(label, (0, 0))[0] for part in parts)


def _spread(name: str, values: Mapping[str, Interval], title: str, axis: str) -> Chart:
    rows = [Row(label, value) for label, value in values.items()]
    return forest(name, rows, f"{title}: median, 10th and 90th percentile", axis, digits=0)


def _shares(name: str, words: str, table: Crosstab, what: str) -> Chart:
    """A bar a class, divided by the shares of its values."""
    rows = []
    for label, row in table.items():
        total = sum(images for images, _ in row.values())
        rows.append(Bar(label, {value: images / max(1, total) for value, (images, _) in row.items()}, count(total)))
    return bars(f"by-{name}", rows, list(next(iter(table.values()), {})), f"Share of images of each {what} by {words}")
