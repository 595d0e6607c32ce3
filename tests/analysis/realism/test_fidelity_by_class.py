import json
from dataclasses import replace

import numpy as np
import pytest

from analysis.data.balanced_folder import Images, TrainingImagesByClass
from analysis.realism.fidelity import Fidelity
from analysis.realism.fidelity_by_class import Quality, Space, features_for, measure_quality, report, sentence
from analysis.statistics.intervals import Interval
from balancer.errors import ImageError
from tests.support.tiny_models import write_xrays


def gradients(greys):
    """An embedding without a network: means of the rows."""
    return (greys.mean(axis=2) / 255).astype(np.float32)


SPACE = Space(gradients, 32, "rows")


@pytest.fixture
def merged(tmp_path):
    """40 real and 40 further real images of A taken for synthetic, 20 real of B and one synthetic."""
    write_xrays(tmp_path / "real", {"A": 80, "B": 21})
    files = {label: sorted((tmp_path / "real" / label).iterdir()) for label in "AB"}
    images = {label: Images(tuple(some), tuple(path.name[:5] for path in some)) for label, some in files.items()}
    real = {"A": images["A"].some(range(40)), "B": images["B"].some(range(20))}
    made = {"A": images["A"].some(range(40, 80)), "B": images["B"].some([20])}
    return TrainingImagesByClass(tmp_path, ("A", "B"), real, made, {"A": Images(), "B": Images()}, True, ())


def test_more_real_images_are_no_farther_than_real_ones_are(merged):
    found = measure_quality(merged, SPACE)
    assert found.classes["A"].images == 20
    assert sentence("A", found.classes["A"]).startswith("A: the synthetic images are not shown to be farther")
    assert found.classes["B"] is None
    content = json.loads(json.dumps(report(found)))
    assert content["embedding"] == "rows"
    assert content["classes"]["A"]["figures"]["kid"]["low"] <= content["classes"]["A"]["figures"]["kid"]["value"]
    assert "not known" in content["classes"]["B"]["sentence"]


def test_held_out_real_images_are_the_reference(merged):
    """Copies of training images look perfect beside them, and are no better than others beside held-out ones."""
    held = replace(
        merged,
        synthetic={"A": merged.real["A"], "B": Images()},
        validation={"A": merged.synthetic["A"], "B": Images()},
    )
    found = measure_quality(held, SPACE)
    assert (found.held_out, found.notes) == (("A",), [])
    assert found.classes["A"].excess["kid"].low < 0 < found.classes["A"].excess["kid"].high
    seen = measure_quality(replace(held, validation={"A": Images(), "B": Images()}), SPACE)
    assert seen.held_out == ()
    assert seen.notes[0].startswith("A: compared with training images")
    assert report(seen)["notes"] == seen.notes
    assert seen.classes["A"].figures["fid"].value < found.classes["A"].figures["fid"].value


def test_other_images_are_farther(merged):
    other = replace(merged, synthetic={"A": merged.real["B"], "B": Images()})
    found = measure_quality(other, SPACE)
    assert list(found.classes) == ["A"]
    assert "farther from the real images than real images are from each other; many" in sentence(
        "A", found.classes["A"]
    )


def test_what_is_missing_is_said():
    same = dict.fromkeys(("kid", "fid", "precision"), Interval(0.0, -1.0, 1.0))
    excess = {**same, "recall": Interval(-0.4, -0.6, -0.1)}
    text = sentence("A", Fidelity(30, excess, excess, excess))
    assert text.endswith("(30 a side); some kinds of real images are missing.")


def test_an_embedding_is_trained_on_real_images_alone(merged):
    seen = []
    space = features_for(merged, None, steps=2, seed=0, device="cpu", progress=lambda *args: seen.append(args))
    for path in merged.synthetic["A"].paths:
        path.write_bytes(b"never read")
    again = features_for(merged, None, steps=2, seed=0, device="cpu", progress=lambda *args: None)
    greys = np.random.default_rng(0).integers(0, 256, (3, space.side, space.side)).astype(np.uint8)
    assert np.array_equal(space.embed(greys), again.embed(greys))
    assert seen[-1] == ("Training the embedding", 2, 2)
    with pytest.raises(ImageError, match="p0"):
        measure_quality(merged, space)


def test_an_embedding_does_not_learn_few_images_by_heart(merged):
    seen = []
    features_for(merged, None, steps=600, seed=0, device="cpu", progress=lambda *args: seen.append(args))
    assert seen[-1] == ("Training the embedding", 19, 19)  # 60 real images, twenty times


def test_no_real_image_and_one_patient_cannot_be_said(merged):
    none = measure_quality(replace(merged, real={"A": Images(), "B": Images()}), SPACE)
    assert none.classes == {"A": None, "B": None}
    alone = Images(merged.real["A"].paths, ("p1",) * 40)
    assert measure_quality(replace(merged, real={"A": alone, "B": Images()}), SPACE).classes["A"] is None


def test_unknown_patients_are_told():
    assert report(Quality({}, "rows", False))["patients_known"] is False
