"""Teaching a generator images of several findings: captions of label sets, balance by finding, cards that name them."""

import csv
import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from balancer import AdaptSettings, adapt
from balancer.adapting.lora.data import TrainingData
from balancer.adapting.lora.train import train_lora
from balancer.adapting.scratch.train import train_from_scratch
from balancer.collection.label_sets import UNCLEAR
from balancer.collection.scan import samples, with_hashes
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.progress import SILENT
from balancer.workspace.learning_material import caption_packs, findings_of_sets, learnable
from tests.balancer.adapting.lora.test_train import QUICK
from tests.balancer.adapting.scratch.test_train import TINY
from tests.balancer.workspace.test_findings_fill import FINDINGS, collection


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    workspace = collection(tmp_path_factory.mktemp("material"))
    with workspace.session(write=False, several=True) as session:
        paths = learnable(session, ("train",), SILENT)
        found = with_hashes(session.collection, paths)
        learned = samples(found.images.loc[paths])
        packs = caption_packs(session, None, learned, SILENT)
        return found.root, learned, packs, findings_of_sets(found, learned)


def check_card(folder, learned):
    card = json.loads((folder / "card.json").read_text())
    assert card["left_out"] == ["consolidation"]  # one image: only a copy could be learned
    learned = [each for each in learned if "consolidation" not in each.label]
    counts = {name: sum(name in each.label.split("|") for each in learned) for name in (*FINDINGS, "normal")}
    assert card["classes"] == {name: count for name, count in counts.items() if count}
    assert (card["images"], sum(card["label_sets"].values())) == (len(learned), len(learned))
    assert f"your {len(learned)} " in card["statement"]
    page = (folder / "README.md").read_text()
    assert "| finding | training images |" in page
    assert f"| nodule | {counts['nodule']} |" in page


def test_from_scratch_learns_label_sets_and_names_findings(material, tmp_path):
    root, learned, packs, sets = material
    folder = train_from_scratch(learned, root, packs, TINY, tmp_path / "small", "ab" * 32, findings=sets)
    check_card(folder, learned)
    again = train_from_scratch(learned, root, packs, TINY, tmp_path / "small", "ab" * 32, findings=sets)
    assert again == folder


@pytest.mark.slow
def test_a_base_is_adapted_to_label_sets(material, checkpoint, tmp_path):
    root, learned, packs, sets = material
    data = TrainingData(learned, learned[::3], root, packs, "ab" * 32, {}, sets)
    folder = train_lora(data, find_checkpoint(str(checkpoint)), QUICK, tmp_path / "mine")
    check_card(folder, learned)
    judged = json.loads((folder / "card.json").read_text())["looks"][0]["classes"]
    assert judged.keys() <= {*FINDINGS, "normal"}


def test_the_caption_of_an_image_lists_its_findings(material):
    from balancer.adapting.scratch.captions import draw_captions

    _, _, packs, _ = material
    told = draw_captions(packs, ["nodule|pleural_effusion"], 0, TINY)[0]
    assert "lesion of the lung and layering pleural fluid" in told


def test_an_image_that_is_not_clear_is_not_learned_from(tmp_path):
    from balancer import ScanSettings, Workspace, scan
    from tests.support.tiny_models import write_xrays

    write_xrays(tmp_path / "x", {"a": 12}, size=(16, 16))
    names = sorted(path.name for path in (tmp_path / "x" / "a").iterdir())
    marks = ["1.0,0.0", "1.0,1.0", "-1.0,0.0"] * 4
    rows = [f"a/{name},{each}" for name, each in zip(names, marks, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["image,Mass,Edema", *rows]) + "\n")
    table, finding = str(tmp_path / "t.csv"), "Mass,Edema"
    scan(
        Workspace.open(tmp_path),
        ScanSettings(tmp_path / "x", labels=(table,), columns=("file=image",), labels_in_columns=finding),
    )
    said = []
    progress = type("Said", (), {"message": staticmethod(said.append)})()
    with Workspace.open(tmp_path).session(write=False, several=True) as session:
        everything = session.split.paths("train", "holdout", "val", "test")
        unclear = session.collection.images.loc[everything, "label"] == UNCLEAR
        paths = learnable(session, ("train", "holdout", "val", "test"), progress)
    assert (unclear.sum(), len(paths)) == (4, 8)
    assert said == ["Note: not learned from: 4 images without a certain finding, which no caption can describe."]


@pytest.mark.slow
def test_the_command_trains_from_scratch_and_fill_draws_with_it(tmp_path):
    from balancer import FillSettings, NoScreen, fill

    workspace = collection(tmp_path)
    found = adapt(workspace, AdaptSettings(from_scratch=True, size=16, steps=4, device="cpu"))
    digest = hashlib.sha256((found.folder / "card.json").read_bytes()).hexdigest()
    assert adapt(workspace, AdaptSettings(from_scratch=True, size=16, steps=4, device="cpu")).was_there
    assert hashlib.sha256((found.folder / "card.json").read_bytes()).hexdigest() == digest
    usual = {"max_ratio": 20, "steps": 2, "mode": "mix", "strength": "0.9"}
    made = fill(workspace, FillSettings(target=("nodule=12",), **usual), screen=NoScreen("a test"))
    assert sum(made.merged.synthetic.values()) == made.planned.wanted > 0
    with (made.merged.folder / "provenance.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["mode"], row["wanted_finding"]) for row in rows} == {("mix", "nodule")}
    table = pq.read_table(made.merged.training / "metadata.parquet").to_pylist()
    real = {row["file_name"].rpartition("/")[2]: row for row in table if not row["is_synthetic"]}
    assert all(real[Path(row["source_path"]).name]["nodule"] == 0 for row in rows)
