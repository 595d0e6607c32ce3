"""Images with several findings: read, counted, measured, remembered, and what is said of contradictions."""

import json

import jsonschema
import numpy as np
import pandas as pd
import pytest

from balancer.collection.imbalance import measure_findings
from balancer.collection.label_sets import DENIED, GIVEN, UNCERTAIN, UNKNOWN
from balancer.collection.scan import scan
from balancer.collection.sources.made import make_source
from balancer.collection.sources.options import SourceOptions
from balancer.errors import CollectionError
from balancer.store.database import Ledger
from balancer.store.state_dir import find_or_make_state
from tests.support.cli_process import ROOT, apart
from tests.support.layouts import archive, draw, write_table

HEADER = ["file", "patient", "set", "Effusion", "Hernia", "Support Devices", "No Finding"]
ROWS = [
    ["a", "p1", "train", "1", "1", "", ""],
    ["b", "p2", "train", "1", "0", "0", ""],
    ["c", "p3", "train", "-1", "", "", ""],
    ["d", "p4", "train", "", "", "1", "1"],
    ["e", "p5", "train", "", "", "", "1"],
    ["f", "p6", "train", "1", "", "", "1"],
    ["g", "p7", "test", "0", "0", "1", ""],
]


def flags(tmp_path, table=ROWS, header=HEADER, **options):
    """A collection with a column a finding."""
    for row in table:
        draw(tmp_path / "x" / f"{row[0]}.png")
    path = write_table(tmp_path / "t.csv", [header, *table])
    source = make_source(SourceOptions(labels=(path,), labels_in_columns=tuple(header[3:]), **options), "x")
    return scan(tmp_path / "x", source=source)


def marks(found):
    return {path[0]: row.tolist() for path, row in found.label_sets.marks[HEADER[3:]].iterrows()}


def kinds(found):
    return {each.kind: each for each in found.findings}


def test_given_denied_uncertain_and_not_told_are_kept_apart(tmp_path):
    found = flags(tmp_path)
    assert marks(found) == {
        "a": [GIVEN, GIVEN, UNKNOWN, UNKNOWN],
        "b": [GIVEN, DENIED, DENIED, UNKNOWN],
        "c": [UNCERTAIN, UNKNOWN, UNKNOWN, UNKNOWN],
        "d": [DENIED, DENIED, GIVEN, GIVEN],  # "No Finding" denies findings, and says nothing of devices
        "e": [DENIED, DENIED, UNKNOWN, GIVEN],
        "f": [GIVEN, DENIED, UNKNOWN, GIVEN],
        "g": [DENIED, DENIED, GIVEN, UNKNOWN],
    }
    assert found.labels == ["Effusion", "Hernia", "Support Devices"]
    assert found.label_sets.nothing == "No Finding"
    names = ["Effusion|Hernia", "Effusion", "", "Support Devices", "No Finding", "Effusion", "Support Devices"]
    assert found.images["label"].tolist() == names
    assert found.label_sets.without_finding().tolist() == [False] * 4 + [True] + [False] * 2


@pytest.mark.parametrize(
    ("options", "effusion", "devices"),
    [
        ({}, {UNCERTAIN: 1, GIVEN: 3}, {UNKNOWN: 4}),
        ({"blank": "negative"}, {UNCERTAIN: 1, GIVEN: 3}, {UNKNOWN: 0}),
        ({"uncertain": "positive"}, {UNCERTAIN: 0, GIVEN: 4}, {UNKNOWN: 4}),
        ({"uncertain": "negative"}, {UNCERTAIN: 0, GIVEN: 3}, {UNKNOWN: 4}),
    ],
)
def test_a_policy_says_what_is_uncertain_and_what_is_blank(tmp_path, options, effusion, devices):
    sets = flags(tmp_path, **options).label_sets
    assert {value: sets.counts(value)["Effusion"] for value in effusion} == effusion
    assert {value: sets.counts(value)["Support Devices"] for value in devices} == devices


def test_no_finding_beside_a_finding_is_said_and_the_finding_counts(tmp_path):
    said = kinds(flags(tmp_path))["contradicting-labels"]
    assert [path.name for path in said.paths] == ["f.png"]  # and not d: devices are no disease
    assert "'No Finding'" in said.message


def test_a_finding_in_test_alone_and_one_that_is_never_alone_are_said(tmp_path):
    rows = [[*row[:3], *row[3:]] for row in ROWS]
    rows[3][5] = ""
    found = kinds(flags(tmp_path, rows, columns={"split": ("set",), "file": ("file",), "patient": ("patient",)}))
    assert "'Support Devices'" in found["not-in-training"].message
    assert [path.name for path in found["not-in-training"].paths] == ["g.png"]
    assert "'Hernia' (most often with 'Effusion')" in found["never-alone"].message


def test_rows_of_several_readers_leave_open_what_all_of_them_leave_open(tmp_path):
    header = ["file", "reader", "set", "Mass", "Edema", "No finding"]
    rows = [
        *(["a", 1, "", "1", "", ""], ["a", 2, "", "1", "0", ""], ["a", 3, "", "", "", ""]),
        *(["b", 1, "", "", "", ""], ["b", 2, "", "", "1", ""], ["b", 3, "", "", "1", ""]),
        ["c", 1, "", "", "", ""],
    ]
    sets = flags(tmp_path, rows, header, rows="majority").label_sets
    assert sets.marks[["Mass", "Edema"]].to_numpy().tolist() == [
        [GIVEN, DENIED], [UNKNOWN, GIVEN], [UNKNOWN, UNKNOWN],
    ]  # fmt: skip


def test_labels_in_a_cell_deny_what_they_do_not_name(tmp_path):
    root = archive(tmp_path / "x")
    source = make_source(SourceOptions(labels=(root / "entries.csv",), separator="|"), "x")
    sets = scan(root, source=source).label_sets
    assert sets.counts() == {"Effusion": 4, "Hernia": 0, "Infiltration": 2, "Mass": 6}
    assert set(np.unique(sets.marks.to_numpy())) == {DENIED, GIVEN}
    assert int(sets.without_finding().sum()) == 4


def test_a_name_with_a_bar_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(CollectionError, match=r"--map 'Mass\|Nodule=Mass Nodule'"):
        flags(tmp_path, header=[*HEADER[:3], "Mass|Nodule", *HEADER[4:]])


def test_one_class_an_image_has_no_label_sets(xrays):
    assert scan(xrays).label_sets is None


def test_five_hundred_findings(tmp_path):
    names = [f"finding {number:03}" for number in range(500)]
    rows = [[f"i{n}", f"p{n}", "", *("1" if (n * 7 + at) % 90 == 0 else "0" for at in range(500))] for n in range(30)]
    found = flags(tmp_path, rows, ["file", "patient", "set", *names])
    figures = measure_findings(found.label_sets.has())
    counts = found.label_sets.counts()
    assert figures.ratios[names[0]] == max(counts.values()) / counts[names[0]]
    assert len(figures.ratios) == 500


def test_the_database_gives_back_what_it_was_given(tmp_path):
    found = flags(tmp_path)
    state = find_or_make_state(tmp_path, found.root)
    with Ledger(state) as ledger:
        ledger.save_collection(found)
        again = ledger.load_collection(found.root)
    pd.testing.assert_frame_equal(again.label_sets.marks, found.label_sets.marks)
    assert (again.label_sets.nothing, again.labels) == (found.label_sets.nothing, found.labels)


def test_figures_as_the_paper_defines_them():
    """By hand: A 8, B 4, C 1 images; IRLbl 1, 2, 8; of nine images one has A and C, one A and B."""
    has = pd.DataFrame({"A": [1] * 8 + [0], "B": [1] + [0] * 7 + [1], "C": [0, 1] + [0] * 7}, dtype=bool)
    has.loc[2, "B"] = has.loc[3, "B"] = True
    figures = measure_findings(has)
    assert figures.ratios == {"A": 1.0, "B": 2.0, "C": 8.0}
    assert figures.mean_ratio == pytest.approx(11 / 3)
    assert figures.variation == pytest.approx(np.std([1, 2, 8], ddof=1) / (11 / 3))
    both, rare = 1 - 2**0.5 / 1.5, 1 - 8**0.5 / 4.5
    assert figures.concurrence == pytest.approx((3 * both + rare) / 9)
    assert figures.together == {"A": {"B": 3, "C": 1}, "B": {"A": 3}, "C": {"A": 1}}


def test_scan_tells_it_in_words_and_to_programs(tmp_path):
    archive(tmp_path / "x")
    told = ("x", "--labels", "x/entries.csv", "--separator", "|", "--split-list", "test=x/test_list.txt")
    said = apart(tmp_path, "scan", *told).stdout
    assert "Images: 8 with a finding, 4 without any ('No Finding')" in said
    found = json.loads(apart(tmp_path, "scan", "x", "--json").stdout)
    jsonschema.validate(found, json.loads((ROOT / "balancer" / "cli" / "scan.schema.json").read_text("utf-8")))
    figures = found["imbalance"]
    assert figures["ir"]["Hernia"] is None
    assert figures["mean_ir"] >= 1 <= figures["ir"]["Mass"]
    assert (figures["no_finding"], figures["unknown"]) == ({"label": "No Finding", "images": 4}, {})
    assert found["imbalance_ratio"] == max(ratio for ratio in figures["ir"].values() if ratio)
    assert found["classes"]["No Finding"]["images"]["all"] == 4


def test_a_state_that_does_not_know_it_asks_for_a_scan(tmp_path):
    archive(tmp_path / "x")
    assert apart(tmp_path, "scan", "x", "--labels", "x/entries.csv", "--separator", "|").returncode == 0
    state = find_or_make_state(tmp_path, tmp_path / "x")
    with Ledger(state) as ledger:
        ledger._tell("DELETE FROM marks")
    done = apart(tmp_path, "split")
    assert (done.returncode, "scan it again: balance scan FOLDER" in done.stderr) == (2, True)
    assert apart(tmp_path, "scan", "x").returncode == 0
    assert apart(tmp_path, "split").returncode == 0
