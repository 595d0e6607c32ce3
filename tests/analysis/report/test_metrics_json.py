"""A `metrics.json` in the agreed form is read whole; of any other what can be read."""

import json
import random

import pytest

from analysis.report.json_reading import interval, read_json, real
from analysis.report.metrics_json import curve_of, read_results, summary_of
from analysis.report.sections import comparison, methods, real_image_equivalent
from tests.support.report_fixtures import KINDS, facts_with, metrics

LABELS = ("normal", "effusion", "nodule")


def test_all_of_the_agreed_form_is_read():
    found = read_results(metrics(LABELS, "nodule"))
    assert (found.primary, found.secondary, found.reference) == ("auprc:nodule", "macro_f1", "strong-augmentation")
    assert (found.free, found.synthetic, found.seeds, found.openings) == ("strong-augmentation", "pretraining", 5, 1)
    assert set(found.arms) == set(KINDS)
    assert found.p_values["real"] == {"auprc:nodule": 0.4, "macro_f1": 0.4}
    assert found.test["effusion"] == (26, 21)
    assert found.strata["sex"]["F"][0] == 26
    assert found.reliability["pretraining"][0] == (0.1, 0.095, 8)
    assert found.shown == ["real", "strong-augmentation", "pretraining"]
    assert found.metrics[:2] == ["auprc:nodule", "macro_f1"]
    assert not any(name.startswith("prevalence") for name in found.metrics)
    kinds = [found.kinds[name] for name in found.ordered]
    assert kinds == sorted(kinds, key=["real", "free", "synthetic", "control"].index)
    assert [size for size, _ in curve_of(found.exchange)] == [5, 10, 20, 40]
    assert summary_of(found.power).startswith("It can show")


def test_the_images_and_their_recipe_are_told_apart():
    found = read_results(metrics(LABELS, "nodule"))
    heading, words, table = real_image_equivalent.like_for_like(found)
    assert heading.text == "The images or the recipe?"
    assert "The rest of its difference to the reference is due to the recipe." in words.text
    assert [row[:2] for row in table.rows[:2]] == [
        ["the images: pretraining minus class-weights", "+0.040 [−0.010, +0.090]"],
        ["the recipe: class-weights minus strong-augmentation", "−0.010 [−0.060, +0.040]"],
    ]
    assert table.rows[2][0] == "both together"
    same = metrics(LABELS, "nodule")
    same["like_for_like"]["recipe"] = None
    assert len(real_image_equivalent.like_for_like(read_results(same))[2].rows) == 1
    assert real_image_equivalent.like_for_like(read_results(metrics(LABELS, "nodule", like_for_like=None))) == []


def test_the_verdict_is_told_point_by_point():
    one = comparison.verdict(facts_with(LABELS, read_results(metrics(LABELS, "nodule")))).blocks
    assert one[0].text.startswith("Use strong-augmentation. Synthetic pretraining changes")
    told = metrics(LABELS, "nodule", sentence="Use real.", points=["It is better.", "By much."])
    first, rest, *more = comparison.verdict(facts_with(LABELS, read_results(told))).blocks
    assert (first.text, first.tone, list(rest.items)) == ("Use real.", "verdict", ["It is better.", "By much."])
    assert any(block.kind == "words" and block.text.startswith("Weak baseline: ") for block in more)
    earlier = metrics(LABELS, "nodule", points=["Use real.", "It is better."])
    first, rest, *_ = comparison.verdict(facts_with(LABELS, read_results(earlier))).blocks
    assert (first.text, list(rest.items)) == ("Use real.", ["It is better."])


def test_nothing_is_no_comparison():
    assert read_results({}) is None


def mangled(value, chance):
    """The same with some values in the wrong place."""
    if chance.random() < 0.12:
        return chance.choice([None, "<b>", 3, -1.5, [], {}, [1, "x"], {"mean": "x"}, float("nan"), True, 10**400])
    if isinstance(value, dict):
        return {name: mangled(each, chance) for name, each in value.items() if chance.random() > 0.05}
    return [mangled(each, chance) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(20))
def test_wrong_values_are_passed_over(seed):
    chance = random.Random(seed)
    found = read_results({name: mangled(each, chance) for name, each in metrics(LABELS, "nodule").items()})
    for make in (comparison.verdict, comparison.comparison, methods.methods):
        assert make(facts_with(LABELS, found)).blocks


def test_what_json_may_hold_is_no_number_for_that():
    assert [real(each) for each in (1, 1.5, True, "1", None, float("inf"), 10**400)] == [1, 1.5, *[None] * 5]
    assert interval({"mean": 1, "low": 0}) is None
    assert interval([1, 2, 3]) is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"null", b'"x"', b"[" * 100_000])
def test_a_damaged_file_is_told(tmp_path, content):
    path = tmp_path / "metrics.json"
    path.write_bytes(content)
    found, fault = read_json(path)
    assert found == {}
    assert fault


def test_a_missing_file_is_no_fault(tmp_path):
    assert read_json(tmp_path / "metrics.json") == ({}, "")
    (tmp_path / "metrics.json").write_text(json.dumps({"verdict": "x"}))
    assert read_json(tmp_path / "metrics.json") == ({"verdict": "x"}, "")
