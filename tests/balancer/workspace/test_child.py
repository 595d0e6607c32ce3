"""A run in a process of its own: its messages, progress, result and errors are those of the function."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from balancer.errors import GenerationError, PlanError
from balancer.progress import SILENT
from balancer.workspace.child import run_in_child
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import FillSettings, ScanSettings
from balancer.workspace.workspace import Workspace
from tests.support.tiny_models import write_xrays


class Listener:
    """Hears everything."""

    def __init__(self):
        self.messages, self.tasks = [], {}

    def message(self, text):
        self.messages.append(text)

    def start(self, what, done=0):
        return lambda done, total, made=None, note="": self.tasks.update({what: (done, total)})


class Killer(Listener):
    """Kills the child process as it has kept its first images."""

    def start(self, what, done=0):
        return lambda done, total, made=None, note="": kill_child() if what == "Generating" and done else None


def kill_child():
    (child,) = [each for each in psutil.Process().children() if "balancer.workspace.child" in str(each.cmdline())]
    os.kill(child.pid, signal.SIGKILL)


@pytest.fixture
def workspace(tmp_path):
    write_xrays(tmp_path / "xrays", {"NORMAL": 12, "NODULE": 6})
    found = Workspace.open(tmp_path)
    scan(found, ScanSettings(tmp_path / "xrays", patient=r"(p\d+)-"))
    return found


def settings(**changes):
    return FillSettings(**{"target": "max", "model": "noise:4", "batch_size": "2", "no_screen": True, **changes})


def test_its_errors_are_raised_here(workspace):
    with pytest.raises(PlanError, match="a class of the collection") as caught:
        run_in_child(workspace, "fill", settings(target="OTHER=4"), SILENT)
    assert caught.value.next_step


def test_one_that_is_killed_is_told_and_goes_on_where_it_was(workspace):
    """It is killed as soon as an image is kept; what it makes and says is then that of the function."""
    kept = workspace.state.candidates
    with pytest.raises(GenerationError, match=f"exit code -{signal.SIGKILL.value}"):
        run_in_child(workspace, "fill", settings(target="NODULE=1000"), Killer())
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.png")}
    assert before
    heard = Listener()
    found = run_in_child(workspace, "fill", settings(), heard)
    assert (found["accepted"], Path(found["folder"]).is_dir()) == ({"NODULE": 6}, True)
    assert {path: path.stat().st_mtime_ns for path in before if path.exists()} == before
    assert any("32 x 32 px" in text for text in heard.messages), heard.messages
    with workspace.session(write=False) as session:
        assert session.balanced_folder() == Path(found["folder"])
