import numpy as np
import pytest

from analysis.statistics.permutation import (
    exchange_flags,
    joint_test,
    linear_areas,
    make_folds,
    pixel_areas,
    single_areas,
    standard_error,
)

N = 80
GROUPS = np.arange(N) // 2
FLAGS = np.arange(N) >= 40


ERRORS = dict.fromkeys(("nothing", "all"), 0.1)


def exchanged(times=99, seed=0):
    return exchange_flags(FLAGS, GROUPS, times, seed)


def noise(seed, columns):
    """Two images of a patient resemble each other."""
    chance = np.random.default_rng(seed)
    return chance.normal(0, 1, (N // 2, columns)).repeat(2, axis=0) + chance.normal(0, 0.5, (N, columns))


def test_the_first_column_is_the_truth_and_patients_stay_whole():
    found = exchanged()
    assert found.shape == (N, 100)
    assert (found[:, 0] == FLAGS).all()
    assert (found[::2] == found[1::2]).all()
    assert (found.sum(axis=0) == 40).all()
    assert 0.4 < found[:, 1:].mean(axis=1).min() < found[:, 1:].mean(axis=1).max() < 0.6 or found[:, 1:].std() > 0.49


def test_a_patient_with_images_made_from_him_exchanges_within():
    flags, groups = np.array([False, True, True, False, True]), np.array([0, 0, 0, 1, 2])
    found = exchange_flags(flags, groups, 50)
    assert (found[:3].sum(axis=0) == 2).all()
    assert (found[3:].sum(axis=0) == 1).all()
    assert len(np.unique(found[:3], axis=1).T) == 3


def test_folds_keep_patients_together_and_are_alike():
    folds = make_folds(GROUPS)
    assert (folds[::2] == folds[1::2]).all()
    assert np.bincount(folds).tolist() == [16] * 5


def test_a_linear_detector_finds_a_direction():
    features = noise(0, 10).astype(np.float32)
    features[FLAGS, 3] += 2
    areas, scores = linear_areas(features, exchanged(), make_folds(GROUPS))
    assert areas[0] > 0.85
    assert areas[1:].mean() == pytest.approx(0.5, abs=0.05)
    assert scores[FLAGS].mean() > scores[~FLAGS].mean()


def test_features_that_never_change_say_nothing():
    areas, _ = linear_areas(np.ones((N, 3), np.float32), exchanged(), make_folds(GROUPS))
    assert (areas == 0.5).all()


def test_a_single_figure_tells_either_way_round():
    assert single_areas(np.arange(N), exchanged())[0] == 1
    assert single_areas(-np.arange(N), exchanged())[0] == 1


def test_one_pixel_in_five_thousand_is_found():
    stack = np.random.default_rng(0).integers(0, 256, (N, 5000), np.uint8)
    stack[FLAGS, 4321] = 255
    areas, scores = pixel_areas(stack, exchanged(), make_folds(GROUPS), 1.0)
    assert areas[0] > 0.98
    assert areas[1:].max() < 0.9
    assert scores[FLAGS].min() > np.median(scores[~FLAGS])


def test_a_pixel_is_chosen_as_a_plain_loop_would():
    stack = np.random.default_rng(1).integers(0, 256, (N, 9000)).astype(np.int16)
    flags, folds = exchanged(4), make_folds(GROUPS)
    areas, scores = pixel_areas(stack, flags, folds, 1.0)
    inside = folds != 2
    one, other = stack[inside & FLAGS].astype(float), stack[inside & ~FLAGS].astype(float)
    within = np.sqrt((one.var(axis=0) * len(one) + other.var(axis=0) * len(other)) / (len(one) + len(other) - 2)) + 1
    t = (one.mean(axis=0) - other.mean(axis=0)) / within
    place = np.abs(t).argmax()
    expected = np.sign(t[place]) * (stack[folds == 2, place] - stack[inside, place].mean()) / within[place]
    assert np.allclose(scores[folds == 2], expected, atol=1e-3)
    assert areas.shape == (5,)


def outcome(seed, flags):
    features, folds = noise(seed, 6).astype(np.float32), make_folds(GROUPS, seed=seed)
    areas = {f"figure {column}": single_areas(features[:, column], flags) for column in range(6)}
    areas["linear"] = linear_areas(features, flags, folds)[0]
    return joint_test(areas, dict.fromkeys(areas, standard_error(FLAGS, GROUPS)))


def test_the_joint_test_keeps_its_level_whatever_is_tried():
    smallest = [min(each.p_value for each in outcome(seed, exchanged(99, seed)).values()) for seed in range(200)]
    assert 0.01 <= np.mean(np.array(smallest) <= 0.05) <= 0.09
    assert 0.4 < np.mean(smallest) < 0.6


def test_the_joint_test_names_the_detector_that_found_it():
    flags = exchanged()
    found = joint_test(
        {"nothing": single_areas(noise(0, 1)[:, 0], flags), "all": single_areas(FLAGS * 1.0, flags)}, ERRORS
    )
    assert found["all"].p_value == 0.01
    assert found["all"].area == 1
    assert found["nothing"].p_value > 0.05


def test_one_odd_image_is_no_alarm():
    """Its flag alone makes the figure vary, so that by its own spread it would be many deviations off."""
    odd, flags = np.zeros(N), exchanged()
    odd[-1] = 1
    found = joint_test({"nothing": single_areas(odd, flags), "all": single_areas(noise(0, 1)[:, 0], flags)}, ERRORS)
    assert found["nothing"].p_value > 0.5


def test_a_detector_that_never_varies_is_no_alarm():
    areas = {"nothing": np.full(100, 0.5), "all": single_areas(noise(0, 1)[:, 0], exchanged())}
    assert joint_test(areas, ERRORS)["nothing"].deviations == 0
