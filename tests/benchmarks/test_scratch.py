"""The screening of ways to train from scratch: a line for each, and it goes on where it was killed."""

from dataclasses import replace

import pytest

from tests.balancer.adapting.scratch.test_train import TINY
from tests.benchmarks import scratch
from tests.benchmarks.scratch import CANDIDATES, forget, lay_ground, looks, screen
from tests.support.tiny_models import write_xrays


@pytest.fixture
def ground(tmp_path):
    whole = write_xrays(tmp_path / "whole" / "train", {"NORMAL": 8, "NODULE": 12}, size=(24, 24)).parent
    for label, keep in (("NORMAL", 8), ("NODULE", 4)):
        (tmp_path / "cut" / "train" / label).mkdir(parents=True)
        for path in sorted((whole / "train" / label).iterdir())[:keep]:
            (tmp_path / "cut" / "train" / label / path.name).write_bytes(path.read_bytes())
    return lay_ground(whole, tmp_path / "cut", steps=2)


@pytest.mark.slow
def test_each_candidate_is_measured_once_and_a_killed_screening_goes_on(ground, tmp_path, capsys, monkeypatch):
    assert (ground.label, len(ground.samples), len(ground.away)) == ("NODULE", 12, 8)
    quick = replace(TINY, steps=2, sample_every=0.9)
    work, both = tmp_path / "work", {"base": quick, "other": replace(quick, seed=1)}
    first = screen(ground, work, {"base": quick}, images=4)
    assert looks(ground, work / "base", 4, 1.5).startswith("KID ")
    assert first["base"].keys() >= {"kid", "wanted", "reconstruction", "denoiser_steps"}
    assert capsys.readouterr().out.startswith("base               KID ")
    monkeypatch.setattr(scratch, "measure", lambda *_: dict.fromkeys(first["base"], 7.0))
    found = screen(ground, work, both, images=4)
    assert found["base"] == first["base"]
    assert found["other"]["kid"] == 7
    forget(work, ["base"])
    assert screen(ground, work, both, images=4)["base"]["kid"] == 7
    assert (work / "base" / "model_index.json").is_file()


def test_all_candidates_are_settings_of_the_trainer():
    for changes in CANDIDATES.values():
        replace(TINY, size=64, **changes)
