import json
import math

import pandas as pd
import pytest

from analysis.data.endpoint import rarest_class
from analysis.power.detectable_effect import (
    Power,
    by_metric_and_class,
    design_effect,
    measure_power,
    power,
    recall_difference,
)
from analysis.power.sample import USUAL, Sample
from analysis.power.text import as_json, notes, out_of_fold_json, recall_line, sentence
from balancer.collection.scan import scan
from balancer.errors import PlanError, SplitError
from balancer.splits.split import SplitShares, draw_split, no_split
from tests.benchmarks.simulations_power import share_of_significant
from tests.support.tiny_models import write_xrays

PATIENT = r"(p\d+)-"


@pytest.fixture
def collection(tmp_path):
    return scan(write_xrays(tmp_path / "d", {"A": 200, "B": 120, "C": 60}, (8, 8)), PATIENT)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(6, 0.96, 0.96), (8, 0.80, 0.80), (12, 0.58, 0.58), (60, 0.16, 0.20)]
)
def test_recall_is_that_of_the_exact_test(count, low, high):
    found = recall_difference(Sample((1,) * count, ()))
    assert [round(each, 2) for each in found] == [low, high]


@pytest.mark.parametrize("count", [6, 12, 30])
def test_four_of_five_samples_show_the_smallest_detectable_recall_difference(count):
    for assumed, smallest in zip(USUAL.discordant, recall_difference(Sample((1,) * count, ())), strict=True):
        assert share_of_significant(count, assumed, smallest, 2000) == pytest.approx(0.8, abs=0.04)


def test_few_patients_need_more_standard_errors():
    assert [round(USUAL.errors(count - 1), 1) for count in (6, 12, 30)] == [3.5, 3.1, 2.9]


def test_images_of_one_patient_count_for_less():
    assert design_effect((4,) * 5, 0.5) == 2.5
    assert design_effect((1, 3), 0.5) == 1.75  # of four images three are of a patient with three
    assert recall_difference(Sample((3,) * 30, ())) == recall_difference(Sample((1,) * 45, ()))
    assert recall_difference(Sample((2,) * 12, ()))[0] < recall_difference(Sample((1,) * 12, ()))[0]


def test_a_patient_of_two_classes_is_counted_once():
    images = pd.DataFrame({"label": list("RRNNN"), "patient": list("abbcc")})
    found = Sample.of(images["label"], images["patient"], "R")
    assert found == Sample((1,), (2,), ((1, 1),))
    assert (found.patients, found.images, found.other_images) == (2, 2, 3)


def test_so_many_patients_as_needed_do_show_the_difference():
    found = power(Sample((1,) * 60, (1,) * 540), difference=0.08)
    times = found.needed / 60
    assert power(Sample((1,) * found.needed, (1,) * round(540 * times))).auprc == pytest.approx(0.08, rel=0.2)
    enough = recall_difference(Sample((1,) * found.needed_recall, ()))
    assert enough[0] < 0.08 < enough[1]


def test_five_patients_show_nothing_and_the_words_say_so():
    way = power(Sample((4,) * 5, (1,) * 50))
    assert (way.images, way.auprc, way.recall, way.needed) == (20, None, None, None)
    found = Power("C", 0.05, way, None, 0)
    assert sentence(found) == "Smallest detectable AUPRC difference for C: none (20 images of 5 test patients)."
    assert "cannot tell" in notes(found)[0]


def test_a_test_part_of_one_class_allows_recall_alone():
    way = power(Sample((1,) * 30, ()))
    assert way.auprc is None
    assert way.recall is not None
    found = Power("C", 0.05, way, None, 0)
    assert sentence(found).startswith("Smallest detectable recall difference for C: 0.25 to 0.27 (30 test patients)")
    assert "only recall can be compared" in notes(found)[0]


def test_shares_of_the_class_that_differ_are_named():
    ways = [power(Sample((1,) * 20, (1,) * count)) for count in (40, 200)]
    assert "do not compare the two AUPRC" in notes(Power("C", 0.05, *ways, 5))[0]
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
    assert found.one_split.auprc is None
    assert 0.1 < found.cross_fitted.auprc < 0.3
    assert sentence(found).startswith(
        "Smallest detectable AUPRC difference for C: none (12 images of 6 test patients), 0."
    )
    assert " cross-fitted (60 images of 30 patients); 0.1 would take at least " in sentence(found)
    assert json.loads(json.dumps(as_json(found)))["cross_fitted"]["patients"] == 30
    assert measure_power(collection, split, difference=0.1) == found


def test_without_folds_or_patients_it_says_what_to_do(collection):
    unknown = scan(collection.root)
    found = measure_power(unknown, draw_split(unknown, shares=SplitShares(folds=0)))
    assert found.cross_fitted is None
    assert (found.one_split.images, found.one_split.patients) == (12, 12)
    assert ["balance split --folds 5" in note or "Patients are unknown" in note for note in notes(found)] == [True] * 2


def test_the_rarest_class_is_that_of_the_training_part(collection):
    split = draw_split(collection)
    assert rarest_class(collection, split) == "C"
    split.parts[collection.images["label"] == "C"] = "test"
    assert rarest_class(collection, split) == "B"
    with pytest.raises(SplitError, match="none: no arm can learn") as error:
        measure_power(collection, split, "C")
    assert error.value.next_step.endswith("balance power --label A")


def test_a_class_without_test_images_is_for_the_folds(collection):
    split = draw_split(collection)
    split.parts[split.parts.eq("test") & collection.images["label"].eq("C")] = "train"
    found = measure_power(collection, split)
    assert found.one_split.auprc is None
    assert found.cross_fitted.auprc is not None
    assert notes(found)[0].startswith("With 0 test patients of C no difference can be significant. Use cross-fitting")
    assert len(notes(found)) == 1
    bare = type(split)(split.parts, split.origin, split.seed)
    with pytest.raises(SplitError, match="differences of A, B can still be"):
        measure_power(collection, bare)
    with pytest.raises(SplitError, match="test images of C") as error:
        measure_power(collection, no_split(collection))
    assert error.value.next_step.endswith("balance split --folds 5")


@pytest.mark.parametrize("difference", [0, 1, -0.1, math.nan])
def test_a_difference_is_a_share(collection, difference):
    with pytest.raises(PlanError, match="between 0 and 1"):
        measure_power(collection, draw_split(collection), difference=difference)


def test_an_unknown_class_is_told_the_known_ones(collection):
    with pytest.raises(PlanError, match=r"A, B, C\nfound:  'c' in --label"):
        measure_power(collection, draw_split(collection), "c")


def test_the_line_of_a_fill_needs_no_simulation(collection):
    split = draw_split(collection)
    low, _ = recall_difference(Sample((2,) * 6, ()), USUAL)
    line = recall_line(collection, split)
    assert line.startswith(f"Smallest detectable recall difference for C: {low:.2f} (12 images of 6 test patients), 0.")
    assert line.endswith(" cross-fitted (60 images of 30 patients). More: balance power")
    assert recall_line(collection, no_split(collection)) == ""


def test_out_of_fold_words_speak_of_cross_fitting_alone():
    crossed = power(Sample((1,) * 50, (1,) * 450))
    found = Power("R", 0.05, power(Sample((1,) * 8, (1,) * 90)), crossed, 5)
    told = out_of_fold_json(found)
    assert told["sentence"].startswith("Smallest detectable AUPRC difference for R: 0.")
    assert " cross-fitted (50 patients); 0.05 would take" in told["sentence"]
    assert "test patient" not in told["sentence"]
    assert not any("test image" in note for note in told["notes"])
    assert {name: each for name, each in told.items() if name not in ("sentence", "notes")} == {
        name: each for name, each in as_json(found).items() if name not in ("sentence", "notes")
    }


def test_every_metric_and_class_has_its_figures(collection):
    found = by_metric_and_class(collection, draw_split(collection), 0.1)
    assert set(found) == {"auprc", "recall"}
    assert set(found["auprc"]) == {"A", "B", "C"}
    crossed = found["auprc"]["C"]["cross_fitted"]
    assert (crossed["images"], crossed["patients"]) == (60, 30)
    assert crossed["smallest"] == measure_power(collection, draw_split(collection), "C", 0.1).cross_fitted.auprc
    assert found["auprc"]["A"]["cross_fitted"]["smallest"] < crossed["smallest"]
    json.dumps(found)
