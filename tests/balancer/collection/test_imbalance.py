import math

import pytest

from balancer.collection.imbalance import effective_number, evenness, measure_imbalance


def test_figures_of_a_long_tail():
    found = measure_imbalance({"NORMAL": 1000, "BACTERIAL": 1000, "VIRAL": 50})
    assert found.ratio == 20
    assert found.deficits == {"NORMAL": 0, "BACTERIAL": 0, "VIRAL": 950}
    assert found.shares["VIRAL"] == pytest.approx(50 / 2050)
    assert found.evenness == pytest.approx(0.7199, abs=1e-4)
    assert found.effective_numbers["VIRAL"] == pytest.approx(49.41, abs=0.01)


def test_balanced_classes_are_even():
    found = measure_imbalance({"a": 7, "b": 7, "c": 7})
    assert (found.ratio, found.evenness) == (1, pytest.approx(1))


def test_an_empty_class_is_infinitely_rare():
    found = measure_imbalance({"a": 5, "b": 0})
    assert (found.ratio, found.evenness, found.effective_numbers["b"]) == (math.inf, 0, 0)


def test_nothing_at_all_is_refused():
    with pytest.raises(ValueError, match="no class"):
        measure_imbalance({"a": 0})


def test_one_class_is_even():
    assert evenness({"a": 3}) == 1


def test_the_effective_number_never_exceeds_the_count():
    assert all(effective_number(count, 1000) <= count for count in (1, 10, 100, 1000))
