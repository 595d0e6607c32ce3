import numpy as np
import pytest

from analysis.vision.memorisation_monitor import CopyWatch, copy_threshold, nearest_correlations, small_vectors
from balancer.adapting.common.monitor import TrainingSet


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32), np.uint8)


def seen(greys, groups=None):
    return TrainingSet(greys, ["a"] * len(greys), groups or [str(place) for place in range(len(greys))])


def test_a_copy_correlates_with_its_original_whatever_its_exposure_and_size():
    greys = noise(5)
    darker = (greys[3] // 2).repeat(2, axis=0).repeat(2, axis=1)
    near = nearest_correlations(small_vectors([darker]), small_vectors(list(greys)))
    assert near[0] > 0.98


def test_copies_are_counted_and_stop_the_training():
    greys = noise(250)
    said = CopyWatch()({"a": [*greys[:3], *noise(3, seed=9)]}, seen(greys))
    assert said.figures["copies"] == 3
    assert said.notes[0].startswith("3 of 6 samples are as similar as a copy")
    assert said.stop == "its samples copy training images"


def test_samples_of_their_own_do_not_stop_it():
    greys = noise(250)
    said = CopyWatch()({"a": list(noise(8, seed=9))}, seen(greys))
    assert said.stop == ""


@pytest.mark.parametrize("copies", [1, 2])
def test_one_or_two_copies_are_said_and_do_not_stop_it(copies):
    greys = noise(250)
    said = CopyWatch()({"a": [*greys[:copies], *noise(2, seed=9)]}, seen(greys))
    assert (said.figures["copies"], said.stop) == (copies, "")


def test_images_of_one_patient_do_not_raise_the_threshold():
    greys = noise(250)
    twice = np.concatenate([greys, greys])
    groups = [str(place) for place in range(250)] * 2
    assert copy_threshold(small_vectors(list(twice)), groups) < 0.5
    assert copy_threshold(small_vectors(list(twice)), [str(place) for place in range(500)]) > 0.99


def test_with_few_patients_there_is_no_threshold_and_no_stop():
    greys = noise(20)
    said = CopyWatch()({"a": list(greys[:5])}, seen(greys))
    assert said.stop == ""
    assert "too few patients" in said.notes[0]
    assert "threshold" not in said.figures
