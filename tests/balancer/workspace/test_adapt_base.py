"""`adapt --base`: its options, from the settings to the adapter and to what fill makes of it."""

import json

import numpy as np
import pytest
from PIL import Image

from balancer import AdaptSettings, FillSettings, ScanSettings, Workspace, adapt, scan
from balancer.errors import SettingsError
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.workspace.adapt_run import _aspect
from balancer.workspace.generator_setup import choose_generator
from tests.support.tiny_models import write_lora, write_xrays


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Wide images: twelve normal, six nodules."""
    folder = tmp_path_factory.mktemp("wide")
    write_xrays(folder / "xrays", {"normal": 12, "nodule": 6}, size=(40, 24))
    found = Workspace.open(folder)
    scan(found, ScanSettings(folder / "xrays", patient=r"(p\d+)-"))
    return found


def asked(checkpoint, **options):
    usual = {"rank": 2, "steps": 2, "learning_rate": 0.5, "device": "cpu", "batch_size": 4}
    return AdaptSettings(base=str(checkpoint), **{**usual, **options})


def drawn(workspace, adapter, **options):
    with workspace.session(write=False, several=True) as session:
        settings = FillSettings(target="20", adapter=adapter, device="cpu", **options)
        config = choose_generator(session, settings).config
    return config.width, config.height


def test_the_proportions_are_those_of_the_collection_and_fill_takes_them_from_the_card(workspace, checkpoint, tmp_path):
    base = find_checkpoint(str(checkpoint))
    with workspace.session(write=False, several=True) as session:
        assert _aspect(session, asked(checkpoint), base, 32) == 1.6667
        assert _aspect(session, asked(checkpoint), base, 8) == 1  # there is no nearer shape of so few pixels
        assert _aspect(session, asked(checkpoint, aspect_ratio="square"), base, 32) == 1
    write_lora(tmp_path, checkpoint)
    card = {"kind": "lora", "base": {"name": base.ref.name, "sha256": base.ref.sha256}}
    for aspect, size in ((1.6667, (40, 24)), (None, (32, 32)), ("wide", (32, 32))):
        (tmp_path / "card.json").write_text(json.dumps({**card, "aspect": aspect}))
        assert drawn(workspace, tmp_path, model=str(checkpoint)) == size
    (tmp_path / "card.json").write_text(json.dumps({**card, "aspect": 1.6667}))
    assert drawn(workspace, tmp_path, model=str(checkpoint), size=64) == (80, 48)


@pytest.mark.slow
def test_an_adapter_and_what_fill_makes_of_it_keep_the_proportions_of_the_collection(workspace, checkpoint):
    own = ("a nodule on the left", "nothing at all")
    made = adapt(workspace, asked(checkpoint, prior_share=0.5, validation_prompt=own))
    card = json.loads((made.folder / "card.json").read_text())
    assert (card["size"], card["settings"]["aspect"]) == ([40, 24], 1.6667)
    assert (card["common_classes"], card["settings"]["prior_share"]) == (["normal"], 0.5)
    assert "50% of each batch were images of the common classes: normal" in (made.folder / "README.md").read_text()
    sheets = sorted((made.folder / "samples").iterdir())
    assert [int(each.stem) for each in sheets] == [look["step"] for look in card["looks"]]
    with Image.open(sheets[-1]) as sheet:  # two classes and two prompts, of two images each
        assert sheet.size == (96 + 2 * 82, 4 * 50)
        pixels = np.asarray(sheet)
    assert not np.array_equal(pixels[100:150], pixels[150:200])
    assert drawn(workspace, made.folder) == (40, 24)


def test_options_of_bases_and_their_values_are_checked():
    with pytest.raises(SettingsError, match="--rank and --aspect-ratio"):
        AdaptSettings(from_scratch=True, rank=2, aspect_ratio="keep")
    with pytest.raises(SettingsError, match="a text in --validation-prompt"):
        AdaptSettings(base="sd", validation_prompt=("x", " "))
    with pytest.raises(SettingsError, match="'wide'"):
        AdaptSettings(base="sd", aspect_ratio="wide")
