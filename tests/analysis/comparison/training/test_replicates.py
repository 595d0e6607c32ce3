import numpy as np
import pytest

from analysis.comparison.training.arms import ARMS
from analysis.comparison.training.networks import SmallNetwork
from analysis.comparison.training.replicates import Leg, learning_curve
from analysis.comparison.training.runs import RunSettings
from analysis.comparison.training.worker_pool import WorkerPool
from tests.support.comparison_fixtures import SIDE, study

SMALL = RunSettings(SmallNetwork(side=SIDE, batch_size=8, width=8), steps=3, seeds=(0, 1))


LEG = Leg("", study(extra={}), (0, 1))


def curve(folder, workers, watch=lambda what: lambda done, total: None):
    return learning_curve(LEG, ARMS["threshold-shift"], SMALL, folder, watch, pool=WorkerPool(workers))


def test_a_learning_curve_has_a_point_for_each_share_and_tells_of_both_seeds_together(tmp_path):
    heard = {}

    def watch(what):
        return lambda done, total: heard.update({what: (done, total)})

    found = curve(tmp_path, 1, watch)
    assert [(point.images, point.patients) for point in found] == [(2, 2), (3, 3), (6, 6)]
    assert [point.chances.shape for point in found] == [(2, 30, 3)] * 3
    assert heard["Training on 25% of RARE"] == heard["Training on 50% of RARE"] == (6, 6)  # both seeds, three steps
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.slow
def test_the_seeds_of_a_learning_curve_share_the_processes_and_the_curve_does_not_depend_on_them(tmp_path):
    one, two = (curve(tmp_path / str(workers), workers) for workers in (1, 2))
    assert all(np.array_equal(alone.chances, both.chances) for alone, both in zip(one, two, strict=True))
    assert len(list((tmp_path / "2").iterdir())) == 5
