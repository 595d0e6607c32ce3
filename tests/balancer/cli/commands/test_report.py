"""`balance report` as it is typed."""

from pathlib import Path

import pytest

from analysis.report.service import write_report
from balancer.errors import OutputError
from balancer.workspace.judging_settings import ReportSettings
from balancer.workspace.workspace import Workspace
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
    typed = ("report", "xrays-balanced", "--out", "my report.html", "--private", "--figures", "my figures")
    code, output = run(filled, *typed)
    assert (code, "images of patients" in output) == (0, False), output
    assert "files of figures: my figures" in output
    figures = sorted(path.name for path in (filled / "my figures").iterdir())
    assert {"training-images.png", "training-images.pdf", "differences-primary.pdf"} <= set(figures)
    assert not [name for name in figures if Path(name).suffix not in (".png", ".pdf")]
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


@pytest.mark.parametrize(
    ("option", "place", "told"),
    [
        ("--figures", "xrays/figures", "a place outside the collection"),
        ("--figures", "no/such", "no such folder"),
        ("--figures", "patients.txt", "not a folder"),
        ("--out", "xrays/report.html", "a place outside the collection"),
        ("--out", "no/such.html", "no such folder"),
    ],
)
def test_a_place_that_cannot_be_is_refused(filled, option, place, told):
    (filled / "patients.txt").touch()
    workspace = Workspace.open(filled)
    with pytest.raises(OutputError) as refused:
        write_report(workspace, ReportSettings(**{option.removeprefix("--"): filled / place}))
    assert told in f"{refused.value.needed} {refused.value.found}"
    assert option in refused.value.next_step
    assert not (filled / "xrays" / "figures").exists()


def test_without_a_fill_it_is_a_report_on_the_collection(tmp_path, xrays):
    assert run(tmp_path, "report")[0] == 2  # nothing scanned
    assert run(tmp_path, "scan", "xrays", "--patient", r"(p\d+)-")[0] == 0
    code, output = run(tmp_path, "report")
    assert code == 0, output
    page = (tmp_path / ".balance" / "reports" / "report.html").read_text("utf-8")
    assert "There is no balanced folder yet." in page
    assert "balance fill --target max" in page
