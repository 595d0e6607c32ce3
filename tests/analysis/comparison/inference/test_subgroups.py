"""Differences by sex, age group, view and site: corrected for how many there are, or why there is none."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.comparison.inference.subgroups import measure_strata, stratum_rows, subgroup_note
from tests.benchmarks.simulations_subgroups import DRAWS, NAMED, PRIMARY, VALUES, alarms, drawn_set, found


@pytest.fixture(scope="module")
def planted():
    return measure_strata(drawn_set(np.random.default_rng(3), planted=3.0), NAMED, PRIMARY, DRAWS, 0)


def test_a_large_difference_at_one_site_is_found_there(planted):
    assert "North" in alarms(planted)
    assert not {"East", "South"} & alarms(planted)


def test_without_any_difference_there_are_few_alarms():
    assert sum(map(bool, found(5, 0.0, 5))) <= 1


def test_the_correction_counts_all_subgroups(planted):
    told = [each.difference for values in planted.values() for each in values.values()]
    assert len(told) == sum(map(len, VALUES.values()))
    assert all(each.p_holm >= each.p_value for each in told)
    best = min(told, key=lambda each: each.p_value)
    assert best.p_holm == pytest.approx(min(1.0, best.p_value * len(told)))
    assert f"in {len(told)} subgroups" in subgroup_note(planted)


def test_the_table_has_every_subgroup_and_names_those_with_too_few_patients():
    test = drawn_set(np.random.default_rng(4), rare=14, others=40)
    few = test.attributes.assign(site=["East"] * 3 + ["West"] * 51)
    strata = measure_strata(replace(test, attributes=few[["site"]]), NAMED, PRIMARY, DRAWS, 0)
    rows = {row[0]: row for row in stratum_rows(strata, NAMED, PRIMARY)}
    assert rows["site East"][4] == "too few patients with RARE: 3 of 6"
    assert rows["site West"][1] == "51"
    assert "[" in rows["site West"][4]


def test_one_value_alone_has_no_difference():
    test = drawn_set(np.random.default_rng(4), rare=14, others=40)
    strata = measure_strata(replace(test, attributes=test.attributes.assign(site="East")), NAMED, PRIMARY, 50, 0)
    assert "no other value is known" in strata["site"]["East"].left_out
