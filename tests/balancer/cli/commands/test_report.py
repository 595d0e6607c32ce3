"""`balance report` as it is typed."""

import pytest

from tests.support.cli_process import run
from tests.support.report_fixtures import keep, metrics, prepared

LABELS = ("NODULE", "NORMAL")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("report"), LABELS)


def test_the_page_lies_with_the_reports(filled):
    code, output = run(filled, "report")
    page = filled / ".balance" / "reports" / "report.html"
    assert code == 0, output
    assert "Report: .balance/reports/report.html" in output
    assert "protect it like the collection" in output
    assert page.stat().st_mode & 0o077 == 0  # patients' data are for their keeper alone
    assert "nothing was compared yet" in page.read_text("utf-8")


def test_elsewhere_and_private(filled):
    keep(filled, metrics(LABELS, "NODULE"))
    code, output = run(filled, "report", "xrays-balanced", "--out", "my report.html", "--private")
    assert (code, "images of patients" in output) == (0, False), output
    page = (filled / "my report.html").read_text("utf-8")
    assert "Use strong-augmentation." in page
    assert "data:image/jpeg" not in page


def test_what_does_not_fit_is_told(filled):
    keep(filled, "{damaged")
    code, output = run(filled, "report")
    assert code == 0
    assert "Warning: metrics.json is damaged (it cannot be read)" in output
    keep(filled, metrics(LABELS, "NODULE", settings={"split_sha256": "0"}))
    assert "Warning: The comparison is out of date" in run(filled, "report")[1]


def test_without_a_fill_it_is_a_report_on_the_collection(tmp_path, xrays):
    assert run(tmp_path, "report")[0] == 2  # nothing scanned
    assert run(tmp_path, "scan", "xrays", "--patient", r"(p\d+)-")[0] == 0
    code, output = run(tmp_path, "report")
    assert code == 0, output
    page = (tmp_path / ".balance" / "reports" / "report.html").read_text("utf-8")
    assert "There is no balanced folder yet." in page
    assert "balance fill --target max" in page
