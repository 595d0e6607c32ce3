"""A model is called unfit where its first images are clearly no such radiographs, and never because of few images."""

import numpy as np
import pytest
from PIL import Image

from analysis.data.image_statistics import SIDE
from analysis.data.minimums import QUALITY_IMAGES
from analysis.screening.model_fitness import LEAST, ModelFitness
from balancer.filling.run import FIRST
from examples.phantoms import draw_radiograph
from tests.benchmarks.simulations_unfit import drawn


def small(label, patients):
    return np.stack([np.asarray(Image.fromarray(draw_radiograph(label, p)).resize((SIDE, SIDE))) for p in patients])


def fitted(greys, labels):
    """On fewer images than a collection must have, so that it takes no time."""
    return ModelFitness.fit(greys, labels, np.arange(len(greys)), least=40)


@pytest.fixture(scope="module")
def real():
    return small("normal", range(40))


@pytest.fixture(scope="module")
def held_back():
    return small("nodule", range(100, 124))


@pytest.fixture(scope="module")
def fit(real):
    return fitted(real, ["normal"] * 40)


def test_real_images_that_were_held_back_are_never_called_unfit(fit, held_back):
    for start in range(0, 24, FIRST):
        assert fit.why_unfit(held_back[start : start + FIRST], ["nodule"] * FIRST) == ""


@pytest.mark.parametrize("kind", ["noise", "clouds", "blobs", "photographs", "blank"])
def test_what_is_no_radiograph_is_found_in_eight_images(fit, kind):
    assert "look like none of the real ones" in fit.why_unfit(drawn(kind, 8), ["normal"] * 8)


def test_half_of_the_images_may_be_anything(fit, held_back):
    mixed = np.concatenate([drawn("noise", 4), held_back[:4]])
    assert fit.why_unfit(mixed, ["nodule"] * 8) == ""
    assert fit.why_unfit(mixed[:7], ["nodule"] * 7) != ""


def test_blurred_or_noisy_radiographs_are_for_the_other_checks(fit, held_back):
    blurred = np.stack([np.asarray(Image.fromarray(each).resize((8, 8)).resize((SIDE, SIDE))) for each in held_back])
    noisy = (held_back + np.random.default_rng(0).normal(0, 60, held_back.shape)).clip(0, 255).astype(np.uint8)
    assert fit.distances(np.concatenate([blurred, noisy])).max() < LEAST


def test_exposure_and_contrast_play_no_part(fit, real):
    np.testing.assert_allclose(fit.distances((real // 2 + 60).astype(np.uint8)), 0, atol=0.01)


def test_few_real_images_tell_nothing(real):
    few = np.tile(real, (3, 1, 1))[: QUALITY_IMAGES - 1]
    assert ModelFitness.fit(few, ["normal"] * len(few), np.arange(len(few))) is None


def test_blank_real_images_do_not_make_it_blind(real):
    greys = np.concatenate([real, drawn("blank", 10)])
    fit = fitted(greys, ["normal"] * 50)
    assert fit.why_unfit(drawn("noise", 8), ["normal"] * 8) != ""


def test_one_image_of_a_class_that_looks_like_no_other_says_nothing_of_the_class(real):
    other = np.concatenate([real, drawn("clouds", 1)])
    fit = fitted(other, ["normal"] * 40 + ["rare"])
    assert fit.why_unfit(drawn("clouds", 8, seed=1), ["rare"] * 8) == ""
    assert fit.why_unfit(drawn("clouds", 8, seed=1), ["normal"] * 8) != ""
