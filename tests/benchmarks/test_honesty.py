"""A quick part of `tests.benchmarks.honesty`: what is drawn is the same in every run, so the counts are too."""

from tests.benchmarks.honesty import count, drawn_pool, with_held_back, with_itself

SMALL = (90, 80, 60)


def test_real_data_compared_with_itself_seldom_has_a_winner():
    found = count(with_itself(drawn_pool(seed, SMALL, 12), seed) for seed in range(40))
    assert found["helps"] + found["harms"] <= 3


def test_held_back_real_images_help_and_mislabelled_ones_do_not():
    helpful = count(with_held_back(drawn_pool(seed), seed) for seed in range(5))
    assert helpful["helps"] >= 3
    spoilt = count(with_held_back(drawn_pool(seed), seed, shuffled=True) for seed in range(5))
    assert spoilt["helps"] == 0
    assert spoilt["harms"] + spoilt["no use"] >= 3
