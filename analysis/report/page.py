"""The facts to one page of HTML that loads nothing, runs nothing, and can be printed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from analysis.report.blocks import Section, clean
from analysis.report.data import Facts
from analysis.report.sections import collection, comparison, labels, methods, reproducibility


def sections_of(facts: Facts) -> list[Section]:
    """All sections, the verdict first."""
    return [
        comparison.verdict(facts),
        collection.distribution(facts),
        collection.findings(facts),
        labels.suspected_labels(facts.suspected, private=facts.private),
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


def make_page(facts: Facts, written: str) -> bytes:
    """The report of some facts; `written` is the day it was made on."""
    return render(facts.name, sections_of(facts), written, comparison.stamps_of(facts), facts.version)


def render(name: str, found: Sequence[Section], written: str, stamps: Sequence[str], version: str) -> bytes:
    """The page of some sections. Whatever is put in is text: the template escapes it."""
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, finalize=_cleaned
    )
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
