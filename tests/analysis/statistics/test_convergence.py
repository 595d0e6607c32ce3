"""Whether trainings had ended is told on curves whose end is known, and on real networks."""

import pytest

from analysis.statistics.convergence import Course, is_unfinished, learned_nothing
from tests.benchmarks.simulations_training import Stop, ends_of_late_ones, flagged, network_courses, stops, was_left


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


def test_what_was_left_is_told_by_the_further_course():
    courses = [Course((0, 10, 20, 40), (1.0, 0.6, 0.5, last)) for last in (0.0, 0.1)]
    assert Stop.of(courses, 10).ended is False
    assert Stop.of(courses, 40).ended is True
    assert was_left(courses, 40) == (0, 0)


def test_a_standstill_is_not_taken_for_the_end():
    """Where nothing is ever learned the training ends all the same."""
    assert ends_of_late_ones(100, learns=True)[0] >= 0.95
    assert ends_of_late_ones(100, learns=False)[1] <= 700


@pytest.mark.slow
def test_networks_are_told_apart_too():
    at_quarter, at_end = stops(network_courses(0))
    assert (at_quarter.ended, at_quarter.flagged) == (False, True)
    assert (at_end.ended, at_end.flagged) == (True, False)
