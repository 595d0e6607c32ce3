import numpy as np
import pytest

from analysis.vision.poisson import blended
from examples.phantoms import draw_radiograph, finding_mask

RNG = np.random.default_rng(0)


def test_nothing_changes_outside_the_mask_and_a_level_is_no_seam():
    into, mask = RNG.integers(40, 90, (20, 24), np.uint8), np.zeros((20, 24), bool)
    mask[3:9, 0:7] = mask[12:, 15:18] = True  # one at the edge of the image
    found = blended(into + 60, into, mask)
    np.testing.assert_array_equal(found, into)
    other = blended(RNG.integers(0, 256, (20, 24), np.uint8), into, mask)
    np.testing.assert_array_equal(other[~mask], into[~mask])
    assert (other[mask] != into[mask]).any()
    np.testing.assert_array_equal(blended(into + 60, into, np.zeros_like(mask)), into)


def test_a_nodule_comes_along_with_its_contrast():
    mask = finding_mask("nodule", 3)
    mask |= np.roll(mask, 1, 0) | np.roll(mask, -1, 0) | np.roll(mask, 1, 1) | np.roll(mask, -1, 1)
    into, lesion = draw_radiograph("normal", 8), draw_radiograph("nodule", 3)
    change = blended(lesion, into, mask).astype(float) - into
    alone = lesion.astype(float) - draw_radiograph("normal", 3)
    assert change.max() > 0.5 * alone.max()
    assert np.corrcoef(change[mask], alone[mask])[0, 1] > 0.8


def test_a_mask_of_everything_is_refused():
    image = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="leaves a part"):
        blended(image, image, np.ones((4, 4), bool))
