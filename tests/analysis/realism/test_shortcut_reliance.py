from dataclasses import dataclass

import numpy as np
import pytest

from analysis.data.balanced_folder import Images, TrainingImagesByClass
from analysis.realism.shortcut_reliance import measure_lean, minority_classes


def images(count):
    return Images((), tuple(map(str, range(count)))) if not count else Images(tuple(range(count)), ("",) * count)


def merged(real, synthetic):
    labels = tuple(real)
    return TrainingImagesByClass(
        None,
        labels,
        {label: images(count) for label, count in real.items()},
        {label: images(synthetic.get(label, 0)) for label in labels},
        {},
        True,
        (),
    )


@dataclass
class ByBrightness:
    """The odds of the rare class rise with brightness; `bias` is what the luck of a training adds."""

    slope: float
    bias: float = 0.0
    classes: tuple = ("common", "rare")

    def probabilities(self, greys):
        rare = 1 / (1 + np.exp(-self.slope * (greys.mean(axis=(1, 2)) - 100) / 20 - self.bias))
        return np.stack((1 - rare, rare), axis=1).astype(np.float32)


def side(level, moved, seed=0, count=40):
    """Plain images of a class around a grey level, and the same with something added."""
    levels = np.random.default_rng(seed).normal(level, 8, count)
    plain, traced = (
        np.array([np.full((2, 2), each, np.uint8) for each in np.clip(some, 0, 255)])
        for some in (levels, levels + moved)
    )
    return (plain, np.arange(count)), (traced, np.arange(count))


def pairs(trained, control, seeds=5):
    return [(ByBrightness(trained), ByBrightness(control))] * seeds


@dataclass
class WithTrace(ByBrightness):
    """One that also takes a bright corner for the rare class."""

    def probabilities(self, greys):
        moved = greys.astype(float) + 15.0 * (greys[:, :1, :1] > greys[:, 1:, 1:] + 20)
        return super().probabilities(moved)


def with_corner(sides):
    (plain, groups), _ = sides
    traced = plain.copy()
    traced[:, 0, 0] = np.minimum(255, traced[:, 0, 0].astype(int) + 40)
    return (plain, groups), (traced, groups)


def test_a_trace_that_moves_both_classes_of_the_trained_classifier_alone_is_relied_on():
    sides = with_corner(side(80, 0)), with_corner(side(120, 0, 1))
    found = measure_lean("x", [(WithTrace(1.0), ByBrightness(1.0))] * 5, ["rare"], *sides)
    assert found.majority.value == pytest.approx(15 / 40, abs=0.1)
    assert found.minority.value == pytest.approx(15 / 40, abs=0.1)
    assert found.leans
    assert found.traced > found.plain


def test_what_moves_the_control_as_well_is_no_reliance():
    found = measure_lean("x", pairs(1.0, 1.0), ["rare"], side(80, 20), side(120, 20, 1))
    assert found.traced > found.plain
    assert not found.leans


def test_what_moves_the_classes_towards_each_other_is_no_shortcut():
    """As noise does, or blur, with a classifier that is less used to it than its control."""
    found = measure_lean("x", pairs(1.5, 1.0), ["rare"], side(80, 15), side(120, -15, 1))
    steady = [(ByBrightness(1.0), ByBrightness(0.0))] * 5
    assert not found.leans
    assert not measure_lean("x", steady, ["rare"], side(80, 15), side(120, -15, 1)).leans


def test_a_control_that_has_not_learned_the_classes_says_nothing():
    sides = with_corner(side(99, 0)), with_corner(side(101, 0, 1))
    found = measure_lean("x", [(WithTrace(1.0), ByBrightness(1.0))] * 5, ["rare"], *sides)
    assert found.p_value < 0.01
    assert not found.is_known
    assert not found.leans


def test_classifiers_that_differ_by_seed_alone_are_told_apart_hardly_ever():
    """The luck of a training shifts what is called rare; the control of one seed made alarms of it."""
    alarms = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        slopes = rng.normal(1, 0.2, (5, 2))
        some = [(ByBrightness(a, rng.normal()), ByBrightness(b, rng.normal())) for a, b in slopes]
        found = measure_lean("x", some, ["rare"], side(85, 6, seed), side(115, 6, seed + 1000))
        alarms += found.leans
    assert alarms <= 2


def test_few_patients_and_few_seeds_leave_a_wide_interval():
    sides = with_corner(side(80, 0, count=10)), with_corner(side(120, 0, 1, count=10))
    few = measure_lean("x", [(WithTrace(1.0), ByBrightness(s)) for s in (0.7, 1.3)], ["rare"], *sides)
    many = measure_lean("x", [(WithTrace(1.0), ByBrightness(s)) for s in (0.7, 1.3) * 4], ["rare"], *sides)
    assert few.majority.high - few.majority.low > many.majority.high - many.majority.low


def test_the_minority_is_what_being_synthetic_hints_at():
    assert minority_classes(merged({"a": 100, "b": 10, "c": 10}, {"b": 90})) == ("b",)
    assert minority_classes(merged({"a": 100, "b": 50}, {"a": 50, "b": 50})) == ("b",)
    assert minority_classes(merged({"a": 100, "b": 90, "c": 80}, {"a": 10, "b": 9, "c": 8})) == ("c",)
