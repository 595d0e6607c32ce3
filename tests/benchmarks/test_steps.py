"""The sweep of steps and guidance intervals: a line for each way, and what is drawn is not drawn again."""

import pytest

from tests.benchmarks.steps import WAYS, Way, sweep


@pytest.mark.slow
def test_each_way_is_judged_and_drawn_once(tmp_path):
    def lines():
        return list(sweep(tmp_path, "nodule", ways, images=4, seeds=2, real=20, steps=2))

    ways = (Way(2), Way(3, 3.0, (0.2, 0.8)))
    found = lines()
    assert [each.split(" KID")[0].strip() for each in found] == ["real ones", *map(str, ways)]
    assert all("of 8 images, of each seed" in each for each in found[1:])
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")}
    assert len(made) == 4
    assert lines() == found
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")} == made


def test_ways_are_told_apart_by_their_names():
    assert len(set(map(str, WAYS))) == len(WAYS)
    assert str(Way(guidance=3.0, interval=(0.2, 0.8))) == "25 steps, guidance 3 in 0.2,0.8"
