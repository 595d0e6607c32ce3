import os

import imagehash
import numpy as np
import pytest
from PIL import Image

from balancer.collection import image_stats
from balancer.collection.deep_scan import look_inside
from balancer.collection.image_stats import SIDE, frames_of, marked, perceptual_hashes, read_contents
from balancer.collection.scan import scan
from balancer.errors import ImageError
from balancer.imaging.decode import read_small
from balancer.imaging.reduced_decode import read_draft
from tests.support.scan_faults import framed, lettered
from tests.support.tiny_models import write_xrays


def smooth(number, size=64):
    chance = np.random.default_rng(number).integers(0, 256, (8, 8)).astype(np.uint8)
    return Image.fromarray(chance).resize((size, size), Image.Resampling.BICUBIC)


def test_hashes_are_those_of_imagehash_mirrored_too():
    thumbs = np.stack([np.asarray(smooth(number)) for number in range(20)])
    hashes, mirrored = perceptual_hashes(thumbs)
    for thumb, bits, turned in zip(thumbs, hashes, mirrored, strict=True):
        assert np.array_equal(np.unpackbits(bits), imagehash.phash(Image.fromarray(thumb), 16).hash.ravel())
        assert np.array_equal(np.unpackbits(turned), imagehash.phash(Image.fromarray(thumb[:, ::-1]), 16).hash.ravel())


def test_a_frame_is_measured_on_each_side():
    greys = np.asarray(smooth(1, SIDE))[None].repeat(3, axis=0).copy()
    greys[0, :5], greys[0, -3:] = 255, 255
    greys[1, :, :4], greys[1, :, -4:], greys[1, :2], greys[1, -2:] = 0, 0, 0, 0
    greys[2, :9] = 0  # one side alone is no frame
    assert frames_of(greys).tolist() == [[5, 3, 0, 0], [2, 2, 4, 4], [0, 0, 0, 0]]


def test_letters_at_the_edge_are_seen_and_anatomy_is_not():
    plain = smooth(1, 96)
    greys = [np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX)) for image in (plain, lettered(plain.copy()))]
    assert marked(np.stack(greys)).tolist() == [False, True]


def test_the_record_of_a_file(tmp_path):
    root = write_xrays(tmp_path / "d", {"A": 2, "B": 2})
    framed(smooth(3, 96)).save(root / "A" / "framed.png")
    Image.new("L", (40, 40), 77).save(root / "A" / "blank.png")
    found = read_contents(root, scan(root).images, {})
    assert list(found) == list(scan(root).images.index)
    assert (found["A/blank.png"].mean, found["A/blank.png"].spread, found["A/blank.png"].border) == (77, 0, 0)
    assert found["A/framed.png"].border_grey == 255
    assert found["A/framed.png"].border == pytest.approx(1 - (1 - 2 * 6 / 96) ** 2, abs=0.05)
    assert [len(getattr(found["A/framed.png"], name)) for name in ("phash", "mirrored", "thumb")] == [32, 32, 64 * 64]
    assert found["A/framed.png"].size == (root / "A" / "framed.png").stat().st_size


def test_an_unchanged_file_is_not_decoded_again(tmp_path):
    root = write_xrays(tmp_path / "d", {"A": 3, "B": 3})
    images = scan(root).images
    known = read_contents(root, images, {})
    path = root / "A" / "p0000-0.png"
    stat = path.stat()
    path.write_bytes(b"x" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert read_contents(root, images, known) == known
    images.loc["A/p0000-0.png", "mtime_ns"] += 1
    assert read_contents(root, images, known)["A/p0000-0.png"].fault is not None
    assert image_stats.fresh(images, known).keys() == known.keys() - {"A/p0000-0.png"}


def test_what_was_decoded_before_a_stop_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(image_stats, "_KEPT", 2)
    images = scan(write_xrays(tmp_path / "d", {"A": 8, "B": 8})).images
    kept, seen = {}, []

    def stop(done, total):
        if done * 2 >= total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_contents(tmp_path / "d", images, {}, stop, kept.update)
    assert 0 < len(kept) < 16
    before = len(kept)
    whole = read_contents(tmp_path / "d", images, dict(kept), lambda done, total: seen.append(total), kept.update)
    assert set(seen) == {16 - before}
    assert whole == kept


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_found_though_it_is_decoded_at_reduced_scale(tmp_path, suffix, kept):
    root = write_xrays(tmp_path / "d", {"A": 3, "B": 3}, size=(600, 500), suffix=suffix)
    path = root / "A" / f"p0000-0{suffix}"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    found = scan(root)
    inside = look_inside(found, read_contents(root, found.images, {}))
    unreadable = [finding for finding in inside.findings if finding.kind == "unreadable"]
    assert [str(path) for finding in unreadable for path in finding.paths] == [f"A/p0000-0{suffix}"]


def test_colours_and_depths_are_read_as_grey(tmp_path):
    root = write_xrays(tmp_path / "d", {"A": 1, "B": 1})
    picture = smooth(5, 300)
    for mode in ("RGB", "CMYK"):
        picture.convert(mode).save(root / "A" / f"{mode}.jpg", quality=95)
    Image.fromarray(np.asarray(picture, np.uint16) * 200).save(root / "A" / "deep.png")
    picture.save(root / "A" / "plain.png")
    found = read_contents(root, scan(root).images, {})
    plain = np.frombuffer(found["A/plain.png"].thumb, np.uint8).astype(int)
    for name in ("RGB.jpg", "CMYK.jpg"):
        assert np.abs(np.frombuffer(found[f"A/{name}"].thumb, np.uint8) - plain).mean() < 3
    deep = np.frombuffer(found["A/deep.png"].thumb, np.uint8).astype(int)
    assert np.corrcoef(deep, plain)[0, 1] > 0.999


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_within_or_after_any_section_is_found(tmp_path, mode, progressive):
    """Behind every marker, within every header and scan, and before the two bytes that end the file."""
    path = tmp_path / "a.jpg"
    smooth(3, 300).convert(mode).save(path, quality=80, progressive=progressive)
    whole = path.read_bytes()
    picture, frames = read_draft(str(path), SIDE)
    assert (picture.tobytes(), frames) == (read_small(path, SIDE)[0].tobytes(), 1)
    starts = [at for at in range(len(whole) - 1) if whole[at] == 0xFF and 0xC0 <= whole[at + 1] <= 0xFE]
    ends = [*starts[1:], len(whole)]
    cuts = {at + 2 for at in starts[:-1]} | {(a + b) // 2 for a, b in zip(starts[:-1], ends, strict=False)}
    for cut in sorted(cuts | {len(whole) - 3}):
        path.write_bytes(whole[:cut])
        with pytest.raises(ImageError):
            read_draft(str(path), SIDE)


def test_a_file_is_the_same_alone_and_among_others(tmp_path):
    root = write_xrays(tmp_path / "d", {"A": 9, "B": 9}, size=(150, 140), suffix=".jpg")
    images = scan(root).images
    together = read_contents(root, images, {})
    assert {path: read_contents(root, images.loc[[path]], {})[path] for path in images.index} == together
