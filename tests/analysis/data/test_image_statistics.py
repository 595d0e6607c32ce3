import numpy as np
import pytest
from PIL import Image

from analysis.data.image_statistics import MEASURES, colour_spread, inspect, inspect_one


def save(path, pixels):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return path


def test_unreadable_files_are_left_out(tmp_path):
    paths = [save(tmp_path / "0.png", np.full((8, 8), 7)), tmp_path / "1.png", save(tmp_path / "2.png", np.eye(9))]
    paths[1].write_bytes(b"no image")
    found, places = inspect(paths)
    assert places == [0, 2]
    assert found.greys.shape == (2, 64, 64)
    assert found.measures.shape == (2, len(MEASURES))
    assert found.greys[0].tolist() == np.full((64, 64), 7).tolist()


def test_nothing_is_inspected_without_files():
    found, places = inspect([])
    assert (found.greys.shape, places) == ((0, 64, 64), [])


def test_measures_of_a_known_image(tmp_path):
    left_black = np.zeros((64, 64))
    left_black[:, 32:] = 255
    measures = dict(zip(MEASURES, inspect_one(save(tmp_path / "a.png", left_black))[1], strict=True))
    assert measures["contrast"] == 127.5
    assert (measures["dark"], measures["bright"], measures["largest_level"]) == (0.5, 0.5, 0.5)
    assert (measures["border_level"], measures["border_contrast"], measures["tint"]) == (0, 1, 0)


@pytest.mark.parametrize(("colour", "spread"), [((90, 90, 90), 0), ((200, 190, 180), 20), ((255, 0, 0), 255)])
def test_a_tint_is_the_spread_of_the_channels(tmp_path, colour, spread):
    assert colour_spread(save(tmp_path / "a.png", np.full((4, 4, 3), colour))) == spread


def test_deep_grey_has_no_tint(tmp_path):
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "deep.png")
    assert colour_spread(tmp_path / "deep.png") == 0
