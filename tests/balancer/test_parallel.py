import io
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from joblib.externals.loky.backend import context

from balancer.errors import OutOfMemory
from balancer.parallel import cores, deaf_children, in_parallel
from tests.support.cli_process import until

ROOT = Path(__file__).parents[2]


GROUPS = {
    "no container": ({}, 8),
    "cgroup 2": ({"/sys/fs/cgroup/cpu.max": "150000 100000"}, 2),
    "cgroup 2 without a quota": ({"/sys/fs/cgroup/cpu.max": "max 100000"}, 8),
    "cgroup 1": (
        {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
        3,
    ),
    "cgroup 1 without a quota": (
        {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
        8,
    ),
}


@pytest.mark.parametrize(("files", "wanted"), GROUPS.values(), ids=list(GROUPS))
def test_no_more_cores_than_the_container_may_use(files, wanted, monkeypatch):
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: path in files or ("cgroup" not in str(path) and exists(path)))
    monkeypatch.setattr(context, "open", lambda path: io.StringIO(files[path]), raising=False)
    assert cores() == wanted


def test_where_there_is_no_affinity_all_cores_may_be_used(monkeypatch):
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setitem(sys.modules, "psutil", None)  # it knows of affinity too, and may not be there
    monkeypatch.setattr(sys, "platform", "darwin")
    assert 1 <= cores() <= os.cpu_count()


def squares(numbers):
    return [number * number for number in numbers]


@pytest.mark.parametrize("count", [0, 1, 255, 1000])
def test_every_item_comes_back_with_its_result(count):
    pairs = [pair for chunk in in_parallel(squares, range(count)) for pair in chunk]
    assert sorted(pairs) == [(number, number * number) for number in range(count)]


def test_a_worker_that_is_ended_is_a_message():
    """In a process of its own: beside other threads, work is done in threads, and would end the tests."""
    program = (
        "import os, signal\nfrom balancer import parallel\nfrom balancer.errors import StateError\n"
        "parallel.cores, in_parallel = lambda: 2, parallel.in_parallel\n"
        "try:\n    list(in_parallel(lambda numbers: os.kill(os.getpid(), signal.SIGKILL), range(1000)))\n"
        "except StateError as error:\n    print(error.found)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert "one of them was killed" in done.stdout, done.stderr


def test_no_worker_outlives_a_killed_parent(tmp_path):
    program = (
        "import os, sys, time\nfrom pathlib import Path\nfrom balancer import parallel\n"
        "parallel.cores, in_parallel = lambda: 2, parallel.in_parallel\n"
        "def work(numbers):\n"
        "    Path(sys.argv[1], str(os.getpid())).touch(); time.sleep(0.1); return [bytes(100_000)] * len(numbers)\n"
        "for _ in in_parallel(work, range(100_000)): time.sleep(0.05)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT)
    until(lambda: len(list(tmp_path.iterdir())) >= 2)
    parent.kill()
    parent.wait()
    until(lambda: not any(_lives(int(path.name)) for path in tmp_path.iterdir()))


def _lives(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_children_do_not_hear_ctrl_c_and_this_process_does():
    program = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    command = [sys.executable, "-c", program]
    with deaf_children():
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


STARTS = {
    "to read": "list(in_parallel(str, range(1000)))",
    "to train": "parallel.Workers(2, print, print)._start()",
}


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no such masks")
@pytest.mark.parametrize("start", STARTS.values(), ids=list(STARTS))
def test_ctrl_c_while_workers_start_is_heard(start):
    """A signal comes while the first worker starts: it is not lost."""
    program = f"""
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins without it
from multiprocessing.process import BaseProcess
from balancer import parallel
from balancer.parallel import in_parallel

started = BaseProcess.start
parallel.cores = lambda: 2

def start(self):
    os.kill(os.getpid(), signal.SIGINT)
    started(self)

BaseProcess.start = start
if __name__ == "__main__":
    try:
        {start}
    except KeyboardInterrupt:
        print("heard")
    else:
        print("lost")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "heard\n", ended.stderr


def test_an_error_of_ours_comes_whole_from_another_process():
    error = pickle.loads(pickle.dumps(OutOfMemory(needed="a", found="b", next_step="c")))
    assert (type(error), str(error)) == (OutOfMemory, "needed: a\nfound:  b\nnext:   c")
