import numpy as np
import pytest

from analysis.realism.fidelity import _halves, fid, kid, measure_fidelity, precision_recall


def cloud(seed, count=200, dimensions=8, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(shift, scale, (count, dimensions))


def test_kid_by_hand():
    x, y = np.array([[1.0], [2.0]]), np.array([[0.0], [3.0]])
    # kernel (ab + 1)^3: within x 27, within y 1, between 1, 64, 1, 343
    assert kid(x, y) == pytest.approx(27 + 1 - 2 * (1 + 64 + 1 + 343) / 4)


def test_kid_of_one_distribution_is_nothing_on_average():
    found = [kid(cloud(2 * seed, 30), cloud(2 * seed + 1, 30)) for seed in range(300)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(300)
    assert min(found) < 0 < max(found)
    assert kid(cloud(0), cloud(1, shift=1)) > 1


def test_fid_of_normal_distributions_with_the_same_axes():
    """|m1 - m2|^2 + sum (s1 - s2)^2, on samples that have exactly these means and variances."""
    base = cloud(0, 500, 3)
    base -= base.mean(axis=0)
    base = base @ np.linalg.inv(np.linalg.cholesky(np.cov(base, rowvar=False))).T
    one, other = base * [1.0, 2.0, 3.0], base * [2.0, 2.0, 1.0] + [1.0, 0.0, 2.0]
    assert fid(one, other) == pytest.approx(5 + 1 + 0 + 4)
    assert fid(one, one) == pytest.approx(0, abs=1e-9)
    assert fid(one[:, :1], other[:, :1]) == pytest.approx(1 + 1)


def test_fid_is_biased_upwards_with_few_images():
    assert fid(cloud(0, 12), cloud(1, 12)) > 5 * fid(cloud(0, 2000), cloud(1, 2000))


def test_precision_and_recall_of_equal_and_of_distant_sets():
    x = cloud(0)
    assert precision_recall(x, x) == (1.0, 1.0)
    assert precision_recall(x, x + 100) == (0.0, 0.0)


def test_a_generator_that_knows_one_kind_is_precise_and_recalls_half():
    real = np.concatenate((cloud(0, 100), cloud(1, 100, shift=50)))
    precision, recall = precision_recall(real, cloud(2, 200))
    assert precision > 0.9
    assert 0.4 < recall <= 0.5
    spread = np.concatenate((cloud(2, 100, scale=0.5), cloud(3, 100, shift=-50)))
    assert precision_recall(cloud(0, 200), spread)[0] == 0.5


def test_precision_and_recall_need_more_images_than_neighbours():
    with pytest.raises(ValueError, match="more than 5"):
        precision_recall(cloud(0, 5), cloud(1, 9))


def test_halves_keep_a_patient_together():
    groups = np.repeat(np.arange(20), np.arange(20) % 3 + 1)
    one, other = _halves(groups, np.random.default_rng(0))
    assert not set(groups[one]) & set(groups[other])
    assert sorted([*one, *other]) == list(range(len(groups)))
    assert abs(len(one) - len(other)) <= 3
    assert [len(each) for each in _halves(np.zeros(5, np.int64), np.random.default_rng(0))] == [5, 0]


def measured(synthetic, **options):
    return measure_fidelity(cloud(0), synthetic, (np.arange(200) // 2, np.arange(len(synthetic))), **options)


def test_a_perfect_generator_is_as_near_as_real_is_to_real():
    found = measured(cloud(1))
    assert found.images == 100
    for name, value in found.excess.items():
        assert value.low <= 0 <= value.high, name
    assert found == measured(cloud(1))


def test_another_distribution_is_farther_away_than_real_is_from_real():
    found = measured(cloud(1, shift=1.0))
    assert found.excess["kid"].low > 0
    assert found.excess["fid"].low > 0
    assert found.excess["precision"].high < 0


def test_both_sides_have_equal_numbers():
    assert measured(cloud(1, 40)).images == 20
    assert measured(cloud(1, 5000)).images == 100


def test_of_too_few_or_one_patient_nothing_is_said():
    assert measured(cloud(1, 14)) is None
    assert measure_fidelity(cloud(0), cloud(1), (np.zeros(200, np.int64), np.arange(200))) is None
    assert measured(cloud(1, 20), k=10) is None


def test_equal_images_are_no_error():
    found = measured(np.ones((60, 8)))
    assert found.figures["recall"].value < 0.2
