"""`fill` with modes from end to end: interrupted or not, recorded, marked and loaded."""

import json
import shutil

import pandas as pd
import pytest

from balancer.dataset.xmp import read_provenance
from tests.support.cli_process import balance, finished, tree_hash

FILL = (
    "fill",
    "--target",
    "NODULE=14",
    "--steps",
    "3",
    "--batch-size",
    "4",
    "--no-screen",
    "--mode",
    "text=1,mix=3",
    "--harmonise",
)


@pytest.fixture
def work(scanned):
    return scanned


def test_a_mix_is_recorded_marked_loaded_and_resumed(work, checkpoint):
    fill = (*FILL, "--model", str(checkpoint))
    finished(balance(work, *fill))
    out = work / "xrays-balanced"
    finished(balance(work, "verify", "xrays-balanced"))
    table = pd.read_parquet(out / "train" / "metadata.parquet")
    made = table[table["is_synthetic"]].set_index("file_name")
    mixed = made[made["mode"] == "mix"]
    assert 0 < len(mixed) < len(made) == 10
    assert made["reference"].str.startswith("NODULE/").all()
    assert not mixed["source"].str.startswith("NODULE/").any()
    assert (mixed["patient"] == mixed["source"].str.extract(r"(p\d+)-")[0]).all()
    said = read_provenance(out / "train" / mixed.index[0])
    assert said["digital_source_type"] == "compositeWithTrainedAlgorithmicMedia"
    plain = made.index[made["mode"] == "text"][0]
    assert read_provenance(out / "train" / plain)["digital_source_type"] == "trainedAlgorithmicMedia"
    told = finished(balance(work, "explain", str(out / "train" / mixed.index[0])))
    assert all(name in told for name in ("source_path", "source_patient", "strength", "reference_path"))
    from torchvision.datasets import ImageFolder

    assert ImageFolder(out / "train").classes == ["EFFUSION", "NODULE", "NORMAL"]
    whole = tree_hash(out)
    for path in sorted((work / ".balance" / "candidates").iterdir())[::3]:
        path.unlink()  # what a run that was stopped has not made yet
    shutil.rmtree(out)
    finished(balance(work, *fill))
    assert tree_hash(out) == whole


@pytest.mark.slow
def test_an_edit_of_another_class_is_guided_further_where_the_solver_adds_noise(work, checkpoint):
    stochastic = shutil.copytree(checkpoint, work / "stochastic")
    schedule = stochastic / "scheduler" / "scheduler_config.json"
    schedule.write_text(json.dumps({**json.loads(schedule.read_text()), "algorithm_type": "sde-dpmsolver++"}))
    fill = (*FILL, "--model", "stochastic")
    assert "guidance 1 for text, 2 for mix" in finished(balance(work, *fill))
    drawn = pd.read_csv(work / "xrays-balanced" / "provenance.csv")
    assert drawn.groupby("mode")["guidance_scale"].unique().map(list).to_dict() == {"mix": [2.0], "text": [1.0]}
    finished(balance(work, "report"))
    page = (work / ".balance" / "reports" / "report.html").read_text("utf-8")
    asked = "--target NODULE=14 --mode text=1,mix=3 --steps 3 --batch-size 4 --model stochastic --no-screen"
    assert f"balance fill {asked}" in page
    assert "were edited from real training images of another class, at strength" in page
    finished(balance(work, *fill, "--out", "later"))
    finished(balance(work, "report", "xrays-balanced", "--out", "page.html"))
    assert "--mode" not in (work / "page.html").read_text("utf-8")  # another fill than the last made it
    said = finished(balance(work, *fill, "--guidance", "4", "--dry-run"))
    assert "guidance 4, on cpu" in said
    assert "guidance 3, on cpu" in finished(balance(work, *FILL, "--model", str(checkpoint), "--dry-run"))
