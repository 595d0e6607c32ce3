import os
import subprocess
import sys
from pathlib import Path

import pytest

from balancer.cli.console import for_errand, from_here, on_errand, shown
from tests.support.cli_process import PATIENCE

PROGRAM = """
import os, signal, time
from balancer.cli.console import run

class Deaf:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

def app():
    one = Deaf()
    del one
    while True:
        time.sleep(0.1)

run(app)
"""

MAKING = """
import os, signal
from balancer.cli.console import run

class Named:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass

def app():
    try:
        class Owner:
            named = Named()
    except Exception as error:
        raise ImportError("a library could not be imported") from error

run(app)
"""


@pytest.mark.parametrize("program", [PROGRAM, MAKING], ids=["in a destructor", "made another error by a library"])
def test_a_stop_is_neither_lost_nor_a_traceback(program):
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 130, done.stderr
    assert "run again" in done.stderr
    assert "Traceback" not in done.stderr


ERRING = """
import signal, os, sys
from balancer.cli.console import run, message
from balancer.errors import PlanError

def app():
    message("here: " + os.getcwd())
    if sys.argv[1] == "stop":
        os.kill(os.getpid(), signal.SIGINT)
    raise PlanError(needed="this", found="that", next_step="balance fill --target 5")

run(app)
"""


def on_its_way(monkeypatch, *words, cwd=None):
    monkeypatch.setattr(sys, "argv", ["balance", "compare", "--cross-fit", "2"])
    run = subprocess.run([sys.executable, "-c", ERRING, *words], env=for_errand(), cwd=cwd, text=True, **CAUGHT)
    return run.returncode, run.stderr


CAUGHT = {"capture_output": True, "check": False, "timeout": PATIENCE}


def test_a_command_on_an_errand_names_no_command_as_the_next_step(monkeypatch, tmp_path):
    code, said = on_its_way(monkeypatch, "fail", cwd=tmp_path)
    assert code == 2
    assert said.splitlines()[1:] == [
        "the command failed",
        "needed: this",
        "found:  that",
        "advice: balance fill --target 5",
    ]


def test_a_command_on_an_errand_leaves_it_to_the_sender_to_say_how_to_go_on(monkeypatch):
    code, said = on_its_way(monkeypatch, "stop")
    assert (code, "go on" in said, "again" in said) == (130, False, False)


def test_paths_are_told_from_where_the_user_is(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    environment = for_errand()
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    assert shown(Path("x.png")) == "x.png"
    for name in environment.keys() - os.environ.keys():
        monkeypatch.setenv(name, environment[name])
    assert shown(Path("x.png")) == "inside/x.png"
    assert from_here(f"in {tmp_path / 'inside' / 'x.png'}") == "in inside/x.png"
    assert on_errand()


@pytest.mark.parametrize("outer", ["", "balance compare --redraw 5"])
def test_an_errand_names_what_the_user_typed(monkeypatch, outer):
    monkeypatch.setattr(sys, "argv", ["balance", "fill"])
    if outer:
        monkeypatch.setenv("BALANCE_ERRAND", outer)
    assert for_errand()["BALANCE_ERRAND"] == (outer or "balance fill")
