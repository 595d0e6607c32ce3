"""The probe on drawn radiographs: halves of real ones, with and without something that gives one half away."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.data.balanced_folder import Images, TrainingImagesByClass
from analysis.realism.detectability import probe
from analysis.realism.matched_control import ProbeSettings, duplicated
from analysis.realism.text import fixes, report, verdict
from analysis.statistics.intervals import auroc, auroc_interval
from balancer.errors import ImageError
from examples.phantoms import draw_radiograph

SETTINGS = ProbeSettings(side=32, steps=3, seeds=2, permutations=199)
SIDE, COUNT = 32, 40


@pytest.fixture(scope="module")
def drawn():
    """Greys of 120 patients: 80 normal, 40 with an effusion."""
    labels = ["normal"] * 2 * COUNT + ["pleural_effusion"] * COUNT
    return [draw_radiograph(label, patient, size=SIDE) for patient, label in enumerate(labels)]


def write(folder: Path, greys, suffix=".png", known=True) -> Images:
    folder.mkdir()
    paths = tuple(folder / f"{number:03}{suffix}" for number in range(len(greys)))
    for path, grey in zip(paths, greys, strict=True):
        Image.fromarray(grey).save(path)
    return Images(paths, tuple(f"patient {path}" if known else f"image {path}" for path in paths))


def with_mark(greys):
    """Two pixels."""
    marked = [grey.copy() for grey in greys]
    for grey in marked:
        grey[7, 9], grey[20, 3] = 255, 0
    return marked


def merged(folder, drawn, synthetic, known=True, **options) -> TrainingImagesByClass:
    real = write(folder / "real", drawn[:COUNT], known=known)
    other = write(folder / "other", drawn[2 * COUNT :])
    made = write(folder / "made", synthetic, **options)
    return TrainingImagesByClass(
        folder,
        ("normal", "effusion"),
        {"normal": real, "effusion": other},
        {"normal": made, "effusion": Images()},
        {"normal": Images(), "effusion": Images()},
        known,
        (),
    )


def test_two_halves_of_real_images_raise_no_alarm(tmp_path, drawn):
    found = probe(merged(tmp_path, drawn, drawn[COUNT : 2 * COUNT]), SETTINGS)
    assert found.p_value > 0.01
    assert verdict(found).startswith("Real and synthetic normal could not be distinguished")
    assert fixes(found) == []
    assert {"one pixel", "noise", "file format"} <= {each.name for each in found.classes[0].detectors}


def test_a_mark_of_two_pixels_is_found_and_named(tmp_path, drawn):
    found = probe(merged(tmp_path, drawn, with_mark(drawn[COUNT : 2 * COUNT])), SETTINGS)
    best = next(each for each in found.classes[0].detectors if each.name.startswith("one pixel"))
    assert best.p_value == 0.005
    assert best.area.value > 0.95
    assert "nearly always be distinguished from real" in verdict(found)
    assert "The clearest single feature is one pixel" in verdict(found)
    assert any("look for a mark" in fix for fix in fixes(found))
    assert fixes(found)[0].endswith("balance fill --symmetric")
    assert report(found)["flagged"] is report(found)["classes"][0]["flagged"] is True
    json.dumps(report(found))


def test_the_same_seed_finds_the_same(tmp_path, drawn):
    one = merged(tmp_path, drawn, drawn[COUNT : 2 * COUNT])
    assert probe(one, SETTINGS) == probe(one, SETTINGS)


@pytest.mark.parametrize(
    ("change", "suffix", "name", "advice"),
    [
        (lambda grey: grey, ".bmp", "file format", "the file formats differ"),
        (lambda grey: np.pad(grey, 4, mode="edge"), ".png", "width", "image sizes differ"),
        (lambda grey: grey // 8 * 8, ".png", "grey levels used", "borders or grey levels differ"),
        (lambda grey: grey[::-1, ::-1] // 2 + grey // 2, ".png", "noise", "fine detail differs"),
    ],
)
def test_the_giveaway_is_named_with_its_fix(tmp_path, drawn, change, suffix, name, advice):
    made = [change(grey) for grey in drawn[COUNT : 2 * COUNT]]
    found = probe(merged(tmp_path, drawn, made, suffix=suffix), SETTINGS)
    assert name in {each.name for each in found.classes[0].detectors if each.alarms}
    assert any(advice in fix for fix in fixes(found))


def test_synthetic_images_of_both_classes_show_whether_a_classifier_relies_on_it(tmp_path, drawn):
    one = merged(tmp_path, drawn, drawn[COUNT : 2 * COUNT])
    assert probe(one, SETTINGS).left_out[1] == "synthetic normal images: both classes need such images"
    both = replace(one, synthetic={**one.synthetic, "effusion": one.real["effusion"]})
    found = probe(both, SETTINGS)
    assert (found.majority, found.minority) == ("normal", ("effusion",))
    (lean,) = found.leans
    assert (lean.what, lean.seeds) == ("synthetic normal images", 2)
    assert lean.images == COUNT // 4  # every fourth patient is kept out of training
    assert "real normal images through the generator's autoencoder" in found.left_out[0]


def test_real_images_of_both_classes_go_through_the_autoencoder(tmp_path, drawn):
    seen = []

    def blank(paths, side):
        seen.append(paths)
        return np.zeros((len(paths), side, side), np.uint8)

    one = merged(tmp_path, drawn, drawn[COUNT : 2 * COUNT])
    found = probe(one, SETTINGS, blank)
    assert seen == [one.real["normal"].paths, one.real["effusion"].paths]
    assert found.leans[0].what == "real normal images through the generator's autoencoder"
    validated = replace(one, validation={"normal": one.real["normal"].some(range(35)), "effusion": Images()})
    assert probe(validated, SETTINGS, blank).leans[0].images == 35


def test_the_control_has_as_many_of_each_class_all_real():
    targets = np.array([0] * 20 + [1] * 6 + [1] * 14)
    rows = duplicated(targets, 26, seed=0)
    assert rows.max() < 26
    assert np.bincount(targets[rows]).tolist() == [20, 20]
    assert set(np.bincount(rows, minlength=26)[20:]) == {3, 4}


def test_too_few_patients_of_a_class_show_no_reliance(tmp_path, drawn):
    one = merged(tmp_path, drawn, drawn[COUNT : 2 * COUNT])
    few = replace(one, real={**one.real, "effusion": one.real["effusion"].some(range(9))})
    found = probe(few, SETTINGS, lambda paths, side: np.zeros((len(paths), side, side), np.uint8))
    assert found.leans == ()
    assert found.left_out[0].endswith("9 patients of a class, 10 are needed")


def test_the_interval_of_the_clearest_detector_counts_that_it_was_picked():
    """Of fifteen equal detectors the clearest looks better than it is; its own 95% interval misses in one of three."""
    rng, missed = np.random.default_rng(0), {0.95: 0, 1 - 0.05 / 15: 0}
    flags = np.arange(120) >= 60
    for _ in range(150):
        scores = rng.standard_normal((15, 120)) + 0.7416 * flags  # an area of 0.7
        best = max(scores, key=lambda each: auroc(each, flags))
        for level in missed:
            found = auroc_interval(best, flags, level=level)
            missed[level] += not found.low <= 0.7 <= found.high
    assert missed[0.95] > 0.15 * 150
    assert missed[1 - 0.05 / 15] <= 0.07 * 150


@pytest.mark.slow
def test_a_mark_on_the_minority_alone_is_relied_on(tmp_path, drawn):
    """Most effusions are normals with a white bar: a classifier takes the bar, and calls a normal with it ill."""
    barred = [grey.copy() for grey in drawn[COUNT : 2 * COUNT]]
    for grey in barred:
        grey[:6] = 255
    real = write(tmp_path / "real", drawn[:COUNT])
    few = write(tmp_path / "few", drawn[2 * COUNT : 2 * COUNT + 12])
    none = Images()
    one = TrainingImagesByClass(
        tmp_path,
        ("normal", "effusion"),
        {"normal": real, "effusion": few},
        {"normal": none, "effusion": write(tmp_path / "made", barred)},
        {"normal": none, "effusion": none},
        True,
        (),
    )

    def with_bar(paths, side):
        greys = np.array([np.asarray(Image.open(path)) for path in paths])
        greys[:, :6] = 255
        return greys

    found = probe(one, replace(SETTINGS, steps=40, seeds=5), with_bar)
    assert found.leans[0].leans
    assert "A classifier relies on it" in verdict(found)
    assert fixes(found)[0].endswith("balance fill --symmetric")


def test_too_few_patients_cannot_be_said(tmp_path, drawn):
    found = probe(merged(tmp_path, drawn, drawn[COUNT : COUNT + 9]), SETTINGS)
    assert found.p_value == 1
    assert verdict(found).startswith("It is not known whether")
    assert "40 patients with real and 9 with synthetic images" in verdict(found)


def test_one_patient_cannot_be_said(tmp_path, drawn):
    one = merged(tmp_path, drawn, drawn[COUNT : 2 * COUNT])
    alone = Images(one.real["normal"].paths, ("patient p1",) * COUNT)
    found = probe(replace(one, real={**one.real, "normal": alone}), SETTINGS)
    assert "1 patients with real" in found.classes[0].unknown


def test_no_real_image_in_a_class_cannot_be_said(tmp_path, drawn):
    one = merged(tmp_path, drawn, drawn[COUNT : 2 * COUNT])
    found = probe(replace(one, real={**one.real, "normal": Images()}), SETTINGS)
    assert "0 patients with real" in found.classes[0].unknown


def test_equal_images_raise_no_alarm(tmp_path, drawn):
    one = merged(tmp_path, [drawn[0]] * 3 * COUNT, [drawn[0]] * COUNT)
    found = probe(one, SETTINGS)
    assert found.p_value == 1
    assert {each.area.value for each in found.classes[0].detectors} == {0.5}


def test_unknown_patients_are_told(tmp_path, drawn):
    found = probe(merged(tmp_path, drawn, drawn[COUNT : COUNT + 12], known=False), SETTINGS)
    assert "patients are unknown" in found.left_out[0]


def test_an_unreadable_file_is_told(tmp_path, drawn):
    one = merged(tmp_path, drawn, drawn[COUNT : 2 * COUNT])
    one.synthetic["normal"].paths[3].write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"003\.png"):
        probe(one, SETTINGS)


def test_many_images_are_cut_down_by_whole_patients(tmp_path, drawn):
    one = merged(tmp_path, drawn, drawn[COUNT : 2 * COUNT])
    found = probe(one, replace(SETTINGS, most=20))
    assert (found.classes[0].real, found.classes[0].synthetic) == (20, 20)
