"""The curves of trainings: what is beside a model is drawn, said, and no more than that."""

import json
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

from analysis.report.page import SECTIONS
from analysis.report.training_curves import trainings_of
from balancer.adapting.common.loss_table import LossTable
from tests.support.report_fixtures import facts_with


def model(folder: Path, phase: str = "adapter", steps: int = 60) -> Path:
    folder.mkdir(parents=True)
    table = LossTable(folder / "losses.csv")
    for step in range(steps + 1):
        if step:
            table.log(phase, step, {"loss": 1.0, "batch loss": 1 / step})
        if step % 30 == 0:
            table.log(phase, step, {"generator holdout loss": 2 + step / 100})
    (folder / "card.json").write_text(json.dumps({"statement": "x", "kept": {"step": 30, "holdout_loss": 2.3}}))
    return folder


def page_of(trainings) -> str:
    (section,) = [each for each in SECTIONS if each.name == "training"]
    return str(section.html(facts_with(("A", "B"), None, trainings=trainings)))


def test_training_and_holdout_loss_are_drawn_and_said_with_the_kept_step(tmp_path):
    found, faults = trainings_of(
        [model(tmp_path / "adapters" / "<b>")], SimpleNamespace(folder=tmp_path), private=False
    )
    assert faults == []
    (training,) = found
    assert len(training.phases["adapter"]) == 20
    assert training.holdout == [(0, 2.0), (30, 2.3), (60, 2.6)]
    page = page_of(found)
    assert page.count("<svg") == 1
    assert "&lt;b&gt;: loss of the adapter by step" in page
    assert "generator holdout loss: 0 to 2.000, 30 to 2.300, 60 to 2.600; kept: step 30</desc>" in page


def test_without_a_holdout_there_is_one_line_and_without_losses_a_command(tmp_path):
    folder = model(tmp_path / "scratch", "denoiser")
    (folder / "losses.csv").write_text("phase,step,loss,batch loss\nautoencoder,1,1,1\ndenoiser,1,1,1\n")
    found, _ = trainings_of([folder, tmp_path / "gone"], SimpleNamespace(folder=tmp_path), private=False)
    assert [*found[0].phases] == ["autoencoder", "denoiser"]
    assert "generator holdout loss:" not in page_of(found)
    assert "<code>balance adapt --base FOLDER</code>" in page_of(())


def test_the_samples_of_the_kept_step_are_shown_with_their_prompts(tmp_path):
    folder = model(tmp_path / "mine")
    (folder / "samples").mkdir()
    Image.new("L", (260, 200)).save(folder / "samples" / "000030.png")
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(
        json.dumps({**card, "settings": {"validation_prompts": ["a <b> nodule"], "rank": 2}})
    )
    found, _ = trainings_of([folder], SimpleNamespace(folder=tmp_path), private=False)
    page = page_of(found)
    assert 'src="data:image/jpeg;base64,' in page
    assert 'alt="Samples of mine at step 30, a row for each class and each prompt"' in page
    assert "<bdi>a &lt;b&gt; nodule</bdi>" in page
    assert "data:image" not in page_of(trainings_of([folder], SimpleNamespace(folder=tmp_path), private=True)[0])


def test_a_damaged_table_is_a_warning(tmp_path):
    for place, content in enumerate(("", "a,b\n1,2\n", "phase,step,batch loss\nadapter,x,1\n", "phase,step\n\xff,\0")):
        folder = model(tmp_path / f"adapters{place}" / "mine")
        (folder / "losses.csv").write_text(content)
        found, faults = trainings_of([folder], SimpleNamespace(folder=tmp_path / ".balance"), private=False)
        assert content == "" or (found, len(faults)) == ([], 1)
