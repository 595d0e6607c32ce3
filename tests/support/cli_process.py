"""The command line as tests run it, stop it and kill it; and one hash for a tree. `tests/torture` kills at length."""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import psutil

ROOT = Path(__file__).parents[2]
POCKET = ROOT / "examples" / "pocket"
AT_CANDIDATE, NOTED_IN, FORGOTTEN = "TESTS_SIGNAL_AT_CANDIDATE", "TESTS_NOTED_IN", "TESTS_FORGOTTEN"
"""What the environment asks of tests/torture/forked.py."""
PATIENCE = 900
"""Seconds after which what does not end is ended: no claim about any machine's speed."""
_CAN_FORK = sys.platform == "linux"  # elsewhere a fork of a process that has imported so much may crash


def tree_hash(folder: Path) -> str:
    """One hash over the names and bytes of all files below a folder."""
    lines = (
        f"{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def balance(folder: Path, *arguments: str, at_candidate: int = 0, **changes: str) -> Process:
    """Start the command line in a folder, in a process group of its own; nobody is there to be asked anything.

    `at_candidate`: a signal that it sends to itself as its first candidate is set in place, however fast it is;
    SIGSTOP makes it wait there for SIGCONT. `changes` go into its environment.
    """
    changed = environment(**changes, **({AT_CANDIDATE: str(int(at_candidate))} if at_candidate else {}))
    if not _CAN_FORK:
        return cast(Process, _fresh(folder, arguments, subprocess.PIPE, subprocess.STDOUT, changed))
    ours, theirs = os.pipe()
    process = _server().start(folder, arguments, (theirs, theirs), changed)
    process.stdout = os.fdopen(ours, encoding="utf-8", errors="replace")
    return process


def finished(process: Process) -> str:
    """Wait for a command that must succeed; what it printed."""
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run a command to its end, which is no traceback: its exit code and what it printed."""
    process = balance(folder, *arguments)
    output, _ = process.communicate()
    assert "Traceback" not in output, output
    assert process.returncode is not None
    return process.returncode, output


def apart(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; what it printed for a program (stdout) and for people (stderr).

    `changes` go into its environment; FORGOTTEN is the name of a package that reads it when it is imported.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if _CAN_FORK:
            outputs = os.dup(out.fileno()), os.dup(err.fileno())
            code = _server().start(folder, arguments, outputs, environment(**changes)).wait()
        else:
            code = _fresh(folder, arguments, out, err, environment(**changes)).wait()
        out.seek(0)
        err.seek(0)
        done = subprocess.CompletedProcess(arguments, code, out.read().decode(), err.read().decode())
    assert "Traceback" not in done.stderr, done.stderr
    return done


def until(condition: Callable[[], object]) -> None:
    """Wait for something that comes soon on any machine; only what would never come is given up."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


def stopped(process: Process) -> None:
    """Wait until a command has been stopped by the SIGSTOP that `at_candidate` asked for."""
    until(lambda: process.poll() is not None or psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    assert process.returncode is None, process.communicate()[0]


def environment(**changes: str) -> dict[str, str]:
    """This process's, in which Python finds the packages under test; `changes` are other values."""
    places = filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), **changes}


def _fresh(
    folder: Path, arguments: tuple[str, ...], out: Any, err: Any, environment: dict[str, str]
) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from tests.torture.forked import main; main()", *arguments]
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, start_new_session=True, **streams)


class Process:
    """A command that the server has started; it can be asked what a `subprocess.Popen` can."""

    stdout: IO[str]

    def __init__(self, server: _Server, pid: int) -> None:
        self._server, self.pid = server, pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, minus the signal's number where one ended it; None while it runs, as far as was asked."""
        return self._server.ended.get(self.pid)

    def poll(self) -> int | None:
        """Whether it has ended, without waiting."""
        self._server.listen(self.pid, wait=False)
        return self.returncode

    def wait(self) -> int:
        """Wait for its end."""
        self._server.listen(self.pid, wait=True)
        return self._server.ended[self.pid]

    def communicate(self) -> tuple[str, None]:
        """Wait for its end; what it printed."""
        timer = threading.Timer(PATIENCE, os.kill, (self.pid, signal.SIGKILL))
        timer.start()
        with self.stdout:
            output = self.stdout.read()
        timer.cancel()
        self.wait()
        return output, None

    def send_signal(self, sign: int) -> None:
        """Signal it, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, sign)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class _Server:
    """A process that has imported everything and forks for each command, which so costs what it does and no more."""

    def __init__(self) -> None:
        self.ended: dict[int, int] = {}
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.torture.forked", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment(), pass_fds=[theirs.fileno()])
        atexit.register(self._close)

    def start(
        self, folder: Path, arguments: tuple[str, ...], outputs: tuple[int, int], environment: dict[str, str]
    ) -> Process:
        """Start a command with these stdout and stderr, which are closed here."""
        asked = {"folder": str(folder), "arguments": arguments, "environment": environment}
        socket.send_fds(self._line, [json.dumps(asked).encode()], outputs)
        for output in set(outputs):
            os.close(output)
        while not isinstance(answer := self._hear(), int):
            self.ended[answer[0]] = answer[1]
        return Process(self, answer)

    def listen(self, pid: int, *, wait: bool) -> None:
        """Hear which commands have ended; with `wait` until this one has."""
        while pid not in self.ended:
            try:
                self._line.setblocking(wait)
                ended, code = self._hear()
            except BlockingIOError:
                return
            finally:
                self._line.setblocking(True)
            self.ended[ended] = code

    def _hear(self) -> Any:
        if not (heard := self._line.recv(1 << 10)):
            raise RuntimeError("the server of commands has ended")
        return json.loads(heard)

    def _close(self) -> None:
        self._line.close()
        self._process.wait()


_server = functools.cache(_Server)
