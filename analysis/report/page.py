"""The facts to one page of HTML that loads nothing, runs nothing, and can be printed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from analysis.report.blocks import Plot, Section
from analysis.report.charts import Chart
from analysis.report.data import Facts
from analysis.report.formatting import clean
from analysis.report.sections import collection, comparison, methods, reproducibility


def sections_of(facts: Facts) -> list[Section]:
    """All sections, the verdict first."""
    return [
        comparison.verdict(facts),
        collection.distribution(facts),
        collection.findings(facts),
        collection.sheets(facts),
        collection.screening(facts),
        collection.copies(facts),
        collection.probe(facts),
        collection.quality(facts),
        comparison.comparison(facts),
        reproducibility.record(facts),
        reproducibility.repeat(facts),
        methods.methods(facts),
    ]


def make_page(facts: Facts, written: str, draw: Callable[[Chart], str] = Chart.inline) -> bytes:
    """The report of some facts; `written` is the day it was made on, `draw` makes what stands for a figure."""
    return render(facts.name, sections_of(facts), written, comparison.stamps_of(facts), facts.version, draw)


def figures_of(facts: Facts) -> list[Chart]:
    """All figures of the report, in its order."""
    return [block.chart for section in sections_of(facts) for block in section.blocks if isinstance(block, Plot)]


def render(
    name: str,
    found: Sequence[Section],
    written: str,
    stamps: Sequence[str],
    version: str,
    draw: Callable[[Chart], str] = Chart.inline,
) -> bytes:
    """The page of some sections. Whatever is put in is text: the template escapes it."""
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, finalize=_cleaned
    )
    environment.filters["draw"] = draw
    style = _packaged("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = environment.from_string(_packaged("page.html"))
    page = template.render(
        name=name, sections=found, written=written, stamps=stamps, version=version, style=style, digest=digest
    )
    return page.encode("utf-8")


def _cleaned(value: Any) -> Any:
    return clean(value) if type(value) is str else value  # not of what the template marks as safe


def _packaged(name: str) -> str:
    return (files("analysis.report") / name).read_text("utf-8")
