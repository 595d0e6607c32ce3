import numpy as np
import pandas as pd
import pytest

from analysis.comparison.inputs.study import ATTRIBUTES, Added, Part, Study
from analysis.comparison.training.arms import ARMS
from analysis.comparison.training.learning_curve import learning_curve, rare_size, subsample
from analysis.comparison.training.networks import SmallNetwork
from analysis.comparison.training.replicates import Replicate
from analysis.comparison.training.runs import RunSettings
from analysis.comparison.training.worker_pool import WorkerPool
from tests.support.comparison_fixtures import SIDE
from tests.support.comparison_fixtures import study as make_study

SMALL = RunSettings(SmallNetwork(side=SIDE, batch_size=8, width=8), steps=3, seeds=(0, 1))


REPLICATE = Replicate("", make_study(extra={}), (0, 1))


def curve(folder, workers, watch=lambda what: lambda done, total: None):
    return learning_curve(REPLICATE, ARMS["threshold-shift"], SMALL, folder, watch, pool=WorkerPool(workers))


def test_a_learning_curve_has_a_point_for_each_share_and_tells_of_both_seeds_together(tmp_path):
    heard = {}

    def watch(what):
        return lambda done, total: heard.update({what: (done, total)})

    found = curve(tmp_path, 1, watch)
    assert [(point.images, point.patients) for point in found] == [(2, 2), (3, 3), (6, 6)]
    assert [point.probabilities.shape for point in found] == [(2, 30, 3)] * 3
    assert heard["Training on 25% of RARE"] == heard["Training on 50% of RARE"] == (6, 6)  # both seeds, three steps
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.slow
def test_the_seeds_of_a_learning_curve_share_the_processes_and_the_curve_does_not_depend_on_them(tmp_path):
    one, two = (curve(tmp_path / str(workers), workers) for workers in (1, 2))
    assert all(np.array_equal(alone.probabilities, both.probabilities) for alone, both in zip(one, two, strict=True))
    assert len(list((tmp_path / "2").iterdir())) == 5


@pytest.fixture
def study():
    targets = np.array([0] * 30 + [1] * 20)
    groups = np.concatenate((np.arange(30), 29 + np.repeat(np.arange(8), [1, 2, 3, 4, 1, 2, 3, 4])))
    images = np.arange(50, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    known = pd.DataFrame({name: [f"{name}{number}" for number in range(50)] for name in ATTRIBUTES})
    part = Part(images, targets, groups, tuple(f"{number}.png" for number in range(50)), known)
    added = {"synthetic": Added(images[:3], np.ones(3, np.int64))}
    return Study(("COMMON", "RARE"), "RARE", part, part, part, added, ("stamp",))


def test_a_fraction_is_of_patients_nested_and_of_the_rare_class_alone(study):
    assert rare_size(study) == (20, 8)
    kept = {fraction: subsample(study, fraction, seed=2) for fraction in (0.01, 0.25, 0.5, 1)}
    assert [rare_size(each)[1] for each in kept.values()] == [1, 2, 4, 8]
    paths = [set(each.train.paths) for each in kept.values()]
    assert paths[0] < paths[1] < paths[2] < paths[3] == set(study.train.paths)
    assert all(each.counts["COMMON"] == 30 for each in kept.values())
    half = kept[0.5].train
    whole = set(half.groups[half.targets == 1].tolist())
    expected = [at for at in range(50) if study.train.targets[at] == 0 or study.train.groups[at] in whole]
    assert half.paths == tuple(f"{at}.png" for at in expected)
    assert half.images[:, 0, 0].tolist() == expected
    assert half.attributes["sex"].tolist() == [f"sex{at}" for at in expected]
    assert (kept[0.5].test, kept[0.5].added, kept[0.5].stamps) == (study.test, study.added, study.stamps)
    assert subsample(study, 0.5, seed=3).train.paths != half.paths


@pytest.mark.parametrize("fraction", [0, -1, 1.5, float("nan")])
def test_a_fraction_is_a_share(study, fraction):
    with pytest.raises(ValueError, match="at most 1"):
        subsample(study, fraction)
