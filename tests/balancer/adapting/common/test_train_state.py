import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer

from balancer.adapting.common import train_state
from balancer.errors import OutputError, StateError


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def stop_halfway() -> None:
        with train_state.whole_folder(tmp_path / "made") as folder:
            (folder / "half").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stop_halfway()
    assert not (tmp_path / "made").exists()
    with train_state.whole_folder(tmp_path / "made") as folder:
        (folder / "whole").write_text("whole")
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "whole"]


def test_the_newest_whole_state_is_loaded_and_older_ones_go(tmp_path: Path) -> None:
    for step in (9, 10):
        train_state.save_state(tmp_path, step, {"networks": {"w": torch.full((2,), step)}}, {"step": step})
    (tmp_path / "00000011.partial").mkdir()
    loaded = train_state.load_state(tmp_path)
    assert loaded is not None
    assert loaded[0]["networks"]["w"].tolist() == [10, 10]
    assert loaded[1] == {"step": 10}
    assert not (tmp_path / "00000009").exists()


def test_a_state_is_kept_without_pickle(tmp_path: Path) -> None:
    train_state.save_state(tmp_path, 1, {"networks": {"w": torch.zeros(2)}}, {"step": 1})
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".safetensors", ".json"}


def test_nothing_kept_is_nothing_loaded(tmp_path: Path) -> None:
    assert train_state.load_state(tmp_path / "none") is None


def test_weights_that_find_no_room_are_a_message(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys, torch; from pathlib import Path\n"
        "from balancer.adapting.common import train_state as checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "checkpoint.save_state(Path(sys.argv[1]), 1, {'networks': {'w': torch.zeros(9999)}}, {'step': 1})"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert done.stderr.strip().endswith(
        "next:   free some space, then run the same balance adapt again: it continues from here"
    )
    assert "balancer.errors.OutputError: needed: " in done.stderr
    assert train_state.load_state(tmp_path) is None


def test_what_tokenizers_says_of_a_full_disk_is_a_message(tmp_path: Path) -> None:
    vocabulary = ByteLevelBPETokenizer()
    with (
        pytest.raises(OutputError, match="it continues from here"),
        train_state.whole_folder(tmp_path / "mine") as folder,
    ):
        vocabulary.save(str(folder / "no" / "vocabulary.json"))
    with pytest.raises(ZeroDivisionError), train_state.whole_folder(tmp_path / "mine"):
        _ = 1 // 0
    assert not (tmp_path / "mine").exists()


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    root = tmp_path / "mine.training" / "states"
    train_state.save_state(root, 1, {"networks": {"w": torch.zeros(2)}}, {"step": 1})
    (root / "00000001" / "networks.safetensors").write_bytes(b"garbage")
    with pytest.raises(StateError, match=r"delete the folder mine\.training"):
        train_state.load_state(root)
