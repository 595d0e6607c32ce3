import numpy as np
import pytest
from PIL import Image

from analysis.realism.forensic_features import measure_traces, most_images, read_originals, spectrum, texture
from balancer.errors import ImageError
from balancer.imaging.decode import Header


def grey(seed=0, side=32):
    return np.random.default_rng(seed).integers(10, 240, (side, side)).astype(np.uint8)


def traces(image):
    return measure_traces(image, Header("PNG", "L", 8, *image.shape))


def write(folder, count=4, size=(32, 32), suffix=".png"):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}-{size[0]}{suffix}" for number in range(count)]
    for number, path in enumerate(paths):
        Image.fromarray(grey(number, 64)[: size[1], : size[0]]).save(path)
    return paths


def test_borders_extremes_and_noise_are_measured():
    image = np.full((16, 16), 100, np.uint8)
    assert traces(image)["noise"] == 0
    image[0], image[-1], image[:, 0], image[:, -1] = 255, 255, 255, 255
    found = traces(image)
    assert (found["border level"], found["border contrast"]) == (255, 0)
    assert found["share of white"] == 60 / 256
    assert (found["darkest level"], found["brightest level"], found["grey levels used"]) == (100, 255, 2)
    assert found["share of even levels"] == 196 / 256


def test_blocks_of_eight_and_compression_leave_traces():
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    blocks = np.kron(np.arange(64).reshape(8, 8) * 3, np.ones((8, 8))).astype(np.uint8)
    assert traces(blocks)["steps every 8 pixels"] > 1 > abs(traces(smooth)["steps every 8 pixels"])
    assert traces(grey())["compressed size"] > 2 * traces(smooth)["compressed size"]


def test_a_spectrum_knows_coarse_from_fine():
    side = np.arange(64)
    wave = lambda period: (100 + 50 * np.sin(2 * np.pi * side / period) * np.ones((64, 1))).astype(np.uint8)  # noqa: E731
    assert spectrum(wave(16)).argmax() == 3  # an eighth of Nyquist's frequency, of 24 rings
    assert spectrum(wave(4)).argmax() in (11, 12)
    assert np.isfinite(spectrum(np.zeros((10, 17), np.uint8))).all()


def test_texture_has_one_length_whatever_the_image():
    assert texture(grey()).shape == texture(np.zeros((9, 20), np.uint8)).shape == (26,)
    assert np.isfinite(texture(np.zeros((9, 20), np.uint8))).all()


def test_images_of_one_size_share_every_pixel(tmp_path):
    found = read_originals(write(tmp_path / "a"))
    assert found.positions == "every pixel"
    assert found.pixels.shape == found.residuals.shape == (4, 32 * 32)
    assert found.pixels.dtype == np.uint8
    image = grey(0, 64)[:32, :32].astype(int)
    around = image[4, 5] + image[6, 5] + image[5, 4] + image[5, 6]
    assert found.residuals[0].reshape(32, 32)[5, 5] == 4 * image[5, 5] - around


def test_images_of_several_sizes_share_their_corners(tmp_path):
    paths = [*write(tmp_path / "a"), *write(tmp_path / "a", size=(24, 40))]
    found = read_originals(paths)
    assert found.positions.startswith("the four corners of 12 px")
    assert found.pixels.shape == (8, 24 * 24)
    assert found.pixels[0, -1] == grey(0, 64)[31, 31]
    assert found.pixels[4, -1] == grey(0, 64)[39, 23]
    assert found.figures["width"].tolist() == [32] * 4 + [24] * 4


def test_another_file_format_is_a_figure(tmp_path):
    found = read_originals([*write(tmp_path / "a", 3), *write(tmp_path / "a", 1, suffix=".jpg")])
    assert found.figures["file format"].tolist() == [0, 0, 0, 1]


def test_large_images_are_fewer(tmp_path):
    assert most_images(write(tmp_path / "a")) == 120_000_000 // 32**2
    assert most_images([*write(tmp_path / "a"), *write(tmp_path / "b", size=(64, 60))]) == 120_000_000 // 128**2


def test_an_unreadable_file_is_told(tmp_path):
    paths = write(tmp_path / "a")
    paths[2].write_bytes(paths[2].read_bytes()[:200])
    with pytest.raises(ImageError, match=r"2-32\.png"):
        read_originals(paths)
