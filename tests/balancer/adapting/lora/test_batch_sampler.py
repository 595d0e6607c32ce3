from collections import Counter

import pytest

from balancer.adapting.lora.batch_sampler import CappedSqrtSampler

LABELS = ["common"] * 64 + ["rare"] * 4


def drawn(sampler, steps):
    return [place for step in range(steps) for place in sampler.draw(step).tolist()]


def test_classes_are_drawn_by_the_square_root_of_their_size():
    places = drawn(CappedSqrtSampler(LABELS, 8, 10_000, seed=0), 2500)
    rare = sum(place >= 64 for place in places) / len(places)
    assert rare == pytest.approx(0.2, abs=0.01)  # 2 of 8 + 2


def test_no_image_of_a_class_comes_twice_before_all_came_once():
    places = [place for place in drawn(CappedSqrtSampler(LABELS, 8, 100, seed=0), 60) if place >= 64]
    assert all(sorted(places[first : first + 4]) == [64, 65, 66, 67] for first in range(0, len(places) - 3, 4))


def test_no_image_comes_more_often_than_the_cap_and_all_come_so_often():
    sampler = CappedSqrtSampler(LABELS, 4, 3, seed=0)
    counts = Counter(drawn(sampler, sampler.steps))
    assert sampler.steps == 3 * 68 // 4
    assert set(counts.values()) == {3}
    assert len(counts) == 68


def test_a_step_is_the_same_whenever_it_is_asked():
    sampler = CappedSqrtSampler(LABELS, 8, 5, seed=3)
    places = [sampler.draw(step).tolist() for step in range(20)]
    assert sampler.draw(7).tolist() == places[7]
    assert CappedSqrtSampler(LABELS, 8, 5, seed=3).draw(19).tolist() == places[19]
    assert CappedSqrtSampler(LABELS, 8, 5, seed=4).draw(19).tolist() != places[19]


def test_a_prior_share_of_every_batch_is_of_the_common_classes():
    labels = [*LABELS, *["odd"] * 2]
    sampler = CappedSqrtSampler(labels, 8, 100, 0, prior=0.5)
    batches = [sampler.draw(step).tolist() for step in range(40)]
    assert {sum(labels[place] == "common" for place in batch) for batch in batches} == {4}
    rare = Counter(labels[place] for batch in batches for place in batch if labels[place] != "common")
    assert rare["rare"] / rare["odd"] == pytest.approx(2**0.5, rel=0.15)
    assert sampler.shares == pytest.approx({"common": 0.5, "rare": 0.2929, "odd": 0.2071}, abs=1e-4)
    assert sampler.draw(7).tolist() == batches[7]
    capped = CappedSqrtSampler(labels, 8, 2, 0, prior=0.5)
    assert Counter(drawn(capped, capped.steps)).most_common(1)[0][1] == 2
    assert capped.exhausted(capped.steps - 1) == ["rare", "odd"]


def test_classes_that_are_used_up_are_named():
    sampler = CappedSqrtSampler(LABELS, 8, 2, seed=0)
    assert sampler.exhausted(0) == []
    assert sampler.exhausted(sampler.steps - 1) == ["rare"]
