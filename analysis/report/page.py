"""The facts to one page of HTML that loads nothing, runs nothing, and can be printed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Generic, TypeVar

from markupsafe import Markup

from analysis.report.charts import Chart
from analysis.report.data import Facts
from analysis.report.rendering import Draw, render
from analysis.report.sections import (
    collection,
    comparison,
    labels,
    methods,
    realism,
    reproducibility,
    screening,
    training,
)

F = TypeVar("F", bound=Facts)


@dataclass(frozen=True, slots=True)
class Section(Generic[F]):
    """A part of the page: its address there and name of its template, its title, and what it shows."""

    name: str
    title: str
    compute: Callable[[F], Mapping[str, Any]]

    def html(self, facts: F, draw: Draw = Chart.inline) -> Markup:
        """The section as its template shows it."""
        return Markup(render(f"{self.name}.html", draw, facts=facts, **self.compute(facts)))

    def charts(self, facts: F) -> list[Chart]:
        """Its figures."""
        shown = self.compute(facts).values()
        some = [each for value in shown for each in (value.values() if isinstance(value, dict) else [value])]
        return [each for each in some if isinstance(each, Chart)]


SECTIONS: tuple[Section[Facts], ...] = (
    Section("verdict", "Verdict", comparison.verdict),
    Section("distribution", "Distribution before and after", collection.distribution),
    Section("findings", "Findings of the scan", collection.findings),
    Section("labels", "Suspected labels", labels.labels),
    Section("training", "Training of the generator", training.training),
    Section("sheets", "Real beside synthetic", collection.sheets),
    Section("screening", "Screening", screening.screening),
    Section("copies", "Copies of patients", screening.copies),
    Section("probe", "Can synthetic images be distinguished from real ones?", realism.probe),
    Section("quality", "Fidelity", realism.quality),
    Section("comparison", "The comparison", comparison.comparison),
    Section("record", "Settings and hashes", reproducibility.record),
    Section("repeat", "To repeat it", reproducibility.repeat),
    Section("methods", "For a paper", methods.methods),
)
"""The verdict first. A section has a function that computes what it shows, and a template of its name."""


def make_page(facts: Facts, written: str, draw: Draw = Chart.inline) -> bytes:
    """The report of some facts; `written` is the day it was made on, `draw` makes what stands for a figure."""
    return page_of(SECTIONS, facts, written, draw, title="report", heading=", balanced: a report")


def page_of(sections: Sequence[Section[F]], facts: F, written: str, draw: Draw, *, title: str, heading: str) -> bytes:
    """A page of these sections; `heading` follows the collection's name, and `title` stands in the window's."""
    style = (files("analysis.report") / "templates" / "page.css").read_text("utf-8")
    page = render(
        "page.html",
        facts=facts,
        written=written,
        title=title,
        heading=heading,
        stamps=facts.stamps,
        sections=[(section, section.html(facts, draw)) for section in sections],
        style=Markup(style),
        digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
    return page.encode("utf-8")


def figures_of(facts: Facts) -> list[Chart]:
    """All figures of the report, in its order."""
    return [chart for section in SECTIONS for chart in section.charts(facts)]
