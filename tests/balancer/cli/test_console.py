import subprocess
import sys
from pathlib import Path

import pytest

from balancer.cli.console import from_here, shown
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


def test_paths_are_told_from_where_the_user_is(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert shown(Path("inside") / "x.png") == "inside/x.png"
    assert from_here(f"in {tmp_path / 'inside' / 'x.png'}") == "in inside/x.png"
