"""A full-size model on a processor says how long a fill takes before it begins; a dry run measures no more."""

import re

import pytest

from balancer import FillSettings, NoScreen, fill, preview_fill
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.progress import Silent
from balancer.workspace import fill_time


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self):
        self.said = []

    def message(self, text):
        self.said.append(text)


@pytest.fixture
def drawn(monkeypatch):
    """The sizes of the batches that a real pipeline draws, and their steps."""
    calls, generate = [], StableDiffusion.generate

    def noted(self, jobs):
        calls.append((len(jobs), jobs[0].config.steps))
        return generate(self, jobs)

    monkeypatch.setattr(StableDiffusion, "generate", noted)
    return calls


@pytest.fixture
def settings(checkpoint):
    return FillSettings(target=("NODULE=9",), model=str(checkpoint), steps=4, batch_size="4", device="cpu")


def test_the_time_is_told_before_the_first_batch(workspace, settings, monkeypatch, drawn):
    monkeypatch.setattr(fill_time, "FULL_SIZE", 1)
    heard = Heard()
    fill(workspace, settings, screen=NoScreen("test"), progress=heard)
    (told,) = [text for text in heard.said if "from two denoising steps of one" in text]
    assert re.match(r"About .+ for \d+ images", told)
    assert drawn[0] == (1, 2)
    assert {size for size, _ in drawn[1:]} == {4}


def test_a_small_model_is_not_kept_waiting(workspace, settings, drawn):
    fill(workspace, settings, screen=NoScreen("test"))
    assert {size for size, _ in drawn} == {4}


def test_a_dry_run_draws_one_image(workspace, settings, monkeypatch, drawn):
    monkeypatch.setattr(fill_time, "FULL_SIZE", 1)
    assert preview_fill(workspace, settings, screen=NoScreen("test")).time.seconds > 0
    assert drawn == [(1, 2)]
