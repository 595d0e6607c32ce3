"""`balance probe` and `balance quality` as a stranger types them, on drawn radiographs and the pocket checkpoint."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from examples.phantoms import write_collection
from tests.support.cli_process import POCKET, balance, finished
from tests.support.cli_process import apart as run


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A scanned collection, filled by a model that drew for too few steps: its images are noisy."""
    folder = tmp_path_factory.mktemp("filled")
    write_collection(folder / "xrays", {"normal": 60, "nodule": 50}, max_images=1)
    finished(balance(folder, "scan", "xrays", "--patient", r"(p\d+)"))
    finished(balance(folder, "fill", "--target", "60", "--model", str(POCKET), "--steps", "2", "--no-screen"))
    return folder


def test_the_verdict_comes_first_then_the_fix_and_the_figures(filled):
    done = run(filled, "probe", "--steps", "10", "--size", "32", "--permutations", "199", "--model", str(POCKET))
    assert done.returncode == 0, done.stderr
    assert "normal images through the generator's autoencoder" in done.stdout
    lines = done.stdout.splitlines()
    assert "be distinguished from" in lines[0]
    assert "distinguished by" in done.stdout
    assert "Compared at" in lines[-1]


def test_as_json_and_another_model_is_not_taken_for_the_one_that_drew(filled, checkpoint):
    options = ("--steps", "2", "--size", "32", "--permutations", "199", "--model", str(checkpoint), "--json")
    done = run(filled, "probe", "xrays-balanced", *options)
    found = json.loads(done.stdout)
    assert found.keys() >= {"verdict", "fixes", "flagged", "p_value", "classes", "leans", "left_out", "settings"}
    assert all(0 <= each["area"]["low"] <= each["area"]["high"] <= 1 for each in found["classes"][0]["detectors"])
    assert "did not generate these images" in done.stderr
    assert (
        "real normal images through the generator's autoencoder: its model is not on this machine" in found["left_out"]
    )


def test_quality_says_a_sentence_a_class(filled):
    done = run(filled, "quality", "--steps", "10")
    assert done.returncode == 0, done.stderr
    assert "the synthetic images are" in done.stdout.splitlines()[0]
    assert "real to real" in done.stdout


def test_refused_weights_are_one_message(filled):
    (filled / "w.pth").write_bytes(b"pickle")
    done = run(filled, "quality", "--weights", "w.pth")
    assert done.returncode == 2
    assert "pickles are refused" in done.stderr
    assert "safetensors.torch.save_file" in done.stderr


def test_a_damaged_image_is_one_message(filled, tmp_path):
    out = Path(shutil.copytree(filled / "xrays-balanced", tmp_path / "out"))
    table = pd.read_parquet(out / "train" / "metadata.parquet")
    (out / "train" / table[table["is_synthetic"]]["file_name"].iloc[0]).write_bytes(b"broken")
    done = run(tmp_path, "probe", "out", "--steps", "2")
    assert done.returncode == 2
    assert "can be decoded" in done.stderr
