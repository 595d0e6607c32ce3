import subprocess
import sys

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
    time.sleep(20)

run(app)
"""


def test_a_stop_that_falls_into_a_destructor_is_neither_lost_nor_a_traceback():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=15)
    assert done.returncode == 130, done.stderr
    assert "To go on, run again" in done.stderr
    assert "Traceback" not in done.stderr
