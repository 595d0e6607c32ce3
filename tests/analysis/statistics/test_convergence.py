"""Whether trainings had ended is told on curves whose end is known, and on real networks."""

import pytest

from analysis.statistics.convergence import Course, is_unfinished, learned_nothing
from tests.benchmarks.simulations_training import beginning, flagged, network_courses


def test_finished_trainings_are_seldom_flagged_and_stopped_ones_nearly_always():
    """S11: at a level of 0.05 too many stopped ones pass for finished."""
    assert flagged(400, (3, 5), 2) <= 0.05
    assert flagged(400, (3, 5), 0.25) >= 0.95


def test_a_rising_loss_is_no_improvement_and_nothing_is_known_of_no_course():
    rising = Course((0, 10, 20, 30, 40), (1.0, 0.2, 0.3, 0.4, 0.5))
    assert not is_unfinished([rising] * 3)
    assert not is_unfinished([])
    assert not is_unfinished([Course()])
    assert not learned_nothing([Course()], 2)


@pytest.mark.slow
def test_networks_are_told_apart_too():
    courses, end = network_courses(0)
    assert not is_unfinished(courses)
    assert is_unfinished([beginning(each, end / 4) for each in courses])
