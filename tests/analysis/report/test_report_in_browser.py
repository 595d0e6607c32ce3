"""The page in a real browser: names from the disk do nothing, nothing is asked for, and it fits narrow and wide."""

import pytest

from analysis.report.data import collect
from analysis.report.page import make_page
from analysis.report.service import write_scan_report
from balancer.store.state_dir import find_state
from balancer.workspace.judging_settings import ScanReportSettings
from balancer.workspace.workspace import Workspace
from tests.support.report_fixtures import keep, metrics, prepared
from tests.support.review_fixtures import opened

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(2)<\u2215script>",
    "\"'><svg onload=alert(3)>",
    "javascript:alert(4)",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A report on classes with hostile names, a hostile table and hostile results."""
    folder = prepared(tmp_path_factory.mktemp("hostile"), HOSTILE)
    keep(
        folder,
        metrics([*HOSTILE, "</title><script>alert(5)</script>"], HOSTILE[0], verdict="</p><script>alert(6)</script>"),
    )
    keep(
        folder,
        {"verdict": "<iframe src=//example.org></iframe>", "fixes": ["<a href=javascript:alert(7)>x</a>"]},
        "probe.json",
    )
    with opened(folder) as (journal, split):
        state, place = find_state(folder), folder / "xrays-balanced"
        facts = collect(journal.collection, split, journal.ledger, state, place)
    page = folder / "report.html"
    page.write_bytes(make_page(facts, "2026-11-21"))
    return page


@pytest.fixture(scope="module")
def scan_written(written):
    """The page of a scan of the same collection."""
    folder = written.parent
    return write_scan_report(Workspace.open(folder), ScanReportSettings(folder / "scan.html")).page


class Opened:
    """The page, and all that it asked for or complained of."""

    def __init__(self, browser, path, **options):
        self.asked, self.complaints, self.dialogs = [], [], []
        self.page = browser.new_context(**options).new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.goto(path.as_uri())
        self.page.wait_for_load_state("networkidle")


@pytest.fixture
def load(browser, written):
    pages = []

    def opened_page(path=written, **options):
        pages.append(Opened(browser, path, **options))
        return pages[-1]

    yield opened_page
    for seen in pages:
        seen.page.context.close()


def test_names_from_the_disk_are_text_and_nothing_is_asked_for(load, written):
    seen = load()
    assert seen.dialogs == []
    assert seen.complaints == []
    assert [url for url in seen.asked if not url.startswith("data:")] == [written.as_uri()]
    count = lambda selector: seen.page.locator(selector).count()  # noqa: E731
    assert [count(each) for each in ("script", "iframe", "main img[src=x]", "[onerror]", "[onload]")] == [0] * 5
    assert seen.page.evaluate("[...document.links].every(link => link.getAttribute('href').startsWith('#'))")
    assert seen.page.locator(".verdict").text_content() == "</p><script>alert(6)</script>"
    assert HOSTILE[0] in seen.page.locator("#sheets h3").all_text_contents()


@pytest.mark.slow
def test_the_page_of_a_scan_asks_for_nothing_either(load, scan_written):
    seen = load(scan_written)
    assert (seen.dialogs, seen.complaints) == ([], [])
    assert [url for url in seen.asked if not url.startswith("data:")] == [scan_written.as_uri()]
    assert seen.page.locator("[onerror], [onload], script, iframe").count() == 0


@pytest.mark.slow
def test_the_policy_holds(load):
    seen = load()
    tried = """() => {
        const script = document.createElement("script");
        script.textContent = "document.title = 'ran'";
        document.body.append(script);
        document.body.setAttribute("style", "outline: 9px solid");
        return fetch("data:text/plain,x").then(() => "reached", () => "blocked");
    }"""
    assert seen.page.evaluate(tried) == "blocked"
    assert seen.page.title() != "ran"
    assert any("Content Security Policy" in said for said in seen.complaints)


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1000, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["written", "scan_written"])
def test_it_fits_and_can_be_read(load, request, name, width, scheme):
    path = request.getfixturevalue(name)
    page = load(path, viewport={"width": width, "height": 900}, color_scheme=scheme).page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ink, paper = page.evaluate("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    assert (brightness(ink) < brightness(paper)) == (scheme == "light")
    assert abs(brightness(ink) - brightness(paper)) > 180
    drawn = page.locator("figure svg text").first
    assert drawn.evaluate("text => getComputedStyle(text).fill") == ink
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    spilled = """() => [...document.querySelectorAll("figure svg")].flatMap(svg => {
        const box = svg.getBoundingClientRect();
        return [...svg.querySelectorAll("text")].filter(text => {
            const own = text.getBoundingClientRect();
            return own.left < box.left - 3 || own.right > box.right + 3;
        }).map(text => text.textContent);
    })"""
    assert page.evaluate(spilled) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["written", "scan_written"])
def test_on_paper_no_table_is_cut_off(load, request, name):
    page = load(request.getfixturevalue(name), viewport={"width": 690, "height": 1000}, color_scheme="dark").page
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") == 690
    assert brightness(page.evaluate("getComputedStyle(document.body).backgroundColor")) == 255


def brightness(colour):
    return sum(map(float, colour.split("(")[1].rstrip(")").split(",")[:3])) / 3
