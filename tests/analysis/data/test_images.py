import numpy as np
import pytest
from PIL import Image

from analysis.data.images import decode
from balancer.errors import ImageError


def test_images_keep_their_order_and_report_their_number(tmp_path):
    paths = [tmp_path / f"{level}.png" for level in (10, 200, 90)]
    for path in paths:
        Image.new("L", (20, 30), int(path.stem)).save(path)
    seen = []
    greys = decode(paths, 8, lambda done, total: seen.append((done, total)))
    assert greys.shape == (3, 8, 8)
    assert greys[:, 0, 0].tolist() == [10, 200, 90]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert greys.dtype == np.uint8


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "no.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"no\.png"):
        decode([tmp_path / "no.png"], 8)
