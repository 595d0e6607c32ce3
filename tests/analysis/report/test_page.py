"""The page as text: complete, escaped, and without a word on what is not known."""

import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from analysis.report.data import collect
from analysis.report.page import SECTIONS, make_page
from analysis.report.rendering import render
from analysis.report.sections import realism
from analysis.report.sections.methods import AUTHORS, checklist, paragraph
from analysis.report.stored_json import structured
from analysis.report.stored_results import Results, StoredProbe
from balancer.errors import OutputError
from balancer.store.state_dir import find_state
from tests.support.report_fixtures import compared, facts_with, interval, keep, metrics, prepared
from tests.support.review_fixtures import opened

LABELS = ("EFFUSION", "NODULE", "NORMAL")
DAY = "2026-11-21"


class Parsed(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.said = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said.append(data)

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = prepared(tmp_path_factory.mktemp("report"), LABELS)
    keep(folder, metrics(LABELS, "NODULE"))
    return folder


def gathered(folder, **options):
    with opened(folder) as (journal, split):
        place = folder / "xrays-balanced"
        return collect(journal.collection, split, journal.ledger, find_state(folder), place, **options)


def page_of(facts):
    """The page with titles in place of the figures, which take their time."""
    return make_page(facts, DAY, lambda chart: chart.title).decode()


@pytest.fixture(scope="module")
def whole(filled):
    """The page with its figures."""
    return make_page(gathered(filled), DAY).decode()


def test_the_page_has_every_section_the_verdict_first(whole):
    page = whole
    names = [each["id"] for each in Parsed(page).of("section") if "id" in each]
    assert names == [
        *("verdict", "distribution", "findings", "labels", "training", "sheets", "screening", "copies"),
        *("probe", "quality", "comparison", "record", "repeat", "methods"),
    ]
    assert re.search(r'class="verdict">Use strong-augmentation', page)
    assert page.index("weak baseline") < page.index("<h1") < page.rindex("weak baseline")
    assert "<code>balance compare</code>" not in page


def test_nothing_is_loaded_and_nothing_runs(whole):
    page = whole
    parsed = Parsed(page)
    assert not parsed.of("script")
    assert all(each["src"].startswith("data:image/jpeg;base64,") for each in parsed.of("img"))
    assert {each["href"][0] for each in parsed.of("a")} == {"#"}
    assert not re.search(r'\b(?:href|src|action|style|on\w+)="(?!#|data:)', page)
    policy = next(each["content"] for each in parsed.of("meta") if each.get("http-equiv"))
    style = page[page.index("<style>") + 7 : page.index("</style>")]
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        *("default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'", "base-uri 'none'"),
        "form-action 'none'",
    ]
    assert "url(" not in re.sub(r"url\(#\w+\)", "", style)


def test_it_can_be_read_aloud(whole):
    parsed = Parsed(whole)
    assert parsed.of("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(parsed.of("caption")) == len(parsed.of("table"))
    assert all("alt" in each for each in parsed.of("img"))
    drawings = [each for each in parsed.of("svg") if "viewbox" in each]
    assert len(drawings) > 6
    assert all(each["role"] == "img" and each["aria-labelledby"] for each in drawings)


def test_figures_of_the_folder_are_those_of_its_records(filled):
    facts = gathered(filled)
    assert facts.training == {label: real for label, (real, _) in facts.balanced.counts.items()}
    assert {label: made for label, (_, made) in facts.balanced.counts.items()} == dict.fromkeys(LABELS, 2)
    assert facts.screened.total == 9
    assert facts.copies.certain is False  # the percentiles of the test are made up
    assert len(facts.copies.accepted) == 6
    assert [(made["model"], count) for made, count in facts.balanced.made] == [("tiny-sd", 6)]


def test_the_screening_says_why_images_were_rejected_and_how_long_the_fill_took(filled):
    took = {"seconds": 7300.0, "generating": 7000.0, "device": "cuda", "made": 14, "images_a_second": 0.002}
    keep(filled, took, "fill.json")
    try:
        facts = gathered(filled)
    finally:
        (filled / ".balance" / "reports" / "fill.json").unlink()
    rejected = facts.screened.rejected
    assert dict(facts.screened.stopped) == {"sound": rejected, "new": rejected}
    page = " ".join(page_of(facts).split())
    assert "took 2 h 2 min: 14 images on cuda, 0.002 images a second" in page
    assert f"Rejected were {rejected} of 9 images" in page
    assert "Rejected images by the screening check that rejected them" in page
    assert "The last fill that generated images" not in page_of(gathered(filled))


def test_no_path_and_no_name_of_a_file_is_in_it(filled):
    page = page_of(gathered(filled))
    assert str(filled) not in page
    assert "SECRET" not in page  # the nearest image of a reason
    assert "/srv/me" not in page
    assert "w.safetensors" in page


def test_a_private_page_shows_no_patient(filled):
    facts = gathered(filled, private=True)
    page = page_of(facts)
    assert "data:image/jpeg" not in page
    assert "images are left out" in page.lower()
    assert facts.findings
    assert all(files == [] for *_, files in facts.findings)
    assert ".png" in page_of(gathered(filled))
    assert ".png" not in page


def test_what_is_not_known_says_what_to_type(tmp_path):
    page = page_of(facts_with(("A", "B"), None))
    for command in ("balance compare", "balance probe", "balance quality", "balance fill --target max --dry-run"):
        assert f"<code>{command}</code>" in page


def test_files_are_named_where_they_are_at_fault_alone():
    found = [("leak", "in two parts", "keep one", [f"A/{number}.png" for number in range(5)])]
    page = page_of(facts_with(("A", "B"), None, findings=found))
    assert "A/0.png, A/1.png, A/2.png and 2 more" in page


def test_a_results_of_another_split_or_collection_is_stale(filled):
    try:
        keep(filled, metrics(LABELS, "NODULE", settings={"split_sha256": "0" * 64}))
        assert any("out of date" in warning for warning in gathered(filled).warnings)
        keep(filled, metrics(("A", "NODULE"), "A"))
        assert any("another collection: it has A" in warning for warning in gathered(filled).warnings)
        keep(filled, "{damaged")
        facts = gathered(filled)
        assert facts.results is None
        assert ["metrics.json is damaged" in warning for warning in facts.warnings] == [True]
        assert "metrics.json is damaged" in page_of(facts)
    finally:
        keep(filled, metrics(LABELS, "NODULE"))
    assert gathered(filled).warnings == []


def test_folds_of_another_fill_are_stale(filled):
    keep(filled, metrics(LABELS, "NODULE", settings={"folds": 5, "repeats": "0123abcd"}))
    try:
        assert gathered(filled, fold_order="0123abcd").warnings == []
        assert gathered(filled).warnings == []  # how they would be made now is not known
        (warning,) = gathered(filled, fold_order="ffffffff").warnings
        assert warning.startswith("The comparison is out of date: its folds")
        assert "balance compare --cross-fit 5." in warning
    finally:
        keep(filled, metrics(LABELS, "NODULE"))


def test_redraws_of_another_folder_are_stale(filled):
    keep(filled, metrics(LABELS, "NODULE", settings={"redraws": 3}) | {"balanced_sha256": "0"})
    try:
        (warning,) = gathered(filled).warnings
        assert warning.endswith("the balanced folder has changed; run: balance compare --redraw 3.")
    finally:
        keep(filled, metrics(LABELS, "NODULE"))


def test_the_paragraph_tells_of_the_folds_and_not_of_the_stored_parts_alone(filled):
    composites = {name: metrics(LABELS, "NODULE")["arms"]["real"] for name in ("free-by-fold", "synthetic-by-fold")}
    found = metrics(LABELS, "NODULE", settings={"folds": 5, "refitted": ["adapt", "fill"]})
    chosen = "Each of 5 folds chose on its own validation part: real in all of them."
    found |= {"arms": {**found["arms"], **composites}, "chosen": {**found["chosen"], "sentence": chosen}}
    keep(filled, found)
    try:
        facts = gathered(filled)
    finally:
        keep(filled, metrics(LABELS, "NODULE"))
    said = paragraph(facts)
    assert "was cross-fitted in 5 folds by patient" in said
    assert "the generator was adapted, synthetic images were generated and screened" in said
    assert "In each fold the best arm without and the best with synthetic images were chosen on its own" in said
    assert "were chosen on the validation partition." not in said
    assert "trained in 14 arms" in said
    assert "Each fold of the comparison had its own images" in said
    assert "5 seeds each in each fold" in said
    assert dict(checklist(facts))["How the final model was chosen"] == chosen
    text = page_of(facts)
    assert chosen in text
    assert "Cross-fitted: every patient is tested once, in one of 5 folds." in text


def test_the_paragraph_tells_of_redraws():
    results = compared(LABELS, "NODULE", settings={"redraws": 5})
    assert "The synthetic images were generated 5 times with other seeds" in paragraph(facts_with(LABELS, results))
    once = compared(LABELS, "NODULE", settings={"redraws": 1})
    assert "synthetic images were generated 5" not in paragraph(facts_with(LABELS, once))


def test_a_probe_of_an_earlier_folder_is_stale(filled):
    keep(filled, {"verdict": "Synthetic NODULE can mostly be told.", "balanced_sha256": "0"}, "probe.json")
    try:
        facts = gathered(filled)
        assert any(warning.startswith("The probe is out of date") for warning in facts.warnings)
        assert "Synthetic NODULE can mostly be told." in page_of(facts)
    finally:
        (filled / ".balance" / "reports" / "probe.json").unlink()


def test_a_folder_that_is_not_ours_is_refused(filled, tmp_path):
    with opened(filled) as (journal, split), pytest.raises(OutputError, match="balance fill"):
        collect(journal.collection, split, journal.ledger, find_state(filled), tmp_path)


def test_the_probe_is_shown_with_its_alarms():
    area = {"value": 0.9, "low": 0.8, "high": 1.0}
    detectors = [{"name": "noise", "area": area, "p_value": 0.005}, {"name": "border", "area": area, "p_value": 0.2}]
    found = {"verdict": "V", "fixes": ["F"], "level": 0.01, "classes": [{"label": "A", "detectors": detectors}]}
    shown = realism.probe(facts_with(("A", "B"), None, probe=structured(found, StoredProbe)))
    assert shown["rows"] == [
        ["A: noise", "0.90 [0.80, 1.00]", "0.005", "yes"],
        ["A: border", "0.90 [0.80, 1.00]", "0.200", "no"],
    ]


def test_an_invalid_comparison_is_marked_once_and_first():
    results = compared(("A", "B"), "B", stamps=["weak baseline", "INVALID: shared patients"])
    page = page_of(facts_with(("A", "B"), results))
    assert page.count('class="invalid"') == 1
    assert page.index("INVALID") < page.index("<h1")
    assert "Reservations: INVALID: shared patients; weak baseline." in page


def test_a_private_page_names_nobody_who_makes_a_comparison_invalid(filled):
    stamp = (
        "INVALID: 1 patient with images in the training split and in the test split (p10; (a)); 1 pair (x/p11-2.png)"
    )
    told = {"stamps": [stamp, "weak baseline"], "points": [f"{stamp}.", "Nothing can be concluded."]}
    keep(filled, metrics(LABELS, "NODULE", verdict=f"{stamp}. Nothing can be concluded. Mind: weak baseline.", **told))
    try:
        private, usual = (gathered(filled, private=private) for private in (True, False))
    finally:
        keep(filled, metrics(LABELS, "NODULE"))
    assert "p11-2" in page_of(usual)
    page = page_of(private)
    assert not {"p10", "p11-2"} & set(re.findall(r"[\w-]+", page))
    assert "in the training split and in the test split (names left out)" in page
    assert "weak baseline" in page


def test_the_paragraph_says_by_which_images_arms_were_chosen():
    usual = compared(LABELS, "NODULE")
    assert "chosen on the validation partition." in paragraph(facts_with(LABELS, usual))
    held = compared(LABELS, "NODULE", settings={"chosen_on": "holdout", "side": 64, "backbone": "small"})
    facts = facts_with(LABELS, held)
    assert "were chosen on the images of the generator holdout" in paragraph(facts)
    answers = dict(checklist(facts))
    assert answers["How the final model was chosen"] == "On holdout: strong-augmentation, pretraining"
    assert answers["The classifier and how it was trained"] == "backbone small, side 64"


@pytest.mark.parametrize(
    ("openings", "named"),
    [
        (1, "Endpoints, named beforehand: "),
        (2, "Endpoints, chosen after 1 look at the test split: "),
        (4, "Endpoints, chosen after 3 looks at the test split: "),
        (None, "Endpoints: "),
    ],
)
def test_only_an_endpoint_of_the_first_look_was_named_beforehand(openings, named):
    facts = facts_with(LABELS, compared(LABELS, "NODULE", openings=openings))
    assert named in paragraph(facts)
    assert named.replace("Endpoints", "Endpoint") in page_of(facts)


def test_images_that_passed_the_copy_check_are_not_counted_as_proof(filled):
    page = page_of(gathered(filled))
    assert "rule of three" not in page
    assert "how many copies the check misses" in " ".join(page.split())


def test_a_comparison_of_which_little_is_known_makes_a_page():
    page = page_of(facts_with(("A", "B"), structured({"verdict": "Cannot tell."}, Results)))
    assert "Cannot tell." in page
    assert page_of(facts_with(("A", "B"), structured({"seeds": 3}, Results)))


def test_each_finding_is_told_of_where_images_have_several():
    told = {
        "NODULE": {
            **{"told": "hurt", "images": 24, "patients": 21, "baseline": interval(0.4, 0.1)},
            "synthetic": interval(0.3, 0.1),
            "difference": {**interval(-0.1, 0.05), "p": 0.001, "p_holm": 0.002},
        },
        "EFFUSION": {"told": "too few patients", "images": 3, "patients": 2, "baseline": None, "difference": None},
    }
    page = page_of(facts_with(LABELS, compared(LABELS, "NODULE", findings=told)))
    assert "By finding" not in page_of(facts_with(LABELS, compared(LABELS, "NODULE")))
    cells = [each for each in Parsed(page[page.index("By finding") :]).said if each.strip()]
    row = cells[cells.index("NODULE") :][:7]
    assert (row[1], row[5:]) == ("21", ["0.002", "hurt"])
    assert "too few patients" in cells


def test_the_checklist_leaves_to_the_authors_what_no_record_tells():
    facts = facts_with(("A", "B"), compared(("A", "B"), "B"))
    answers = dict(checklist(facts))
    assert answers["De-identification"] == AUTHORS
    assert answers["The level at which partitions are disjoint"] == "Image; patients are unknown"
    assert answers["Limits of the study"] == "weak baseline; generator exposure unknown"
    assert sum(answer == AUTHORS for answer in answers.values()) > 10
    said = paragraph(facts)
    assert "Patients are unknown, so leakage between partitions is not excluded." in said
    assert "5 seeds each" in said
    assert "\n" not in said


HOSTILE = ("<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "</title></style>", "javascript:a\u202e")


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_is_put_in_is_text(name):
    shown = {
        "sections": [],
        "style": "",
        "digest": "",
        "stamps": [name],
        "written": DAY,
        "title": name,
        "heading": name,
    }
    page = render("page.html", facts=facts_with((name,), None, name=name, version=name), **shown)
    page += render("repeat.html", lines=[name]) + render("methods.html", paragraph=name, checklist=[(name, name)])
    page += render("sheets.html", facts=facts_with((name,), None), strips={name: [(name, [name])]})
    assert name not in page or name.startswith("javascript")
    assert "\u202e" not in page
    assert "script" not in {tag for tag, _ in Parsed(page).tags}
    assert [set(each) for each in Parsed(page).of("img")] == [{"src", "alt"}]
    named = [said for said in Parsed(page).said if name.replace("\u202e", "\ufffd") in said]
    assert len(named) >= 9


def test_hostile_facts_are_text_in_every_section():
    results = compared(HOSTILE, HOSTILE[0], verdict=HOSTILE[0], stamps=list(HOSTILE))
    found = [(name, name, name, [name]) for name in HOSTILE]
    facts = facts_with(HOSTILE, results, name=HOSTILE[2], findings=found, patients=HOSTILE[0], table=HOSTILE[1])
    page = make_page(facts, DAY).decode()
    assert page.count('class="part"') == len(SECTIONS) == 14
    assert not {"script", "img"} & {tag for tag, _ in Parsed(page).tags}
    assert not any(name.startswith("on") for _, attributes in Parsed(page).tags for name in attributes)
