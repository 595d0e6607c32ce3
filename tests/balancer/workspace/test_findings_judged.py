"""The report and the reader's page of images with several findings: everything by finding."""

import pytest

from analysis import ReportSettings, write_report, write_scan_report
from analysis.report.by_finding import records_by_finding
from analysis.review.service import review_session
from balancer import FillSettings, NoScreen, fill
from balancer.errors import PlanError
from balancer.filling.verdicts import load_records
from balancer.workspace.judging_settings import ReviewSettings
from tests.balancer.workspace.test_findings_fill import FINDINGS, collection

SETTINGS = FillSettings(target=("nodule=20", "cardiomegaly=24"), model="noise:8", max_ratio=20)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    workspace = collection(tmp_path_factory.mktemp("judged"))
    return workspace, fill(workspace, SETTINGS, screen=NoScreen("a test"))


def test_the_report_counts_findings_and_shows_which_go_together(filled):
    workspace, found = filled
    written = write_report(workspace, ReportSettings(figures=workspace.home / "figures"))
    page = written.page.read_text("utf-8")
    assert "Largest to smallest finding of the training split" in page
    real = found.planned.findings.counts["pleural_effusion"]
    assert f"cardiomegaly with pleural_effusion: 6 of {found.planned.findings.counts['cardiomegaly']}" in page
    assert f">{real} (" in page
    assert "Decisions by finding" in page
    assert "mean of these (MeanIR)" in page
    assert (workspace.home / "figures" / "co-occurrence.pdf").stat().st_size > 1000
    assert "Synthetic images of each class" not in page
    assert f"{found.figures.made} images on cpu" in page
    assert found.figures.judged == found.figures.made == found.report.made


def test_the_page_of_a_scan_counts_findings_and_shows_which_go_together(filled):
    page = write_scan_report(filled[0]).page.read_text("utf-8")
    assert "Largest to smallest finding of the training split" in page
    assert "cardiomegaly with pleural_effusion: 6 of" in page
    assert "mean of these (MeanIR)" in page
    assert "balance labels" in page  # not checked yet


def test_what_is_on_record_is_told_by_the_finding_that_it_was_made_for(filled):
    workspace, found = filled
    with workspace.session(write=False, several=True) as session:
        known = records_by_finding(load_records(session.ledger, session.collection), session.collection)
    assert set(known) <= {"nodule", "cardiomegaly"}
    assert sum(len(each.judged) for each in known.values()) >= found.planned.wanted


def test_a_reader_sees_all_findings_and_is_asked_for_the_wanted_one(filled):
    workspace, _ = filled
    with review_session(workspace, ReviewSettings(reader="A. Reader", audit=50)) as (desk, _):
        shown = desk.overview()
        assert {each["asked"] for each in shown} <= {"nodule", "cardiomegaly"}
        assert all(each["asked"] in each["label"].split(", ") for each in shown)
        assert any(", " in each["label"] for each in shown)
        near = desk.nearest(shown[0]["id"])
        assert "|" not in near["label"]


def test_a_reader_may_ask_for_one_finding_and_a_study_takes_real_images_of_the_same_set(filled):
    workspace, _ = filled
    with review_session(workspace, ReviewSettings(reader="B", audit=50, label="nodule")) as (desk, _):
        assert all("nodule" in each["label"].split(", ") for each in desk.overview())
    with review_session(workspace, ReviewSettings(reader="B", blinded=True, limit=8)) as (desk, _):
        shown = desk.overview()
    assert 2 <= len(shown) <= 8
    assert all(set(each["label"].split(", ")) <= set(FINDINGS) for each in shown)
    with (
        pytest.raises(PlanError, match="unicorn"),
        review_session(workspace, ReviewSettings(reader="B", audit=5, label="unicorn")),
    ):
        pass
