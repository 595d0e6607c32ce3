"""What Linux alone has, taken away by name: what is left must do, or say what it cannot."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from balancer import doctor, files, parallel, purge, trees
from balancer.adapt.machine import deaf_children
from balancer.cli import console
from balancer.state import HOLDER, LOCK, State, locked

ROOT = Path(__file__).parents[2]
FOR_UNIX_ALONE = ("fcntl", "termios", "pwd", "grp")  # psutil takes `resource` on Linux


def system(without=(), **changed):
    """The module `os` of another system."""
    return SimpleNamespace(**{k: v for k, v in vars(os).items() if k not in without} | changed)


def refuse_folders(path, flags):
    if Path(path).is_dir():
        raise PermissionError(f"Windows opens no folder: {path}")
    return os.open(path, flags)


WINDOWS = system(("sync", "sched_getaffinity"), name="nt", open=refuse_folders)


def test_the_lock_works_without_the_modules_of_unix(tmp_path):
    program = (
        f"import sys; sys.modules |= dict.fromkeys({FOR_UNIX_ALONE})\n"
        "from pathlib import Path\nimport balancer.cli, balancer.parallel, balancer.trees\n"
        "from balancer.errors import StateError\nfrom balancer.state import State, locked\n"
        "state = State(Path(sys.argv[1]))\n"
        "for _ in range(2):\n"
        "    with locked(state):\n"
        "        try:\n            locked(state).__enter__()\n"
        "        except StateError as error:\n            print(error.found)"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.count("is at work in it") == 2, done.stderr


def test_who_holds_the_lock_stands_beside_it(tmp_path):
    with locked(State(tmp_path)):
        assert (tmp_path / HOLDER).read_text() == str(os.getpid())
        assert {path.name for path in tmp_path.iterdir()} == {LOCK, HOLDER}


def test_doctor_looks_at_the_machine_where_affinity_is_unknown(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "processor cores" in doctor.check_device("cpu").found
    monkeypatch.setattr(doctor, "os", WINDOWS)
    assert doctor.check_state(State(tmp_path)).state == "warn"


def test_windows_syncs_files_and_leaves_folders(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "os", WINDOWS)
    (tmp_path / "file").write_text("text")
    files.sync_path(tmp_path)
    files.sync_path(tmp_path / "file")


@pytest.mark.parametrize("there_is", ["an old one", "none"])
def test_a_folder_is_published_where_the_system_exchanges_none(there_is, monkeypatch, tmp_path):
    for module in (files, trees):
        monkeypatch.setattr(module, "os", WINDOWS)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    out = tmp_path / "out"
    if there_is == "an old one":
        out.mkdir()
        (out / "old.png").write_text("old")
    (tmp_path / "new.png").write_text("new")
    staging = trees.open_staging(out)
    trees.copy(str(tmp_path / "new.png"), staging / "new.png", staging)
    trees.publish(out)
    assert {path.name for path in out.iterdir()} == {"new.png"}
    assert {path.name for path in tmp_path.iterdir()} == {"out", "new.png"}


def test_macos_has_neither_syncfs_nor_renameat2(monkeypatch, tmp_path):
    monkeypatch.setattr(trees, "ctypes", SimpleNamespace(CDLL=lambda *_, **__: object()))
    out = tmp_path / "out"
    out.mkdir()
    (trees.open_staging(out) / "new.png").write_text("new")
    trees.publish(out)
    assert [path.name for path in out.iterdir()] == ["new.png"]


def test_work_is_shared_by_threads_where_processes_cannot_be_forked(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(parallel.multiprocessing, "get_context", lambda kind: pytest.fail(f"{kind} is for Linux"))
    found = [pair for chunk in parallel.in_parallel(lambda some: [-n for n in some], range(1000)) for pair in chunk]
    assert sorted(found) == [(n, -n) for n in range(1000)]


def test_signals_that_are_not_there_are_not_asked_for(monkeypatch, capsys):
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    hook = sys.unraisablehook
    for name in ("SIGALRM", "setitimer", "pthread_sigmask"):
        monkeypatch.delattr(signal, name)
    try:
        with pytest.raises(SystemExit) as ended, deaf_children():
            console.run(lambda: print("done"))
    finally:
        sys.unraisablehook = hook
        for each, handler in before.items():
            signal.signal(each, handler)
    assert (ended.value.code, capsys.readouterr().out) == (0, "done\n")


def test_purge_leaves_the_lock_where_a_locked_file_cannot_be_removed(monkeypatch, tmp_path):
    state = State(tmp_path)
    (tmp_path / "cache").mkdir()
    (tmp_path / ".gitignore").write_text("*\n")
    monkeypatch.setattr(purge, "os", WINDOWS)
    with locked(state):
        purge.purge(state, purge.take_stock(state))
    assert {path.name for path in tmp_path.iterdir()} == {".gitignore", HOLDER, LOCK}


@pytest.mark.parametrize(
    ("limit", "used", "stat", "free"),
    [
        ("memory.max", "memory.current", "inactive_file 300", 700),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file 200", 600),
    ],
)
def test_free_memory_is_the_containers_where_it_has_a_limit(limit, used, stat, free, monkeypatch, tmp_path):
    (tmp_path / "memory").mkdir()
    containers = [(tmp_path / folder.relative_to("/sys/fs/cgroup"), *names) for folder, *names in parallel._CONTAINERS]
    monkeypatch.setattr(parallel, "_CONTAINERS", containers)
    machine = parallel.free_memory()
    assert machine > 1 << 20
    for name, text in ((limit, "1000"), (used, "600")):
        (tmp_path / name).write_text(text)
    ((tmp_path / limit).parent / "memory.stat").write_text(f"anon 1\n{stat}\n")
    assert parallel.free_memory() == free
    (tmp_path / limit).write_text("max")
    assert parallel.free_memory() > 1 << 20
