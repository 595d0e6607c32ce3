import numpy as np
import pytest
from PIL import Image

from analysis.screening import NOT_CHECKED, Soundness, measure_soundness
from balancer.errors import ImageError
from balancer.jobs import Candidate
from examples.phantoms import draw_radiograph


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    for patient in range(30):
        Image.fromarray(draw_radiograph("normal", patient)).save(folder / f"{patient}.png")
    return Soundness.fit(sorted(folder.iterdir()))


def judge(gate, tmp_path, pixels):
    path = tmp_path / "candidate.png"
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return gate([Candidate("normal", path, "", None)], [])[0]


def test_real_looking_images_pass_but_are_not_called_screened(gate, tmp_path):
    for patient in range(100, 120):
        verdict = judge(gate, tmp_path, draw_radiograph("nodule", patient))
        assert (verdict.decision, verdict.reasons) == ("unscreened", (NOT_CHECKED,))
        assert verdict.scores.keys() == {"contrast", "largest_level", "detail"}


RAMP = np.tile(np.linspace(0, 255, 64), (64, 1))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (np.zeros((64, 64)), "blank"),
        (np.full((64, 64), 128), "blank"),
        (np.clip(RAMP * 60, 0, 255), "saturated"),
        (np.where(RAMP < 128, 90, 160), "saturated"),
    ],
    ids=["black", "grey", "burnt out", "two tones"],
)
def test_broken_images_are_rejected_with_the_reason(gate, tmp_path, fault, reason):
    verdict = judge(gate, tmp_path, fault)
    assert verdict.decision == "reject"
    assert any(why.startswith(reason) for why in verdict.reasons)


def test_a_blurred_image_is_rejected(gate, tmp_path):
    small = Image.fromarray(draw_radiograph("normal", 200)).resize((2, 2), Image.Resampling.BOX)
    verdict = judge(gate, tmp_path, np.asarray(small.resize((64, 64), Image.Resampling.BICUBIC)))
    assert "blurred: no detail" in verdict.reasons


def test_measures_are_exact():
    checker = (np.indices((4, 4)).sum(axis=0) % 2 * 200).astype(np.uint8)
    assert measure_soundness(checker) == {"contrast": 100.0, "largest_level": 0.5, "detail": 4.0}


def test_without_a_readable_image_there_is_no_gate(tmp_path):
    (tmp_path / "x.png").write_text("no")
    with pytest.raises(ImageError, match="real training images"):
        Soundness.fit([tmp_path / "x.png"])
