"""Two commands that write to one state folder: the second is refused with the first one's process id."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from balancer.cli.app import app
from balancer.errors import BalanceError, StateError
from balancer.store.state_dir import locked_near
from tests.support.cli_process import balance, finished

WRITING = {
    "scan": ("scan", "xrays"),
    "split": ("split", "--folds", "2"),
    "adapt": ("adapt", "--from-scratch", "--device", "tpu"),
    "adapt --base": ("adapt", "--base", "nowhere"),
    "fill": ("fill", "--target", "20"),
    "merge": ("merge",),
    "unmerge": ("unmerge", "xrays-balanced"),
    "compare": ("compare", "--quick"),
    "export": ("export", "--hub-folder", "hub"),
    "labels": ("labels", "--steps", "1", "--size", "16"),
    "purge": ("purge", "--yes"),
    "screen": ("screen", "xrays"),
    "report": ("report",),
    "prompts --sample": ("prompts", "--sample", "--model", "nowhere"),
}
READING = {"presets", "status", "power", "prompts", "verify", "explain", "doctor", "fetch"}
KEEPING = {"probe", "quality"}  # print their result all the same, and say that it was not kept
ELSEWHERE = {"demo"}  # works in a folder of its own
ANSWERING = {"review"}  # takes the lock for each answer: tests/analysis/review/test_verdicts.py


@pytest.fixture
def work(tmp_path, xrays, monkeypatch):
    finished(balance(tmp_path, "scan", "xrays", "--patient", r"(p\d+)-"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start_holding(folder):
    """Another process that holds the lock until its input ends."""
    program = (
        "import sys; from pathlib import Path; from balancer.store.state_dir import State, locked\n"
        "with locked(State(Path('.balance'))): print(flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    holder = subprocess.Popen([sys.executable, "-c", program], cwd=folder, env=environment, **pipes)
    holder.stdout.readline()
    return holder


def test_every_command_is_known_to_write_or_not():
    commands = {str(command.callback.__name__) for command in app.registered_commands}
    assert commands == {each.partition(" ")[0] for each in WRITING} | READING | KEEPING | ELSEWHERE | ANSWERING


@pytest.mark.parametrize("arguments", WRITING.values(), ids=list(WRITING))
def test_the_second_of_two_is_refused_with_the_firsts_process_id(work, arguments):
    first = start_holding(work)
    before = sorted(work.rglob("*"))
    refused = CliRunner().invoke(app, arguments).exception
    assert isinstance(refused, StateError), refused
    assert refused.found == f"process {first.pid} is using it"
    assert f"kill {first.pid}" in refused.next_step
    assert sorted(work.rglob("*")) == before
    first.kill()  # its lock is no lock any more
    first.communicate()
    assert (work / ".balance" / "lock.holder").read_text() == str(first.pid)
    after = CliRunner().invoke(app, arguments).exception
    assert after is None or not isinstance(after, BalanceError) or "is using" not in after.found
    assert not (work / ".balance").exists() or (work / ".balance" / "lock.holder").read_text() == str(os.getpid())


def second(folder):
    """Another process that asks for the lock: what it says."""
    program = (
        "from pathlib import Path; from balancer.store.state_dir import locked_near\nwith locked_near(Path()): pass"
    )
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stderr


def test_the_nearest_state_folder_is_locked_and_none_is_made(work, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with locked_near(elsewhere, work / "xrays"):
        assert f"process {os.getpid()} is using" in second(work)
    assert second(work) == ""
    with locked_near(elsewhere):
        assert list(elsewhere.iterdir()) == []


def test_a_block_within_a_block_holds_the_same_lock(work):
    with locked_near(work):
        with locked_near(work / "xrays"):
            pass
        assert f"process {os.getpid()} is using" in second(work)
    assert second(work) == ""


def test_a_result_that_cannot_be_kept_is_said(work, capsys):
    from balancer.cli.console import ConsoleProgress
    from balancer.dataset.metadata_files import MANIFEST
    from balancer.workspace.reports import PROBE, keep_measured
    from balancer.workspace.workspace import Workspace

    folder = work / "xrays-balanced"
    folder.mkdir()
    (folder / MANIFEST).write_text("{}")
    holder = start_holding(work)
    keep_measured(Workspace.open(work), PROBE, {"found": 1}, folder, ConsoleProgress())
    assert f"Not kept for the report: process {holder.pid} is using it" in capsys.readouterr().err
    assert not (work / ".balance" / "reports" / "probe.json").exists()
    holder.communicate()
    keep_measured(Workspace.open(work), PROBE, {"found": 1}, folder, ConsoleProgress())
    assert (work / ".balance" / "reports" / "probe.json").exists()
