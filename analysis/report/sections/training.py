"""What the section on trainings shows: the losses of what `adapt` made here, by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.report.charts import Chart, Line, curves
from analysis.report.data import Facts
from analysis.report.formatting import clean
from analysis.report.training_curves import Training

_ADAPT = "balance adapt --base FOLDER"


def training(facts: Facts) -> Mapping[str, Any]:
    """A figure for each phase of each training, the newest first, and what its model generates."""
    charts = {chart.name: chart for place, each in enumerate(facts.trainings) for chart in _charts(place + 1, each)}
    return {"charts": charts, "sheets": [each for each in facts.trainings if each.sheet], "adapt": _ADAPT}


def _charts(number: int, found: Training) -> Iterator[Chart]:
    last = list(found.phases)[-1:]
    for place, (phase, points) in enumerate(found.phases.items()):
        lines = [Line("training loss, mean since the last point", points)]
        marks = {}
        if phase in last:
            lines += [Line("generator holdout loss", found.holdout, 1)] if found.holdout else []
            marks = {} if found.kept is None else {f"kept: step {found.kept}": float(found.kept)}
        of = f"{clean(found.name)}: loss of the {clean(phase)} by step"
        yield curves(f"training-{number}-{place + 1}", lines, of, ("step", "loss"), marks=marks)
