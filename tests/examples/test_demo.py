"""The demo works in a folder of its own, goes on where it was stopped, and ends in a verdict."""

import json
import signal

import pytest

from balancer.errors import CollectionError, OutputError
from balancer.workspace.judging_settings import DemoSettings
from balancer.workspace.workspace import Workspace
from examples import demo as module
from examples.demo import POCKET, README, SPLITS, demo
from examples.picture import draw
from tests.support.cli_process import balance, finished, run, tree_hash, until


@pytest.fixture
def small(monkeypatch):
    """The same demo on fewer images."""
    fewer = {split: (first, dict.fromkeys(counts, 2)) for split, (first, counts) in SPLITS.items()}
    monkeypatch.setattr(module, "SPLITS", fewer)


def test_the_checkpoint_lies_beside_it():
    assert (POCKET / "model_index.json").is_file()


def test_it_draws_a_collection_and_scans_it_beside_a_users_own_state(tmp_path, small):
    (tmp_path / ".balance").mkdir()
    steps = demo(DemoSettings(tmp_path / "demo"))
    assert set(next(steps).imbalance.counts.values()) == {2}
    with pytest.raises(CollectionError, match="none yet"), Workspace.open(tmp_path).session(write=False):
        pass
    assert (tmp_path / "demo" / ".balance" / "ledger.sqlite").is_file()
    before = tree_hash(tmp_path / "demo" / "xrays")
    assert next(demo(DemoSettings(tmp_path / "demo"))).imbalance.ratio == 1
    assert tree_hash(tmp_path / "demo" / "xrays") == before


def test_what_was_half_drawn_is_drawn_again(tmp_path, small):
    (tmp_path / README).write_text(module._SAYS.format("balance demo"))
    (tmp_path / "xrays" / ".train-drawing" / "nodule").mkdir(parents=True)
    (tmp_path / "xrays" / ".train-drawing" / "nodule" / "half.png").touch()
    assert set(next(demo(DemoSettings(tmp_path))).imbalance.counts.values()) == {2}
    assert not list(tmp_path.rglob("*half.png"))


def test_a_folder_of_the_other_demo_is_refused(tmp_path, small):
    next(demo(DemoSettings(tmp_path / "demo")))
    with pytest.raises(OutputError, match="something else"):
        demo(DemoSettings(tmp_path / "demo", bad=True))


@pytest.mark.slow
def test_stopped_and_started_again_it_ends_in_a_verdict_and_a_report(tmp_path):
    first = balance(tmp_path, "demo")
    until(lambda: list(tmp_path.glob("demo/xrays-balanced/train/consolidation/syn-*")) or first.poll() is not None)
    first.send_signal(signal.SIGINT)
    said = first.communicate()[0]
    assert first.returncode == 130
    assert "run again: balance demo" in said
    code, output = run(tmp_path, "demo")
    assert code == 0
    assert "$ balance scan xrays --patient '(p\\d+)'" in output
    assert "difference" in output
    assert output.rstrip().endswith("To see the other answer: balance demo --bad")
    assert (tmp_path / "demo" / ".balance" / "reports" / "report.html").is_file()
    assert str(tmp_path) not in output
    figure = draw(tmp_path / "demo")
    assert figure.get_suptitle().replace("\n", " ") in output
    assert figure.subfigs[0].axes[0].get_title() == "Training images: 16 to 1, then 1.6 to 1"


@pytest.mark.slow
def test_the_other_answer_as_json(tmp_path):
    found = json.loads(finished(balance(tmp_path, "demo", "other", "--bad", "--json", "--quiet")))
    assert list(found) == ["scan", "merge", "compare", "report"]
    assert found["merge"]["synthetic"]["consolidation"] == 50
    assert (tmp_path / found["report"]).is_file()
