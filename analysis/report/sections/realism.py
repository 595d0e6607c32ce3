"""What the sections on realism show: what distinguishes synthetic from real images, and how near they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.report.charts import Row, forest
from analysis.report.data import Facts
from analysis.report.formatting import figure, format_p, number

_DETECTORS = 8
_FIDELITY = {
    **{"kid": "KID (lower is better)", "fid": "FID (lower is better)"},
    **{
        "precision": "precision: share of synthetic images that look real",
        "recall": "recall: share of real images that are covered",
    },
}


def probe(facts: Facts) -> Mapping[str, Any]:
    """Whether synthetic can be told from real, and what by."""
    found = facts.probe
    classes = [] if found is None else [(each.label, each.detectors[:_DETECTORS]) for each in found.classes]
    known = {label: [each for each in detectors if each.area] for label, detectors in classes}
    rows = [
        row
        for label, detectors in known.items()
        if detectors
        for row in (Row(label), *(Row(each.name, each.area) for each in detectors))
    ]
    level = -1.0 if found is None or found.level is None else found.level
    return {
        "found": found,
        "chart": rows
        and forest(
            *("detectors", rows, "AUROC of the best detectors", "AUROC (0.5 is chance)"), reference=0.5, digits=2
        ),
        "rows": [
            [
                f"{label}: {each.name}",
                figure(each.area, 2),
                format_p(each.p_value),
                "yes" if each.p_value is not None and each.p_value <= level else "no",
            ]
            for label, detectors in classes
            for each in detectors
        ],
    }


def quality(facts: Facts) -> Mapping[str, Any]:
    """How near synthetic images are to real ones, beside how near these are to each other."""
    found = facts.quality
    if found is None or not found.classes:
        return {"found": None}
    rows = [
        [f"{label}: {_FIDELITY.get(name, name)}", figure(value), number(same.value if same else None)]
        for label, each in found.classes.items()
        for name, value in each.figures.items()
        for same in [each.reference.get(name)]
    ]
    said = [each.sentence for each in found.classes.values() if each.sentence]
    return {"found": found, "said": [*said, *found.notes], "rows": rows}
