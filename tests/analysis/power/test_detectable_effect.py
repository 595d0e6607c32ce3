import json
import math

import numpy as np
import pytest

from analysis.power.detectable_effect import (
    USUAL,
    Power,
    Sample,
    design_effect,
    measure_power,
    power,
    rarest,
    recall_difference,
    recall_line,
)
from analysis.power.text import notes
from analysis.statistics.average_precision import average_precisions
from balancer.collection.scan import scan
from balancer.errors import PlanError, SplitError
from balancer.splits.split import Shares, draw_split, no_split
from tests.support.tiny_models import write_xrays

PATIENT = r"(p\d+)-"


@pytest.fixture
def collection(tmp_path):
    return scan(write_xrays(tmp_path / "d", {"A": 200, "B": 120, "C": 60}, (8, 8)), PATIENT)


@pytest.mark.parametrize(("count", "low", "high"), [(12, 0.36, 0.44), (60, 0.16, 0.20)])
def test_recall_is_as_calculated_by_hand(count, low, high):
    found = recall_difference(Sample((1,) * count, ()))
    assert [round(each, 2) for each in found] == [low, high]


def test_images_of_one_patient_count_for_less():
    assert design_effect((4,) * 5, 0.5) == 2.5
    assert design_effect((1, 3), 0.5) == 1.75  # of four images three are of a patient with three
    assert recall_difference(Sample((3,) * 30, ())) == pytest.approx(recall_difference(Sample((1,) * 45, ())))
    assert recall_difference(Sample((2,) * 12, ()))[0] < recall_difference(Sample((1,) * 12, ()))[0]


@pytest.mark.parametrize(("rare", "others"), [((1,) * 60, (1,) * 300), ((2,) * 25, (1, 2) * 100)])
def test_the_smallest_difference_is_found_four_times_in_five(rare, others):
    """Draw two arms that differ by it, often, and count how often their difference is significant."""
    way, chance = power(Sample(rare, others)), np.random.default_rng(7)
    distance = math.sqrt(2) * 1.0364334
    truth = np.repeat([1, 0], [sum(rare), sum(others)])

    def scores():
        patients = [np.repeat(chance.normal(0, 1, len(sizes)), sizes) for sizes in (rare, others)]
        return math.sqrt(0.5) * np.concatenate(patients) + math.sqrt(0.5) * chance.normal(0, 1, len(truth))

    def difference(shift):
        first = scores()
        second = 0.7 * first + math.sqrt(1 - 0.7**2) * scores()
        second, first = second + shift * truth, first + distance * truth
        better, reference = (average_precisions(each[truth == 1], each[truth == 0]) for each in (second, first))
        return better - reference

    shifts = np.linspace(distance, distance + 1.2, 9)
    means = [np.mean([difference(shift) for _ in range(100)]) for shift in shifts]
    drawn = np.array([difference(np.interp(way.auprc, means, shifts)) for _ in range(400)])
    assert 0.7 < (drawn > 1.96 * drawn.std(ddof=1)).mean() < 0.88


def test_so_many_patients_as_needed_do_show_the_difference():
    found = power(Sample((1,) * 60, (1,) * 540), difference=0.08)
    times = found.needed / 60
    assert power(Sample((1,) * found.needed, (1,) * round(540 * times))).auprc == pytest.approx(0.08, rel=0.15)
    enough = recall_difference(Sample((1,) * found.needed_recall, ()))
    assert enough[0] < 0.08 < enough[1]


def test_five_patients_show_nothing_and_the_words_say_so():
    way = power(Sample((4,) * 5, (1,) * 50))
    assert (way.images, way.auprc, way.recall, way.needed) == (20, None, None, None)
    found = Power("C", 0.05, way, None, 0)
    assert "can show no difference in AUPRC." in found.sentence
    assert "it cannot tell" in notes(found)[0]


def test_a_test_part_of_one_class_allows_recall_alone():
    way = power(Sample((1,) * 30, ()))
    assert way.auprc is None
    assert way.recall is not None
    found = Power("C", 0.05, way, None, 0)
    assert "no difference in AUPRC, but differences in recall from 0.23 to 0.28 up" in found.sentence
    assert "only recall can be compared" in notes(found)[0]


def test_shares_of_the_class_that_differ_are_named():
    ways = [power(Sample((1,) * 20, (1,) * count)) for count in (40, 200)]
    assert "the two AUPRC do not compare" in notes(Power("C", 0.05, *ways, 5))[0]
    assert notes(Power("C", 0.05, ways[1], ways[1], 5)) == []


def test_few_images_are_named():
    found = Power("C", 0.05, power(Sample((1,) * 8, (1,) * 50)), None, 0)
    assert "With 8 test images of C one image moves its recall by 0.12" in notes(found)[0]


def test_the_stored_split_and_the_folds_are_measured(collection):
    split = draw_split(collection)
    found = measure_power(collection, split, difference=0.1)
    assert (found.label, found.folds) == ("C", 5)
    assert (found.one_split.images, found.one_split.patients) == (12, 6)
    assert (found.cross_fitted.images, found.cross_fitted.patients) == (60, 30)
    assert found.one_split.prevalence == pytest.approx(12 / 76)
    assert found.cross_fitted.auprc < found.one_split.auprc
    assert found.sentence.startswith(
        "The test part (12 images of 6 patients of C) can show differences in AUPRC from 0."
    )
    assert json.loads(json.dumps(found.as_json))["cross_fitted"]["patients"] == 30
    assert measure_power(collection, split, difference=0.1) == found


def test_without_folds_or_patients_it_says_what_to_do(collection):
    unknown = scan(collection.root)
    found = measure_power(unknown, draw_split(unknown, shares=Shares(folds=0)))
    assert found.cross_fitted is None
    assert (found.one_split.images, found.one_split.patients) == (12, 12)
    assert ["balance split --folds 5" in note or "Patients are unknown" in note for note in notes(found)] == [True] * 2


def test_the_rarest_class_is_that_of_the_training_part(collection):
    split = draw_split(collection)
    assert rarest(collection, split) == "C"
    split.parts[collection.images["label"] == "C"] = "test"
    assert rarest(collection, split) == "B"
    with pytest.raises(SplitError, match="none: no arm can learn it") as error:
        measure_power(collection, split, "C")
    assert error.value.next_step.endswith("balance power --label A")


def test_a_class_without_test_images_is_for_the_folds(collection):
    split = draw_split(collection)
    split.parts[split.parts.eq("test") & collection.images["label"].eq("C")] = "train"
    found = measure_power(collection, split)
    assert found.one_split.auprc is None
    assert found.cross_fitted.auprc is not None
    assert notes(found)[0].startswith("With 0 test images of C no difference is significant, however large: only cross")
    assert len(notes(found)) == 1
    bare = type(split)(split.parts, split.origin, split.seed)
    with pytest.raises(SplitError, match="differences of A, B can still be shown"):
        measure_power(collection, bare)
    with pytest.raises(SplitError, match="test images of C") as error:
        measure_power(collection, no_split(collection))
    assert error.value.next_step == "to test on each of its patients: balance split --folds 5"


@pytest.mark.parametrize("difference", [0, 1, -0.1, math.nan])
def test_a_difference_is_a_share(collection, difference):
    with pytest.raises(PlanError, match="between 0 and 1"):
        measure_power(collection, draw_split(collection), difference=difference)


def test_an_unknown_class_is_told_the_known_ones(collection):
    with pytest.raises(PlanError, match=r"A, B, C\nfound:  'c' in --label"):
        measure_power(collection, draw_split(collection), "c")


def test_the_line_of_a_fill_needs_no_simulation(collection):
    split = draw_split(collection)
    low, high = recall_difference(Sample((2,) * 6, ()), USUAL)
    line = recall_line(collection, split)
    assert line.startswith(
        f"Of C the test part (12 images of 6 patients) can show differences in recall from {low:.2f} to {high:.2f} up; "
        "cross-fitting (60 images of 30 patients) can show"
    )
    assert recall_line(collection, no_split(collection)) == ""


def test_out_of_fold_words_speak_of_cross_fitting_alone():
    crossed = power(Sample((1,) * 50, (1,) * 450))
    found = Power("R", 0.05, power(Sample((1,) * 8, (1,) * 90)), crossed, 5)
    told = found.out_of_fold_json
    assert told["sentence"].startswith("Cross-fitting (50 images of 50 patients of R) can show differences in AUPRC")
    assert "test part" not in told["sentence"]
    assert not any("test image" in note for note in told["notes"])
    assert {name: each for name, each in told.items() if name not in ("sentence", "notes")} == {
        name: each for name, each in found.as_json.items() if name not in ("sentence", "notes")
    }
    assert told["sentence"].partition("; ")[2] == found.sentence.rpartition("; ")[2]
