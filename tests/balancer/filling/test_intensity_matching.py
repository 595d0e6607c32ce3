import numpy as np
import pytest
from PIL import Image

from balancer.collection.scan import Sample
from balancer.errors import CollectionError
from balancer.files import sha256_of
from balancer.filling.intensity_matching import HistogramCache, harmonise, histogram

CHANCE = np.random.default_rng(0)
GREY, OTHER = (CHANCE.integers(low, high, (40, 30), np.uint8) for low, high in ((0, 100), (50, 250)))


def test_an_image_harmonised_to_itself_stays_as_it_is():
    np.testing.assert_array_equal(harmonise(GREY, GREY), GREY)


def test_it_takes_the_references_exposure_and_keeps_the_order_of_brightness():
    here, there = (100 + GREY, 60 + (GREY * 1.4).astype(np.uint8))
    found = harmonise(here, there)
    assert np.abs(np.quantile(found, [0.2, 0.5, 0.8]) - np.quantile(there, [0.2, 0.5, 0.8])).max() <= 2
    order = np.argsort(here, axis=None, kind="stable")
    assert (np.diff(found.ravel()[order].astype(int)) >= 0).all()


def test_a_dark_border_stays_dark_whatever_the_reference():
    bordered = np.full((40, 40), 120, np.uint8)
    bordered[:, :20] = np.arange(40, dtype=np.uint8)[:, None] % 6  # what an autoencoder makes of black
    bordered[10:30, 25:35] = 180
    found = harmonise(bordered, np.full((40, 40), 200, np.uint8) - np.arange(40, dtype=np.uint8))
    assert found[:, :20].max() <= 10
    assert len(np.unique(found)) == len(np.unique(bordered))


def test_no_grey_step_becomes_more_than_twice_what_it_was():
    ramp = np.arange(256, dtype=np.uint8)[None]
    for reference in (OTHER, 255 - OTHER, np.uint8([[9, 250]])):
        steps = np.diff(harmonise(ramp, reference)[0].astype(int))
        assert steps.min() >= 0
        assert steps.max() <= 3  # 2, and the rounding


@pytest.mark.parametrize("value", [0, 255])
def test_what_is_blank_changes_nothing(value):
    blank = np.full((5, 5), value, np.uint8)
    np.testing.assert_array_equal(harmonise(blank, GREY), blank)
    np.testing.assert_array_equal(harmonise(GREY, blank), GREY)


def test_a_reference_is_read_once_and_one_that_changed_is_refused(tmp_path):
    Image.fromarray(OTHER).save(tmp_path / "a.png")
    sample = Sample("a.png", "A", None, sha256_of(tmp_path / "a.png"))
    references = HistogramCache(tmp_path)
    once = references.match_intensity(GREY, sample)
    np.testing.assert_array_equal(once, harmonise(GREY, OTHER))
    Image.fromarray(GREY).save(tmp_path / "a.png")
    np.testing.assert_array_equal(references.match_intensity(GREY, sample), once)
    with pytest.raises(CollectionError, match="another content"):
        HistogramCache(tmp_path).match_intensity(GREY, sample)
    assert histogram(GREY).sum() == GREY.size
