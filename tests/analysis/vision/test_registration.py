import numpy as np
import pytest
from PIL import Image

from analysis.vision.registration import Coarse, Pixels, registered
from examples.phantoms import draw_radiograph


@pytest.fixture(scope="module")
def greys():
    return np.stack([draw_radiograph("normal", patient) for patient in range(12)])


def correlations(grey, greys):
    query, pool = Pixels.of(grey[None]), Pixels.of(greys)
    return registered(query, pool, Coarse.of(query, pool.windows).version)


def edited(grey, edit):
    return np.asarray(edit(Image.fromarray(grey)), np.uint8)


EDITS = {
    "itself": lambda image: image,
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned": lambda image: image.rotate(3, Image.Resampling.BICUBIC),
    "cropped": lambda image: image.resize(image.size, Image.Resampling.BICUBIC, (0, 6, 58, 64)),
    "darker": lambda image: image.point([value // 2 for value in range(256)]),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_copy_is_laid_over_its_original(greys, name):
    found = correlations(edited(greys[5], EDITS[name]), greys)
    assert found.argmax() == 5
    assert found[5] > 0.93
    assert np.delete(found, 5).max() < found[5] - 0.02


def test_only_the_most_alike_are_registered_to_the_end(greys):
    assert (correlations(greys[0], greys) == -1).sum() == len(greys) - 6


def test_noise_is_like_nothing(greys):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    assert correlations(noise, greys).max() < 0.5


def test_a_flat_image_is_like_nothing(greys):
    assert correlations(np.full((64, 64), 90, np.uint8), greys).max() < 0.5
