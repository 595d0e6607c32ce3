import random

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from balancer.collection.region_files import rectangle
from balancer.collection.regions import Region, Regions, moved
from balancer.collection.run_lengths import from_runs, runs_from_text, to_runs
from balancer.collection.scan import Sample
from balancer.filling.generation_modes import ModeSampler, read_modes
from balancer.filling.lesion_places import (
    Painting,
    Place,
    attributions,
    central_place,
    differing,
    differing_place,
    lung_place,
    places_of_lesions,
    told_place,
)
from examples.phantoms import draw_radiograph, finding_mask

BOX = Region(100, 80, (rectangle(10, 20, 18, 30),))
NORMAL = [Sample(f"normal/{n}.png", "normal", f"p{n % 4}", "ab" * 32) for n in range(8)]


def painting(*places):
    return Painting(NORMAL, places, (32, 32), {each.path: (64, 48) for each in NORMAL})


def test_a_region_is_moved_and_stays_inside():
    assert moved(BOX, 2, 0, 0).box == pytest.approx((0.075, 0.15, 0.275, 0.35))
    assert moved(BOX, 1, -5, 5).box == pytest.approx((0, 0.9, 0.1, 1))
    mask = Region(40, 40, runs=to_runs(BOX.mask(40, 40)))
    for zoom, right, down in ((1, 0, 0), (1.5, 0.2, -0.1), (0.1, 9, 9), (30, 0, 0)):
        far = moved(mask, zoom, right, down)
        np.testing.assert_allclose(far.box, moved(BOX, zoom, right, down).box, atol=1.6 / 40)
        assert far.mask(40, 40).any()


def test_a_place_is_drawn_near_the_lesion_and_from_its_numbers_alone():
    drawn = [Place(BOX, "", is_real=True).drawn(random.Random(seed)).box for seed in range(50)]
    assert len(set(drawn)) == 50
    assert np.abs(np.array(drawn) - BOX.box).max() < 0.06
    assert drawn[7] == Place(BOX, "").drawn(random.Random(7)).box


def test_every_source_is_taken_once_before_one_is_taken_again_and_never_the_lesions_own_patient():
    one = painting(Place(BOX, "a", "p1", True), Place(BOX, "b", "p2", True))
    drawn = [one.draw(0, "nodule", index) for index in range(16)]
    assert sorted(source.path for source, _, _ in drawn[:8]) == sorted(each.path for each in NORMAL)
    assert {("p1", "a"), ("p2", "b")}.isdisjoint({(source.patient, origin) for source, _, origin in drawn})
    assert {origin for _, _, origin in drawn} == {"a", "b"}
    assert drawn[5] == one.draw(0, "nodule", 5) != one.draw(1, "nodule", 5)
    mask = from_runs(runs_from_text(drawn[0][1]), 32, 32)
    assert 0 < mask.sum() < 100
    assert painting(Place(BOX, "a", "p1", True)).draw(0, "nodule", 0)  # nobody else's: better than none


def test_lesions_are_those_of_the_given_images_and_of_the_finding():
    rows = {"normal/1.png": (BOX,), "other.png": (BOX,), "normal/2.png": (Region(8, 8, BOX.outlines, (), "mass"),)}
    runs = {"normal/3.png": (Region(40, 40, runs=to_runs(BOX.mask(40, 40))),)}
    found = places_of_lesions(Regions(rows | runs, None), NORMAL, "nodule", (16, 16))
    assert [place.origin for place in found] == ["the region in normal/1.png", "the region in normal/3.png"]
    assert (found[0].region, found[1].region.height, found[0].patient) == (BOX, 16, "p1")


def test_where_a_class_differs_is_found_and_nothing_where_it_does_not(tmp_path):
    label, count = "pleural_effusion", 40
    of_class, normal = (
        np.stack([draw_radiograph(each, patient) for patient in range(start, start + count)]).astype(float)
        for each, start in ((label, 0), ("normal", 100))
    )
    there = np.mean([finding_mask(label, patient) for patient in range(count)], axis=0)
    mask = differing(of_class, normal)
    assert there[mask].mean() > 3 * there[~mask].mean()
    assert differing(normal[:20], normal[20:]) is None
    samples = []
    for name, greys in (("a", of_class[:2]), ("b", normal[:2])):
        for number, grey in enumerate(greys):
            Image.fromarray(grey.astype(np.uint8)).save(tmp_path / f"{name}{number}.png")
            samples.append(Sample(f"{name}{number}.png", name, None, ""))
    assert differing_place(tmp_path, samples[:1], samples[2:], label) is None
    (tmp_path / "a0.png").write_bytes(b"damaged")
    assert differing_place(tmp_path, samples[:2], samples[2:], label) is None
    assert 0.3 < central_place().region.mask(32, 32).mean() < 0.5


def test_where_nothing_is_known_each_image_is_painted_at_a_spot_in_the_lungs(tmp_path):
    samples = [Sample(f"{number}.png", "normal", None, "") for number in range(6)]
    for sample, patient in zip(samples, range(6), strict=True):
        Image.fromarray(draw_radiograph("normal", patient)).save(tmp_path / sample.path)
    place = lung_place(tmp_path, samples)
    lungs = place.region.mask(64, 64)
    assert 0.1 < lungs.mean() < 0.3
    assert not lungs[:, 30:34].any()
    for seed in range(20):
        spot = place.drawn(random.Random(seed)).mask(64, 64)
        assert 0.01 < spot.mean() < 0.08
        assert (spot & lungs).any()
    assert lung_place(tmp_path, []) == central_place()


def spotted(count, seed, bright=0.0):
    """The same shapes in smooth noise, with a bright spot near row 20 and column 40."""
    chance = np.random.default_rng(seed)
    rows, columns = np.indices((64, 64))
    shapes = 100 + 40 * np.sin(rows / 7) * np.cos(columns / 9)
    greys = gaussian_filter(chance.normal(size=(count, 64, 64)), (0, 2, 2)) * 150 + shapes
    for grey, (down, right) in zip(greys, chance.integers(-3, 4, (count, 2)), strict=True):
        grey += bright * np.exp(-((rows - 20 - down) ** 2 + (columns - 40 - right) ** 2) / 18)
    return np.clip(greys, 0, 255)


def test_a_classifier_tells_where_a_small_finding_is_and_nothing_where_there_is_none(tmp_path):
    people = [f"p{number}" for number in range(60)]
    of_class, normal = spotted(20, 0, 60), spotted(40, 1)
    seen = attributions(of_class, normal, people[:20], people[20:])
    assert np.hypot(*(np.unravel_index(seen.argmax(), seen.shape) - np.array([20, 40]))) < 6
    assert attributions(spotted(20, 2), normal, people[:20], people[20:]) is None
    assert attributions(of_class, normal, people[:5] * 4, people[20:]) is None  # five patients tell too little
    samples = [Sample(f"{number}.png", "", None, "") for number in range(60)]
    for sample, grey in zip(samples, (*of_class, *normal), strict=True):
        Image.fromarray(grey.astype(np.uint8)).save(tmp_path / sample.path)
    place = told_place(tmp_path, samples[:20], samples[20:], "nodule", central_place())
    field, found = central_place().region.mask(64, 64), place.region.mask(64, 64)
    assert found[20, 40]
    assert found.sum() == pytest.approx(0.4 * field.sum(), abs=1)
    assert (place.is_field, place.is_real, place.origin) == (True, False, "spots where a classifier sees nodule")
    assert told_place(tmp_path, samples[20:40], samples[40:], "nodule", central_place()) is None


def test_a_sampler_paints_what_it_is_asked_to():
    sampler = ModeSampler(read_modes("text=1,inpaint=3"), sources={"nodule": NORMAL}, harmonised=True)
    sampler = ModeSampler(
        sampler.weights, None, sampler.sources, True, painting={"nodule": painting(Place(BOX, "a", is_real=True))}
    )
    sampler.require_usable(["nodule"], 25)
    drawn = [sampler.draw(0, "nodule", index) for index in range(40)]
    painted = [each for each in drawn if each.mode == "inpaint"]
    assert 20 < len(painted) < 40
    assert all(each.mask and each.reference is None and each.mask_from == "a" for each in painted)
    assert all(not each.mask and each.reference for each in drawn if each.mode == "text")
    assert {each.strength for each in painted} == {0.6, 0.7, 0.8}
    assert sampler.size_of("nodule", painted[0]) == (64, 48)
    assert sampler.facts["intensities"].startswith("inpaint: those of the source; others")
