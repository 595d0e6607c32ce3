"""Precision and guidance interval from the settings to the provenance; where they mean nothing they are refused."""

import pandas as pd
import pytest

from balancer import FillSettings, NoScreen, fill, preview_fill
from balancer.errors import ModelError


def asked(checkpoint, **more):
    return FillSettings(target=("NODULE=9",), model=str(checkpoint), steps=4, batch_size="4", device="cpu", **more)


def test_both_are_on_record(workspace, checkpoint, tmp_path):
    settings = asked(checkpoint, precision="bfloat16", guidance_interval="0.25,0.75")
    fill(workspace, settings, screen=NoScreen("test"))
    drawn = pd.read_csv(tmp_path / "xrays-balanced" / "provenance.csv")
    assert set(drawn["dtype"]) == {"bfloat16"}
    assert set(drawn["guidance_interval"]) == {"0.25,0.75"}


def test_an_interval_without_guidance_is_refused(workspace, checkpoint):
    settings = asked(checkpoint, guidance=1.0, guidance_interval="0.2,0.8")
    with pytest.raises(ModelError, match="a guidance scale above 1"):
        preview_fill(workspace, settings, screen=NoScreen("test"))


@pytest.mark.parametrize("option", [{"precision": "float16"}, {"guidance_interval": "0.2,0.8"}])
def test_a_plug_in_that_chooses_them_itself_is_not_passed_over(workspace, option):
    settings = FillSettings(target=("NODULE=9",), model="noise:8", **option)
    with pytest.raises(ModelError, match="a Stable Diffusion, for --"):
        preview_fill(workspace, settings, screen=NoScreen("test"))
