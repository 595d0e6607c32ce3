"""A library function in a process of its own: settings go in as JSON, messages, progress and the result come back.

Networks of one fold leave no memory behind for the next, and a fold runs as an `adapt` or a `fill` by itself would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from balancer import errors
from balancer.devices import GPUS
from balancer.errors import BalanceError, GenerationError, lacks_memory
from balancer.files import private_umask
from balancer.interrupt import INTERRUPTED, Stopped, listen, was_stopped
from balancer.offline import quieten_libraries, stay_offline
from balancer.progress import Progress, Task
from balancer.settings import Settings
from balancer.workspace.settings import AdaptSettings, FillSettings
from balancer.workspace.workspace import Workspace

_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from balancer.workspace.child import main; main()"
_PATIENCE = 5.0  # seconds
_PAUSE = 0.1  # seconds between two reports of where a task stands


def _adapt(workspace: Workspace, settings: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    from balancer.workspace.adapt_run import adapt
    from balancer.workspace.screens import monitor_for

    asked = AdaptSettings.from_json(settings)
    return adapt(workspace, asked, monitor=monitor_for(asked), progress=progress).to_json()


def _fill(workspace: Workspace, settings: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    from balancer.workspace.fill_run import fill
    from balancer.workspace.screens import screen_for

    asked = FillSettings.from_json(settings)
    return fill(workspace, asked, screen=screen_for(workspace, asked), progress=progress).to_json()


RUNS: Mapping[str, Callable[[Workspace, Mapping[str, Any], Progress], dict[str, Any]]] = {
    "adapt": _adapt,
    "fill": _fill,
}
"""What can be run: `balancer.adapt` and `balancer.fill`, with the monitor and the screen of an installed package."""


def run_in_child(
    workspace: Workspace, command: str, settings: Settings, progress: Progress, gpu: str | None = None
) -> dict[str, Any]:
    """Run `adapt` or `fill` in a process of its own, which sees the one `gpu` that is named; its result as JSON.

    Whoever stops this process stops that one too; what it was doing goes on where it was when it is asked again.

    Raises:
        BalanceError: as the function raised it there; so are an OSError, as of a full disk, and a MemoryError.
        GenerationError: the process ended without a result.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, json.dumps([*map(str, sys.path)])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=None if gpu is None else {**os.environ, GPUS: gpu},
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # it ended at once: its exit code says more
            process.stdin.write(
                json.dumps({"home": str(workspace.home), "command": command, "settings": settings.to_json()})
            )
            process.stdin.close()
        found = _heard(process.stdout, progress)
        code = process.wait()
    finally:
        _end(process)
    if found is None:
        raise GenerationError(
            needed=f"a completed {command} in a separate process",
            found=f"it ended with exit code {code}; its messages are above",
            next_step="if memory ran out, close other programs; to check this machine: balance doctor",
        )
    return found


def _heard(reports: IO[str], progress: Progress) -> dict[str, Any] | None:
    """Pass on what the process reports; its result, or None where it ended without one."""
    task: Task | None = None
    result: dict[str, Any] | None = None
    for line in reports:
        kind, told = json.loads(line)
        if kind == "message":
            progress.message(told)
        elif kind == "start":
            task = progress.start(*told)
        elif kind == "step" and task is not None:
            task(*told)
        elif kind == "error":
            raise _error_of(told)
        elif kind == "result":
            result = told
    return result


def _error_of(told: Mapping[str, Any]) -> Exception:
    """The error that the process reports, as `_report_of` made it."""
    if told["kind"] == "OSError":
        return OSError(told["errno"], told["strerror"], told["filename"])
    if told["kind"] == "MemoryError":
        return MemoryError(told["text"])
    kind: type[BalanceError] = getattr(errors, told["kind"], BalanceError)
    return kind(needed=told["needed"], found=told["found"], next_step=told["next_step"])


def _report_of(error: BaseException) -> dict[str, Any] | None:
    """An error that a person can mend, as JSON; None for what is a fault of ours."""
    if isinstance(error, BalanceError):
        return {"kind": type(error).__name__, **error.parts}
    if lacks_memory(error):
        return {"kind": "MemoryError", "text": str(error)}
    if isinstance(error, OSError):
        place = None if error.filename is None else str(error.filename)
        return {"kind": "OSError", "errno": error.errno, "strerror": error.strerror or str(error), "filename": place}
    return None


def _end(process: subprocess.Popen[str]) -> None:
    """Let it stop by itself, as it does where Ctrl-C has reached it too; ask it; end it."""
    if process.stdout is not None:
        process.stdout.close()
    for ask in (None, process.terminate, process.kill):
        if process.poll() is None and ask is not None:
            ask()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
            return


class _Reports:
    """A `Progress` that reports to whoever started this process, and ends with it."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def send(self, kind: str, told: Any) -> None:
        """Send one report; where nobody hears it, there is nobody to work for."""
        try:
            self._out.write(json.dumps([kind, told]) + "\n")
            self._out.flush()
        except OSError:
            os._exit(INTERRUPTED)

    def message(self, text: str) -> None:
        """Send a message."""
        self.send("message", text)

    def start(self, what: str, done: int = 0) -> Task:
        """Begin a task, of which the other process hears now and then."""
        self.send("start", [what, done])
        last = 0.0

        def step(done: int, total: int, made: int | None = None, note: str = "") -> None:
            nonlocal last
            if done >= total or time.monotonic() - last >= _PAUSE:
                last = time.monotonic()
                self.send("step", [done, total, made, note])

        return step


def main() -> None:
    """Run what standard input asks for, and report on what was standard output; what libraries print is for people."""
    listen()
    reports = _Reports(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    try:
        os.umask(private_umask())
        quieten_libraries()
        stay_offline()
        asked = json.load(sys.stdin)
        run, workspace = RUNS[asked["command"]], Workspace(Path(asked["home"]))
        reports.send("result", run(workspace, asked["settings"], reports))
    except (Stopped, Exception) as error:
        if was_stopped():
            sys.exit(INTERRUPTED)
        told = _report_of(error)
        if told is None:
            raise
        reports.send("error", told)
        sys.exit(2)
