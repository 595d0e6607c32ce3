import json
from pathlib import Path

from balancer.adapting.common.model_card import write_card
from balancer.adapting.common.training_classes import class_counts
from balancer.adapting.scratch import model_card
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.collection.scan import Sample

SAMPLES = [
    Sample("a/1.png", "a", "p1", "11"),
    Sample("b/<b>.png", "<b>|x", None, "22"),
    Sample("a/2.png", "a", None, "33"),
]


def test_the_statement_counts_images_and_pixels() -> None:
    said = model_card.statement(class_counts(SAMPLES), size=64, factor=4)
    assert said.startswith("Trained only on your 3 images (1 of <b>|x, 2 of a). ")
    assert "smaller than 4 px cannot" in said


def test_the_statement_is_in_pixels_of_larger_originals() -> None:
    said = model_card.statement({"a": 1}, size=64, factor=4, reduction=3.5)
    assert "smaller than 14 px of your originals (4 px of its 64 x 64 images)" in said


def test_card_and_page_are_written_and_the_page_escapes(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "w.safetensors").write_bytes(b"")
    training = {"autoencoder": {"steps": 1, "seconds": 60.0, "loss": 1.0}}
    made = model_card.make_card(SAMPLES, ScratchSettings(), 1.0, "cpu", training, tmp_path, {})
    write_card(tmp_path, made, model_card.page(made))
    read = json.loads((tmp_path / "card.json").read_text())
    assert read["training_files"] == {"a/1.png": "11", "b/<b>.png": "22", "a/2.png": "33"}
    assert read["weights_sha256"]["unet/w.safetensors"].startswith("e3b0c442")
    page = (tmp_path / "README.md").read_text()
    assert "| &lt;b&gt;&#124;x | 1 |" in page
    assert "1 minutes on cpu" in page
