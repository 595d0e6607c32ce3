"""A quick part of `tests.benchmarks.honesty`: what is drawn is the same in every run, so the counts are too."""

from tests.benchmarks.honesty import count, drawn_pool, with_held_back, with_itself

SMALL = (60, 60, 40)


def test_real_data_compared_with_itself_seldom_has_a_winner():
    found = count(with_itself(drawn_pool(seed, SMALL, 12, 2), seed) for seed in range(10))
    found += count(with_itself(drawn_pool(seed, SMALL, 12, 2), seed, folds=3) for seed in range(2))
    assert found["helps"] + found["harms"] <= 2


def test_held_back_real_images_help_and_mislabelled_ones_do_not():
    helpful = count(with_held_back(drawn_pool(seed, (90, 80, 120)), seed) for seed in range(3))
    assert helpful["helps"] >= 2
    spoilt = count(with_held_back(drawn_pool(seed, (90, 80, 120)), seed, shuffled=True) for seed in range(3))
    assert spoilt["helps"] == 0
    assert spoilt["harms"] + spoilt["no use"] >= 2
