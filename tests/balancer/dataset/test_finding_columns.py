"""What tables of a balanced folder say of each finding: of real images, of made ones, of those made from another."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from balancer.collection.label_sets import DENIED, GIVEN, UNCERTAIN, UNKNOWN, LabelSets
from balancer.collection.scan import Sample
from balancer.dataset.finding_columns import FindingColumns, cell_of
from balancer.jobs import Candidate, ModeDraw, Verdict
from tests.balancer.test_jobs import JOB

MARKS = {"a.png": {"Edema": 1, "Hernia": -1, "Mass": 0}, "b.png": {"Edema": -2, "Hernia": 0, "Mass": 1}}


@dataclass(frozen=True)
class Placed:
    label: str
    source: str = "/x/a.png"
    made: Any = None


@pytest.fixture
def columns():
    sets = LabelSets.of(MARKS)
    marks = {path: list(row.values()) for path, row in MARKS.items()}
    return FindingColumns(tuple(sets.findings), marks, "/x")


def made(label, source=None, job=JOB):
    method = ModeDraw() if source is None else ModeDraw("mix", Sample("s.png", source, None, "ab"), 0.7)
    job = job and replace(job, label=label, method=method)
    return Placed(label, "/s/c.png", (Candidate(label, Path("c.png"), "ab", job), Verdict("accept", {}, (), "screen")))


def test_of_a_real_image_what_the_source_says(columns):
    assert columns.told(Placed("Edema")) == [GIVEN, UNCERTAIN, DENIED]
    assert columns.marks_of(Placed("Edema")) == {"Edema": 1, "Hernia": None, "Mass": 0}
    assert columns.marks_of(Placed("Mass", "/x/b.png")) == {"Edema": None, "Hernia": 0, "Mass": 1}


def test_of_an_image_from_text_its_set_and_nothing_else(columns):
    assert columns.marks_of(made("Hernia|Mass")) == {"Edema": 0, "Hernia": 1, "Mass": 1}


def test_what_an_edit_may_have_left_or_removed_is_unknown(columns):
    assert columns.marks_of(made("Mass", source="Edema|Mass")) == {"Edema": None, "Hernia": 0, "Mass": 1}


def test_of_another_generators_image_only_its_findings_are_known(columns):
    assert columns.told(made("Mass", job=None)) == [UNKNOWN, UNKNOWN, GIVEN]


def test_findings_are_counted_real_and_synthetic(columns):
    entries = [Placed("Edema"), Placed("Mass", "/x/b.png"), made("Hernia|Mass"), made("Mass")]
    assert columns.counts(entries) == {"Edema": (1, 0), "Hernia": (0, 1), "Mass": (1, 2)}


def test_marks_stand_in_cells_as_the_source_writes_them():
    assert [cell_of(value) for value in (GIVEN, DENIED, UNCERTAIN, UNKNOWN)] == ["1", "0", "-1", ""]
