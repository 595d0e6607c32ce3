"""A `metrics.json` in the agreed form is read whole; a wrong value in one is said with its place."""

import json
import random

import pytest

from analysis.report.page import SECTIONS
from analysis.report.sections import comparison
from analysis.report.sections.methods import checklist
from analysis.report.stored_json import MIGRATIONS, read_stored, structured
from analysis.report.stored_results import Results, StoredProbe, StoredQuality
from tests.support.report_fixtures import KINDS, compared, facts_with, interval, metrics

LABELS = ("normal", "effusion", "nodule")


def test_all_of_the_agreed_form_is_read():
    found = compared(LABELS, "nodule")
    assert (found.endpoint.named, found.reference) == (["auprc:nodule", "macro_f1"], "strong-augmentation")
    assert (found.chosen.free, found.chosen.synthetic) == ("strong-augmentation", "pretraining")
    assert (found.seeds, found.openings) == (5, 1)
    assert set(found.arms) == set(KINDS)
    assert {name: each.p_value for name, each in found.differences["real"].items()} == {
        "auprc:nodule": 0.4,
        "macro_f1": 0.4,
    }
    assert (found.test["effusion"].images, found.test["effusion"].patients) == (26, 21)
    assert found.strata["sex"]["F"].images == 26
    first = found.reliability["pretraining"][0]
    assert (first.predicted, first.observed, first.images) == (0.1, 0.095, 8)
    assert found.shown == ["real", "strong-augmentation", "pretraining"]
    assert found.metrics[:2] == ["auprc:nodule", "macro_f1"]
    assert not any(name.startswith("prevalence") for name in found.metrics)
    kinds = [found.kinds[name] for name in found.ordered]
    assert kinds == sorted(kinds, key=["real", "free", "synthetic", "control"].index)
    assert [point.images for point in found.exchange.curve] == [5, 10, 20, 40]
    assert found.power.sentence.startswith("It can show")
    assert (found.power.one_split.recall, found.power.one_split.needed) == ((0.36, 0.44), 650)


def test_the_images_and_their_recipe_are_told_apart():
    rows = comparison.comparison(facts_with(LABELS, compared(LABELS, "nodule")))["same_recipe"]
    assert [row[:2] for row in rows[:2]] == [
        ["the images: pretraining minus class-weights", "+0.040 [−0.010, +0.090]"],
        ["the recipe: class-weights minus strong-augmentation", "−0.010 [−0.060, +0.040]"],
    ]
    assert rows[2][0] == "both together"
    same = metrics(LABELS, "nodule")
    same["like_for_like"]["recipe"] = None
    shown = comparison.comparison(facts_with(LABELS, structured(same, Results)))
    assert len(shown["same_recipe"]) == 1
    none = compared(LABELS, "nodule", like_for_like=None)
    assert comparison.comparison(facts_with(LABELS, none))["same_recipe"] == []


def html(name, results):
    (section,) = [each for each in SECTIONS if each.name == name]
    return section.html(facts_with(LABELS, results), lambda chart: chart.title)


def test_another_collection_has_a_table_and_a_line_of_the_checklist():
    figures = {"auprc:nodule": interval(0.6, 0.1), "macro_f1": interval(0.5, 0.1)}
    said = "On elsewhere (40 patients): not shown to differ."
    facts = {"name": "elsewhere", "sentence": said, "left_out": {"unreadable": 2}, "test": {}, "difference": None}
    found = compared(LABELS, "nodule", external={**facts, "arms": {"pretraining": figures}})
    shown = comparison.comparison(facts_with(LABELS, found))
    assert shown["external_rows"] == [["pretraining", "0.600 [0.500, 0.700]", "–", "–", "0.500 [0.400, 0.600]"]]
    assert said in html("comparison", found)
    assert dict(checklist(facts_with(LABELS, found)))["Test on external data"] == said


def test_the_recipe_is_said_to_be_the_rest_where_it_was_measured():
    rest = "The rest of its difference to the reference is due to the recipe."
    assert rest in html("comparison", compared(LABELS, "nodule"))
    same = metrics(LABELS, "nodule")
    same["like_for_like"]["recipe"] = None
    assert rest not in html("comparison", structured(same, Results))


def test_the_verdict_is_told_point_by_point():
    told = compared(LABELS, "nodule", sentence="Use real.", points=["It is better.", "The test split was opened once."])
    shown = html("verdict", told)
    assert '<p class="verdict">Use real.</p>' in shown
    assert shown.index("Use real.") < shown.index("<li><bdi>It is better.</bdi></li>") < shown.index("Weak baseline: ")
    assert shown.count("opened once") == 1
    assert "arm to use" not in shown  # the sentence says it


def test_what_version_0_1_said_below_its_verdict_is_a_point():
    earlier = compared(LABELS, "nodule", points=["Use real.", "It is better."])
    below = ("The arm to use: strong-augmentation.", "The test split was opened once.")
    assert (earlier.sentence, earlier.points) == ("Use real.", ("It is better.", *below))
    assert compared(LABELS, "nodule").sentence.startswith("Use strong-augmentation. Synthetic pretraining changes")
    assert structured({"openings": 2}, Results).points == ("The test split was opened 2 times.",)
    assert structured({}, Results).sentence == "The comparison has no verdict."
    assert next(iter(MIGRATIONS[Results])) == "sentence-of-0.1"


def mangled(value, chance):
    """The same with some values in the wrong place."""
    if chance.random() < 0.01:
        return chance.choice([None, "<b>", 3, -1.5, [], {}, [1, "x"], {"mean": "x"}, float("nan"), True, 10**400])
    if isinstance(value, dict):
        return {name: mangled(each, chance) for name, each in value.items() if chance.random() > 0.002}
    return [mangled(each, chance) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(20))
def test_a_wrong_value_is_refused_or_can_be_shown(tmp_path, seed):
    chance, place = random.Random(seed), tmp_path / "metrics.json"
    place.write_text(json.dumps({name: mangled(each, chance) for name, each in metrics(LABELS, "nodule").items()}))
    found, fault = read_stored(place, Results)
    assert (found is None) == bool(fault)
    for name in ("verdict", "comparison", "methods"):
        assert html(name, found)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"seeds": "five"}, "seeds"),
        ({"train": {"nodule": [1]}}, "train"),
        ({"endpoint": {"primary": 3}}, "endpoint.primary"),
        ({"arms": {"real": {"auprc:nodule": {"mean": "x", "low": 0, "high": 1}}}}, "arms"),
        ({"settings": {"folds": "<b>"}}, "design.folds"),
        ({"openings": True}, "openings"),
    ],
)
def test_a_wrong_value_is_said_with_its_place(change, place):
    with pytest.raises(ValueError, match=f"^{place}.* is not as it should be$"):
        compared(LABELS, "nodule", **change)


def test_what_is_not_known_is_left_out():
    figures = {"mean": None, "low": None, "high": None}
    found = compared(
        LABELS, "nodule", best_arm=None, arms={"real": {"macro_f1": figures, "mcc": {**figures, "mean": 1}}}
    )
    assert (found.best_arm, found.arms) == ("", {"real": {}})
    area = {"value": float("nan"), "low": 0, "high": 1}
    classes = [{"label": "A", "detectors": [{"name": "noise", "area": area, "p_value": None}]}]
    content = json.loads(json.dumps({"classes": classes}), parse_constant=lambda _: None)
    assert structured(content, StoredProbe).classes[0].detectors[0].area is None
    quality = {"classes": {"A": {"sentence": "few"}}}
    assert structured(quality, StoredQuality).classes["A"].figures == {}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"null", b'"x"', b"[" * 100_000])
def test_a_damaged_file_is_told(tmp_path, content):
    path = tmp_path / "metrics.json"
    path.write_bytes(content)
    found, fault = read_stored(path, Results)
    assert found is None
    assert fault


def test_a_missing_file_is_no_fault(tmp_path):
    assert read_stored(tmp_path / "metrics.json", Results) == (None, "")
    (tmp_path / "metrics.json").write_text(json.dumps({"verdict": "x"}))
    assert read_stored(tmp_path / "metrics.json", Results)[0].verdict == "x"
