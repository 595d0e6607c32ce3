from dataclasses import dataclass

import numpy as np

from analysis.data.balanced_folder import Images, Merged
from analysis.realism.shortcut_reliance import measure_lean, minority_classes


def images(count):
    return Images((), tuple(map(str, range(count)))) if not count else Images(tuple(range(count)), ("",) * count)


def merged(real, synthetic):
    labels = tuple(real)
    return Merged(
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
    """Calls an image of at least `level` rare."""

    level: int
    classes: tuple = ("common", "rare")

    def probabilities(self, greys):
        rare = greys.mean(axis=(1, 2)) >= self.level
        return np.stack((1 - rare, rare), axis=1).astype(np.float32)


def greys(*levels):
    return np.array([np.full((2, 2), level, np.uint8) for level in levels])


def test_the_minority_is_what_being_synthetic_hints_at():
    assert minority_classes(merged({"a": 100, "b": 10, "c": 10}, {"b": 90})) == ("b",)
    assert minority_classes(merged({"a": 100, "b": 50}, {"a": 50, "b": 50})) == ("b",)
    assert minority_classes(merged({"a": 100, "b": 90, "c": 80}, {"a": 10, "b": 9, "c": 8})) == ("c",)


def test_a_trace_that_moves_only_the_trained_classifier_is_leaned_on():
    plain, groups = greys(*[10] * 40), np.arange(40)
    found = measure_lean("x", (ByBrightness(50), ByBrightness(90)), ["rare"], (plain, groups), (plain + 60, groups))
    assert (found.plain, found.traced, found.control) == (0, 1, (0, 0))
    assert found.excess.value == 1
    assert found.leans


def test_what_moves_the_control_as_well_is_no_lean():
    plain, groups = greys(*[10] * 40), np.arange(40)
    found = measure_lean("x", (ByBrightness(50), ByBrightness(60)), ["rare"], (plain, groups), (plain + 60, groups))
    assert (found.traced, found.control) == (1, (0, 1))
    assert found.excess.value == 0
    assert not found.leans


def test_where_nothing_moved_something_may_still_do_so_in_others():
    plain, groups = greys(*[10] * 40), np.arange(40)
    found = measure_lean("x", (ByBrightness(50), ByBrightness(50)), ["rare"], (plain, groups), (plain, groups))
    assert (round(found.excess.low, 3), round(found.excess.high, 3)) == (-0.088, 0.088)


def test_one_patient_with_many_images_is_one_patient():
    plain = greys(*[10] * 40)
    changed = plain.copy()
    changed[:4] += 60
    pair = ByBrightness(50), ByBrightness(90)
    one = measure_lean("x", pair, ["rare"], (plain, np.arange(40) // 10), (changed, np.arange(40) // 10))
    many = measure_lean("x", pair, ["rare"], (plain, np.arange(40)), (changed, np.arange(40)))
    assert not one.leans
    assert many.leans
