import io

import numpy as np
import pytest
from PIL import Image

from balancer.filling.composite import composite, faded
from balancer.imaging.decode import OutputFormat, encode
from examples.phantoms import draw_radiograph

MASK = np.zeros((64, 64), bool)
MASK[20:30, 36:48] = True


@pytest.fixture(scope="module")
def pair():
    return draw_radiograph("nodule", 3), draw_radiograph("normal", 4)


def test_what_is_not_touched_is_the_source_exactly_and_the_mask_is_painted(pair):
    painted, source = pair
    made = composite(painted, source, MASK)
    touched = faded(MASK) > 0
    np.testing.assert_array_equal(made[~touched], source[~touched])
    assert touched.sum() < 2.5 * MASK.sum()
    assert np.abs(made[MASK].astype(int) - source[MASK]).mean() > 3
    assert made is not source


def test_in_a_file_it_is_the_source_within_what_the_codec_changes(pair):
    _, source = pair
    made, touched = composite(*pair, MASK), faded(MASK) > 0
    for codec, extension in (("PNG", ".png"), ("JPEG", ".jpg")):
        output = OutputFormat(codec, extension, "L", 8, None)
        read, alone = (
            np.asarray(Image.open(io.BytesIO(encode(grey, output, b"<x/>")))).astype(int) for grey in (made, source)
        )
        error = np.abs(alone - source)
        assert np.abs(read - source)[~touched].max() <= error.max() + 2
        away = np.ones((64, 64), bool)
        away[8:40, 24:56] = False  # blocks of JPEG that hold nothing of the mask
        np.testing.assert_array_equal(read[away], alone[away])


def test_a_painted_part_takes_the_intensities_around_it(pair):
    _, source = pair
    darker = (source * 0.6 + 20).astype(np.uint8)
    made = composite(darker, source, MASK)
    assert np.abs(made.astype(int) - source).max() < np.abs(darker.astype(int) - source)[MASK].max() / 2
    np.testing.assert_array_equal(composite(source, source, MASK), source)


def test_grain_that_a_small_painting_cannot_have_is_that_of_the_source(pair):
    painted, source = pair
    grain = np.random.default_rng(0).normal(0, 12, (256, 256))
    large = np.clip(np.asarray(Image.fromarray(source).resize((256, 256))) * 0.7 + 30 + grain, 0, 255).astype(np.uint8)
    made, mask = composite(painted, large, MASK), np.kron(MASK, np.ones((4, 4), bool))

    def grains(grey):
        return np.diff(grey.astype(float), axis=1)[mask[:, 1:]].std()

    assert 0.85 < grains(made) / grains(large) < 1.15
    assert grains(np.asarray(Image.fromarray(painted).resize((256, 256)))) < grains(large) / 2


def test_small_paintings_come_into_large_images(pair):
    painted, source = pair
    large = np.asarray(Image.fromarray(source).resize((300, 200)))
    mask = np.zeros((64, 64), bool)
    mask[10, 50] = True
    made = composite(painted, large, mask)
    changed = np.argwhere(made != large)
    assert made.shape == (200, 300)
    assert len(changed)
    assert (np.abs(changed / (200, 300) - (10.5 / 64, 50.5 / 64)) < 0.06).all()
