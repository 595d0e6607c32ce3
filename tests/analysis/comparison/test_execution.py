"""What images are worth is read from the curve of their matched control."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.comparison import execution
from analysis.comparison.inference.result import NamedArms
from analysis.comparison.inference.selection import Selection
from analysis.comparison.inputs.study import Outcomes
from analysis.comparison.training.arms import ARMS
from analysis.comparison.training.learning_curve import Point

NAMED = NamedArms("strong-augmentation", ("pretraining",), {"pretraining": "two-stage"})
SIZES = (12, 25, 50)
RISE = 0.35  # of the distance between the classes, with each doubling
RECIPE = 0.5  # what the recipe of pretraining is worth without an image


def said(gain, chance, seeds=3):
    """(S, N, 2) probabilities of 40 images of the class and 160 others."""
    scores = chance.normal(0, 1, 200) + chance.normal(0, 0.1, (seeds, 200)) + (1.0 + gain) * (np.arange(200) < 40)
    return np.stack((1 / (1 + np.exp(scores)), 1 / (1 + np.exp(-scores))), axis=-1).astype(np.float32)


@pytest.mark.parametrize(("curve_of", "worth"), [("two-stage", (-20, 20)), ("strong-augmentation", (25, 51))])
def test_a_better_recipe_makes_images_worth_nothing(monkeypatch, curve_of, worth):
    """S4: on the curve of the baseline, which lacks the recipe, worthless images would be worth many real ones."""
    asked = []

    def curve(replicate, control, *others, pool):
        asked.append(control.name)
        recipe = RECIPE if curve_of == "two-stage" else 0.0
        return [
            Point(size, size, said(recipe + RISE * place, np.random.default_rng(1))) for place, size in enumerate(SIZES)
        ]

    monkeypatch.setattr(execution, "learning_curve", curve)
    targets = (np.arange(200) < 40).astype(np.int64)
    arms = {"pretraining": said(RECIPE + RISE * (len(SIZES) - 1), np.random.default_rng(1))}
    test = Outcomes(("A", "R"), "R", targets, np.arange(200), pd.DataFrame(index=range(200)), arms)
    trained = SimpleNamespace(
        request=SimpleNamespace(has_curve=True, judged=lambda arms: NAMED, runs=None, home=None),
        inputs=SimpleNamespace(replicates=[None]),
        arms=[ARMS[name] for name in ("strong-augmentation", "two-stage", "pretraining")],
        on_validation=lambda: Selection("strong-augmentation", "pretraining", {}),
    )
    found = execution._exchange(trained, test, None, SimpleNamespace(start=None))
    assert asked == ["two-stage"]
    assert found["reference"] == "two-stage"
    assert "The curve is that of two-stage, the matched control." in found["sentence"]
    assert worth[0] <= found["images"]["mean"] <= worth[1]
