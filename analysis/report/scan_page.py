"""What a scan found, as one page like the report: it loads nothing, runs nothing, and can be printed."""

from __future__ import annotations

from analysis.report.charts import Chart
from analysis.report.page import Section, page_of
from analysis.report.rendering import Draw
from analysis.report.scan_facts import ScanFacts
from analysis.report.sections import labels, scanned

SCAN_SECTIONS: tuple[Section[ScanFacts], ...] = (
    Section("classes", "Classes", scanned.classes),
    Section("sizes", "Image sizes", scanned.sizes),
    Section("intensities", "Intensities", scanned.intensities),
    Section("attributes", "Sex, age and view by class", scanned.attributes),
    Section("faults", "Findings of the scan", scanned.faults),
    Section("labels", "Suspected labels", labels.labels),
    Section("inverted", "Inverted images", scanned.inverted),
)
"""In the order of the page; each has a template of its name."""


def make_scan_page(facts: ScanFacts, written: str, draw: Draw = Chart.inline) -> bytes:
    """The page of a scan; `written` is the day it was made on, `draw` makes what stands for a figure."""
    return page_of(SCAN_SECTIONS, facts, written, draw, title="scan", heading=": what the scan found")
