"""The page in a real browser, served by the command itself, read by keyboard alone."""

from urllib.parse import urlsplit

import pytest

from balancer.jobs import Verdict
from tests.support.cli_process import balance
from tests.support.review_fixtures import judged, opened, prepare

NEXT = """key => new Promise(done => {
    const [before, canvas] = [document.getElementById("place").textContent, document.getElementById("image")];
    const pixels = () => canvas.toDataURL();
    const seen = pixels();
    document.dispatchEvent(new KeyboardEvent("keydown", { key }));
    requestAnimationFrame(() => done([document.getElementById("place").textContent !== before, pixels() !== seen]));
})"""


class Seen:
    """A page that the command serves, and all that the browser asked for or complained of."""

    def __init__(self, browser, folder, *options):
        self.process = balance(folder, "review", "--reader", "A. Reader", *options)
        for line in self.process.stdout:
            if line.startswith("http"):
                break
        else:
            raise AssertionError(self.process.wait())
        self.address, self.complaints, self.asked = line.strip(), [], []
        self.page = browser.new_context(viewport={"width": 1000, "height": 700}).new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda said: self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(self.address)
        self.page.locator("#place", has_text=" of ").wait_for()
        self.page.wait_for_load_state("networkidle")

    def text(self, name):
        return self.page.locator(f"#{name}").text_content()

    def finish(self):
        """Enter on the button that has the focus; what the command said."""
        assert self.page.evaluate("document.activeElement.id") == "end-finish"
        self.page.keyboard.press("Enter")
        self.page.get_by_text("You can close this page.").wait_for()
        output, _ = self.process.communicate()
        assert self.process.returncode == 0, output
        return output


@pytest.fixture
def read(browser):
    """Opens a page on a folder; a command that is still there at the end is stopped."""
    opened_pages = []

    def open_page(folder, *options):
        opened_pages.append(Seen(browser, folder, *options))
        return opened_pages[-1]

    yield open_page
    for seen in opened_pages:
        seen.page.context.close()
        if seen.process.poll() is None:
            seen.process.kill()
            seen.process.communicate()


def test_a_few_images_by_keyboard_alone_whose_names_hold_markup(tmp_path, read):
    prepare(tmp_path, {"<b onclick=x>": 2, "\"'": 4})
    seen, labels = read(tmp_path), set()
    for number in range(6):
        labels.add(seen.text("label"))
        seen.page.keyboard.press("aru"[number % 3])
    assert labels == {"\"'", "<b onclick=x>"}
    assert seen.page.locator("h2 b").count() == 0
    assert "A. Reader: 2 accepted, 2 rejected, 2 unsure; 0 of 6 not judged." in seen.finish()
    assert {urlsplit(url).netloc for url in seen.asked} == {urlsplit(seen.address).netloc}
    assert seen.complaints == []


@pytest.mark.slow
def test_a_hundred_images_by_keyboard_alone(tmp_path, read):
    prepare(tmp_path, {"NODULE": 60, "NORMAL": 40})
    seen = read(tmp_path)
    page = seen.page
    assert page.url.endswith("/")  # the token is out of the address
    assert seen.text("place") == "1 of 100"
    for number in range(100):
        page.keyboard.press("13"[number % 2])
        page.keyboard.press("aru"[number % 3])
    assert seen.text("end-title") == "All answered"
    output = seen.finish()
    assert "A. Reader: 34 accepted, 33 rejected, 33 unsure; 0 of 100 not judged." in output
    with opened(tmp_path) as (journal, _):
        verdicts = [verdict for _, verdict in judged(journal).values()]
    assert [sum(v.decision == kind for v in verdicts) for kind in ("accept", "reject", "review")] == [34, 33, 33]
    assert sum(verdict.scores.get("realistic", 0) for verdict in verdicts) == 50
    assert sum(verdict.scores.get("shows_label", 0) for verdict in verdicts) == 50
    assert {urlsplit(url).netloc for url in seen.asked} == {urlsplit(seen.address).netloc}
    assert sum("/image/" in url for url in seen.asked) == 100  # each once, beforehand
    assert seen.complaints == []


@pytest.mark.slow
def test_every_key_does_what_the_help_says(tmp_path, read):
    prepare(tmp_path, {"NODULE": 4, "NORMAL": 4})
    seen = read(tmp_path)
    keys, page = seen.page.keyboard, seen.page
    assert page.evaluate(NEXT, "ArrowRight") == [True, True]  # preloaded: within one frame
    assert page.evaluate(NEXT, "a") == [True, True]
    assert (seen.text("place"), seen.text("counts")) == ("3 of 8", "1 accepted · 0 rejected · 0 unsure")
    keys.press("z")
    page.locator("#said", has_text="Taken back.").wait_for()
    assert seen.text("place") == "2 of 8"
    keys.press("ArrowLeft")
    assert seen.text("place") == "1 of 8"
    keys.down("w")
    keys.press("ArrowLeft")
    keys.press("ArrowUp")
    keys.up("w")
    assert seen.text("readout").startswith("W 248  L 132   zoom 100%")
    keys.press("w")  # tapped, it stays
    keys.press("ArrowRight")
    assert seen.text("readout").startswith("W 256  L 132")
    keys.press("Escape")
    keys.press("+")
    keys.press("+")
    keys.press("-")
    assert "zoom 125%" in seen.text("readout")
    keys.press("0")
    assert seen.text("readout").startswith("W 256  L 128   zoom 100%")
    keys.press("n")
    page.locator("#real-caption", has_text="correlation").wait_for()
    assert "NODULE/p" in seen.text("real-caption")
    keys.press("n")
    assert page.locator("#real").is_hidden()
    keys.press("2")
    assert page.locator("[data-question=realistic][aria-pressed=true]").text_content() == "No 2"
    keys.press("?")
    assert page.locator("#help").is_visible()
    keys.press("a")  # no answer is given behind the help
    keys.press("Escape")
    assert page.locator("#help").is_hidden()
    assert seen.text("counts") == "0 accepted · 0 rejected · 0 unsure"
    page.mouse.move(300, 300)
    page.mouse.down()
    page.mouse.move(340, 320)
    page.mouse.up()
    assert seen.text("readout").startswith("W 296  L 138")
    assert seen.complaints == []


@pytest.mark.slow
def test_a_blinded_study_by_keyboard(tmp_path, read):
    prepare(tmp_path, {"NODULE": 12, "NORMAL": 12}, Verdict("accept", {}, (), "nobody"), real=40)
    seen = read(tmp_path, "--blinded", "--limit", "40")
    assert (seen.text("place"), seen.page.title()) == ("1 of 40", "Real or synthetic? · balance")
    assert not any(word in seen.page.content() for word in ("nearest", "syn-", ".png", "Prompt:"))
    for _ in range(40):
        seen.page.keyboard.press("s")
    assert "A. Reader: right on 20 of 40 images, 50% (33% to 67%)" in seen.finish()
    assert {len(url) for url in seen.asked if "/image/" in url} == {len(seen.address.split("?")[0]) + 6 + 32}
    assert seen.complaints == []
    with opened(tmp_path) as (journal, _):
        assert {verdict.reviewer for _, verdict in judged(journal).values()} == {"nobody"}
        assert len(journal.ledger.readings(journal.collection)) == 40


@pytest.mark.slow
def test_markup_in_names_is_text_and_the_policy_holds(tmp_path, read):
    prepare(tmp_path, {"<b onclick=x>": 2, "\"'": 2})
    seen = read(tmp_path)
    labels = []
    for _ in range(4):
        labels.append(seen.text("label"))
        seen.page.keyboard.press("ArrowRight")
    assert sorted(set(labels)) == ["\"'", "<b onclick=x>"]
    assert seen.page.locator("h2 b").count() == 0
    assert seen.complaints == []
    blocked = seen.page.evaluate("fetch('http://127.0.0.1:1/').then(() => 'reached', () => 'blocked')")
    assert blocked == "blocked"
    assert any("Content Security Policy" in said for said in seen.complaints)
