import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from analysis.comparison.inference.bootstrap import draw_seeds, measure_arms
from analysis.comparison.inference.real_image_equivalent import exchange_rate, inverse
from analysis.comparison.inference.text import as_json, sentence
from analysis.comparison.inputs.study import ATTRIBUTES, Outcomes
from analysis.comparison.training.learning_curve import Point

SIZES = (12, 25, 50, 100)


def shift(size):
    """A classifier that knows more the more images it saw: 0.35 standard deviations for each doubling."""
    return 0.2 + 0.35 * np.log2(size / 6)


class World:
    """Test images of patients with two images each; every classifier sees the same difficulty of an image."""

    def __init__(self, patients=100, seeds=3, chance=0):
        self.chance = np.random.default_rng(chance)
        self.seeds, self.groups = seeds, np.repeat(np.arange(4 * patients), 2)
        self.targets = (self.groups < patients).astype(np.int64)
        person = self.chance.normal(0, 0.6, 4 * patients)[self.groups]
        self.images = person + self.chance.normal(0, 0.6, len(self.groups))

    def probabilities(self, size):
        own = self.chance.normal(0, 0.5, (self.seeds, len(self.groups)))
        scores = shift(size) * self.targets + self.images + own
        rare = (1 / (1 + np.exp(-scores))).astype(np.float32)
        return np.stack((1 - rare, rare), axis=2)

    def outcomes(self, **arms):
        nothing = pd.DataFrame(index=range(len(self.targets)), columns=list(ATTRIBUTES))
        return Outcomes(("COMMON", "RARE"), "RARE", self.targets, self.groups, nothing, arms)

    def points(self):
        return [Point(size, size // 2, self.probabilities(size)) for size in SIZES]


def rate(world, size, **options):
    return exchange_rate(world.outcomes(arm=world.probabilities(size)), "arm", world.points(), **options)


def test_the_interval_holds_the_truth_where_the_curve_is_known():
    """An arm as good as 150 real images had 100: it is worth 50 more."""
    found = [rate(World(chance=number), 150, times=200) for number in range(10)]
    assert sum(each.images.low <= 50 <= each.images.high for each in found) >= 8
    assert sum(each.patients.low <= 25 <= each.patients.high for each in found) >= 8
    assert np.median([each.images.mean for each in found]) == pytest.approx(50, abs=25)


def test_an_arm_like_the_reference_cannot_be_told_from_none():
    found = [rate(World(chance=number), 100, times=200) for number in range(10)]
    assert sum(each.images.low <= 0 <= each.images.high for each in found) >= 8
    world = World()
    points = world.points()
    same = exchange_rate(world.outcomes(arm=points[-1].probabilities), "arm", points, times=100)
    assert (same.images.mean, same.images.low, same.images.high) == pytest.approx((0, 0, 0), abs=1e-6)
    assert "not shown to differ from zero" in sentence(same)


def test_an_arm_that_does_harm_is_worth_less_than_none():
    found = rate(World(), 40)
    assert found.images.mean == pytest.approx(-60, abs=20)
    assert found.images.high < 0
    assert sentence(found).startswith("arm is worth less than none: the result is as with about ")
    assert "fewer real images of RARE" in sentence(found)
    assert "not shown to differ" not in sentence(found)


def test_an_arm_far_beyond_the_curve_is_worth_more_than_can_be_said():
    found = rate(World(), 5000)
    assert (found.images.mean, found.images.low, found.images.high) == pytest.approx((100, 100, 100))
    assert sentence(found).startswith(
        "arm is worth more than 100 more real images of RARE [95%: more than 100], or more than 50 more patients"
    )
    assert "beyond the curve" in sentence(found)


def test_an_arm_below_the_curve_is_worth_no_more_than_its_smallest_point():
    found = rate(World(), 3)
    assert found.images.mean == pytest.approx(-88)
    assert "as with 88 or more fewer" not in sentence(found)
    assert "as with at least 88 fewer real images of RARE [95%: -88 or less]" in sentence(found)


def test_where_real_images_do_not_help_there_is_no_rate():
    world = World(patients=20)
    points = [Point(size, size, world.probabilities(50)) for size in SIZES]
    found = exchange_rate(world.outcomes(arm=world.probabilities(60)), "arm", points, times=200)
    assert not found.rises
    assert "did not measurably help" in sentence(found)


def test_few_seeds_and_patients_give_no_narrower_an_interval_than_other_figures():
    """Two seeds of which one is drawn: by two of two the interval would be too narrow by more than a quarter."""
    world = World(patients=30, seeds=2, chance=3)
    points, arm = world.points(), world.probabilities(100)
    found = exchange_rate(world.outcomes(arm=arm), "arm", points, times=400)
    measured = measure_arms(world.outcomes(arm=arm), times=400)["arm"]
    error = (measured.drawn * draw_seeds(2, 400)).sum(axis=1).std(axis=1)[measured.names.index("auprc:RARE")]
    last = exchange_rate(world.outcomes(arm=arm), "arm", [points[0], Point(100, 50, arm)], times=400).curve[-1]
    assert (last.high - last.low) / (2 * 1.96) == pytest.approx(error, rel=0.15)
    assert found.images.low < found.images.mean < found.images.high


def test_the_curve_and_the_json():
    world = World()
    points = world.points()
    found = exchange_rate(world.outcomes(arm=world.probabilities(120)), "arm", points[::-1], times=200)
    truth = [
        np.mean([average_precision_score(world.targets, seed[:, 1]) for seed in point.probabilities])
        for point in points
    ]
    assert [point.mean for point in found.curve] == pytest.approx(truth)
    assert all(point.low < point.mean < point.high for point in found.curve)
    told = json.loads(json.dumps(as_json(found)))
    assert {"mean", "low", "high"} <= told["images"].keys() & told["patients"].keys() & told["curve"][0].keys()
    assert [point["images"] for point in told["curve"]] == list(SIZES)
    assert told["sentence"] == sentence(found)


def test_the_same_seed_gives_the_same():
    first, second = (rate(World(), 120, times=50, seed=1) for _ in range(2))
    assert first == second


def test_a_curve_that_falls_is_levelled_and_the_largest_of_a_plateau_taken():
    sizes = np.array([10.0, 20.0, 40.0])
    assert inverse(sizes, np.array([0.2, 0.4, 0.4]), 0.4) == pytest.approx(40)
    assert inverse(sizes, np.array([0.2, 0.5, 0.3]), 0.4) == pytest.approx(40)
    assert inverse(sizes, np.array([0.4, 0.4, 0.4]), 0.5) == pytest.approx(80)
    assert inverse(sizes, np.array([0.2, 0.3, 0.4]), 0.1) == pytest.approx(10)


def test_a_curve_needs_points_of_the_same_images():
    world = World(patients=5)
    points = world.points()
    outcomes = world.outcomes(arm=world.probabilities(120))
    with pytest.raises(ValueError, match="two points or more"):
        exchange_rate(outcomes, "arm", points[:1])
    with pytest.raises(ValueError, match="same images, seeds"):
        exchange_rate(outcomes, "arm", [*points, Point(200, 100, points[0].probabilities[:1])])
