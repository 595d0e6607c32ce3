"""Label sets for new images: every finding reaches its target, no other is lifted more than it must."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from balancer.collection.label_sets import findings_in
from balancer.set_planning import plan_sets

REAL = {
    ("Effusion",): 900,
    ("Effusion", "Infiltration"): 300,
    ("Effusion", "Hernia"): 30,
    ("Hernia",): 9,
    ("Hernia", "Mass"): 3,
    ("Mass",): 60,
}


def made(plan):
    """How many new images have each finding."""
    found = Counter()
    for name, number in plan.sets.items():
        found.update(dict.fromkeys(findings_in(name), number))
    return found


def test_a_common_finding_is_not_lifted_where_real_images_do_without_it():
    plan = plan_sets(REAL, {"Effusion": 0, "Hernia": 458, "Infiltration": 0, "Mass": 437})
    assert made(plan)["Effusion"] == 0
    assert plan.after == {"Effusion": 1230, "Hernia": 500, "Infiltration": 300, "Mass": 500}
    assert (plan.lifted, plan.unreachable) == ({}, {})


def test_findings_that_go_together_are_made_together_in_the_proportion_of_real_images():
    plan = plan_sets(REAL, {"Effusion": 0, "Hernia": 40, "Infiltration": 0, "Mass": 100})
    assert plan.sets == {"Hernia": 30, "Hernia|Mass": 10, "Mass": 90}


def test_what_is_never_without_a_common_one_lifts_it_and_that_is_said():
    plan = plan_sets(REAL, {"Effusion": 0, "Hernia": 0, "Infiltration": 50, "Mass": 0})
    assert plan.sets == {"Effusion|Infiltration": 50}
    assert plan.lifted == {"Effusion": 50}
    alone = plan_sets(REAL, {"Effusion": 0, "Hernia": 0, "Infiltration": 50, "Mass": 0}, alone=True)
    assert (alone.sets, alone.lifted) == ({"Infiltration": 50}, {})


def test_a_finding_that_no_real_image_has_is_said():
    plan = plan_sets(REAL, {"Effusion": 0, "Fibrosis": 5, "Hernia": 0, "Infiltration": 0, "Mass": 0})
    assert (plan.sets, plan.unreachable, plan.after["Fibrosis"]) == ({}, {"Fibrosis": 5}, 0)


NAMES = "ABCDEF"
SETS = st.dictionaries(
    st.sets(st.sampled_from(NAMES), min_size=1).map(lambda some: tuple(sorted(some))), st.integers(1, 50), min_size=1
)


@given(SETS, st.dictionaries(st.sampled_from(NAMES), st.integers(0, 60)))
def test_every_reachable_finding_gets_what_it_lacks_and_the_sums_are_right(real, lacks):
    deficits = dict.fromkeys(NAMES, 0) | lacks
    plan = plan_sets(real, deficits)
    counts = Counter(dict.fromkeys(NAMES, 0))
    for found, number in real.items():
        counts.update(dict.fromkeys(found, number))
    assert set(plan.sets) <= {"|".join(found) for found in real}
    new = made(plan)
    for finding in NAMES:
        assert plan.after[finding] == counts[finding] + new[finding]
        if finding in plan.unreachable:
            assert counts[finding] == 0
        else:
            assert new[finding] == deficits[finding] + plan.lifted.get(finding, 0)
    for finding in plan.lifted:  # only where some wanted finding is never without it
        assert any(
            all(finding in found for found in real if wanted in found) or _beside(real, wanted, deficits)
            for wanted in deficits
            if deficits[wanted] and wanted != finding and any(wanted in found for found in real)
        )


def _beside(real, wanted, deficits):
    """Whether every real set with a finding has others beside it."""
    return all(len(found) > 1 for found in real if wanted in found)
