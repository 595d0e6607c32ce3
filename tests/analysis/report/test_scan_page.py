"""The page of a scan: every section, nothing from outside, names from the disk as text, and nobody in private."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from analysis import write_scan_report
from analysis.report.scan_facts import collect_scan
from analysis.report.scan_page import make_scan_page
from balancer.errors import CollectionError, OutputError
from balancer.workspace.judging_settings import ScanReportSettings
from balancer.workspace.workspace import Workspace
from tests.analysis.report.test_page import Parsed
from tests.balancer.cli.test_commands import run_json
from tests.support.cli_process import run
from tests.support.report_fixtures import keep
from tests.support.tiny_models import write_xrays

NAMES = ["classes", "sizes", "intensities", "attributes", "faults", "labels", "inverted"]
HOSTILE = "<img src=x onerror=alert(1)>"
DAY = "2026-11-29"


def without_figures(workspace, **options):
    """The page with descriptions in place of the figures, which take their time."""
    with workspace.session(write=False, several=True) as session:
        facts = collect_scan(session, **options)
    return facts, make_scan_page(facts, DAY, lambda chart: f"{chart.name}: {chart.description}").decode()


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A collection with a hostile class, a copy, two negatives and a suspected label; its JSON."""
    folder = tmp_path_factory.mktemp("scan")
    root = write_xrays(folder / "xrays", {HOSTILE: 8, "NORMAL": 16})
    first, second, third, *_ = sorted((root / "NORMAL").iterdir())
    shutil.copy(first, root / "NORMAL" / f"p777-{HOSTILE}.png")
    for path in (second, third):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    rows = [f"p{number}{patient:03},{'FM'[patient % 2]},PA" for number in range(2) for patient in range(8)]
    (folder / "meta.csv").write_text("patient,sex,view\n" + "\n".join(rows))
    found = run_json(
        *(folder, "scan", "xrays", "--patient", r"(p\d+)-", "--patients", "meta.csv", "--deep", "--report")
    )
    suspect = {"image": first.relative_to(root).as_posix(), "given": "NORMAL", "suggested": HOSTILE, "quality": 0.1}
    keep(folder, {"checked": 25, "suspected": [suspect]}, "labels.json")
    return folder, found


@pytest.fixture(scope="module")
def page(scanned):
    return write_scan_report(Workspace.open(scanned[0])).page.read_text("utf-8")


def test_the_json_names_the_file(scanned):
    folder, found = scanned
    assert found["report"] == ".balance/reports/scan.html"
    assert (folder / found["report"]).stat().st_mode & 0o077 == 0  # patients' data are for their keeper alone


def test_it_has_every_section(page):
    parsed = Parsed(page)
    assert [each["id"] for each in parsed.of("section") if "id" in each] == NAMES
    assert [each["href"] for each in parsed.of("a")] == [f"#{name}" for name in NAMES]
    assert page.count("<h1>") == 1
    for said in ("32 × 32", "All 25 images were measured", "negatives of the others", "looks like", "Class by sex"):
        assert said in page, said
    assert "duplicate" in parsed.said
    shown = re.findall(r'aria-label="\d+ images with the finding ([a-z-]+)"', page)
    assert {"duplicate", "inverted", "few-images"} <= set(shown)


def test_it_loads_nothing_and_names_from_the_disk_are_text(page, scanned):
    parsed = Parsed(page)
    assert not {tag for tag, _ in parsed.tags} & {"script", "iframe", "object"}
    assert all(each["href"] == "data:," for each in parsed.of("link"))
    assert parsed.of("img")
    assert all(each["src"].startswith("data:image/jpeg;base64,") and "alt" in each for each in parsed.of("img"))
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert not re.search(r'\b(?:href|src|action|style)="(?!#|data:)', page)
    assert "default-src 'none'" in page
    assert HOSTILE not in page
    assert any(HOSTILE in said for said in parsed.said)
    assert str(scanned[0]) not in page


def test_every_figure_is_described(page):
    drawn = [each for each in Parsed(page).of("svg") if "viewbox" in each]
    assert len(drawn) == 7  # classes, sizes, sides, brightness, contrast, sex and view
    assert all(each["role"] == "img" and each["aria-labelledby"] for each in drawn)
    assert len({each["aria-labelledby"] for each in drawn}) == 7


def test_in_private_it_shows_no_image_and_no_file(scanned):
    _, page = without_figures(Workspace.open(scanned[0]), private=True)
    assert "data:image/jpeg" not in page
    assert ".png" not in page
    assert "duplicate" in page


def test_without_a_deep_scan_some_images_of_each_class_are_measured(tmp_path):
    write_xrays(tmp_path / "xrays", {"A": 10, "B": 70})
    workspace = Workspace.open(tmp_path)
    with pytest.raises(CollectionError):
        write_scan_report(Workspace.open(_scanned_and_gone(tmp_path / "gone")))
    assert run(tmp_path, "scan", "xrays")[0] == 0
    facts, page = without_figures(workspace)
    assert (facts.measured, facts.images, facts.deep) == (74, 80, False)
    levels = [np.asarray(Image.open(path)).mean() for path in sorted((tmp_path / "xrays" / "A").iterdir())]
    assert facts.brightness["A"].value == pytest.approx(np.median(levels), abs=1)
    assert facts.sizes == {(32, 32): 80}
    assert facts.sides["B"].value == 32
    assert "<code>balance scan DATA --deep --report</code>" in page
    assert "balance labels" in page
    with pytest.raises(OutputError, match="--report-out") as refused:
        write_scan_report(workspace, ScanReportSettings(tmp_path / "xrays" / "page.html"))
    assert "outside the collection" in refused.value.needed


def _scanned_and_gone(folder):
    write_xrays(folder / "xrays", {"A": 2, "B": 2})
    assert run(folder, "scan", "xrays")[0] == 0
    shutil.rmtree(folder / "xrays")
    return folder


def test_elsewhere_and_in_private_as_it_is_typed(tmp_path, xrays):
    code, output = run(tmp_path, "scan", "xrays", "--report-out", "my page.html", "--private")
    assert code == 0, output
    assert "Report: my page.html" in output
    assert "images of patients" not in output
    assert "data:image/jpeg" not in (tmp_path / "my page.html").read_text("utf-8")
    assert not (tmp_path / ".balance" / "reports" / "scan.html").exists()
