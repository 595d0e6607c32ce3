"""The command line in forked children of a process that has imported everything: a run costs what it does, no more."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cli_process import AT_CANDIDATE, FORGOTTEN, NOTED_IN
from tests.support.strace_log import note_calls

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a fork beside other threads may hang
os.environ |= {"HF_HUB_OFFLINE": "1", "TORCHDYNAMO_DISABLE": "1"}  # compiling takes minutes, and is not what is tried

_USUAL = (
    *(
        "balancer.cli.app",
        "balancer.filling.run",
        "balancer.dataset.merge",
        "balancer.dataset.verify",
        "balancer.filling.external_import",
        "balancer.workspace.recovery",
    ),
    *(
        "balancer.generators.plugins",
        "analysis.report.contact_sheets",
        "balancer.collection.imbalance",
        "torch",
        "pyarrow.parquet",
    ),
)
_LEARNING = (
    *("diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion", "sklearn.linear_model"),
    *("transformers.models.clip.modeling_clip", "transformers.models.clip.tokenization_clip"),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code, minus the signal's number where one killed it; what it said; seconds."""

    code: int
    output: str
    seconds: float

    @property
    def said(self) -> str:
        """Its output, for a message of a failed check."""
        return f"exit {self.code}\n{self.output}"


def preload(*, networks: bool) -> None:
    """Import what the commands import, so that children need not; `networks`: what learns and draws by them too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a child that is stopped before it has begun just ends
    for name in (*_USUAL, *((*_LEARNING, *_ours()) if networks else ())):
        importlib.import_module(name)


def _ours() -> Iterator[str]:
    for package in map(importlib.import_module, ("balancer", "analysis")):
        yield from (each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))


def run(
    folder: Path,
    arguments: Sequence[str],
    *,
    after: float | None = None,
    sign: int = signal.SIGKILL,
    prepare: Callable[[], None] = lambda: None,
) -> Ended:
    """Run `balance ARGUMENTS` in a folder; `after` seconds, if it still runs, it and its children get `sign`.

    `prepare` is called in the child before the command begins.
    """
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        child = os.fork()
        if not child:
            _become(folder, arguments, (output.fileno(), output.fileno()), prepare)
        code = _wait(child, after, sign)
        output.seek(0)
        return Ended(code, output.read().decode(errors="replace"), time.monotonic() - began)


def _become(folder: Path, arguments: Sequence[str], outputs: Sequence[int], prepare: Callable[[], None]) -> None:
    """Turn this forked process into the command; `outputs` are the descriptors of its stdout and stderr."""
    code = 99
    try:
        os.setsid()
        for stream, output in zip((1, 2), outputs, strict=True):
            os.dup2(output, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.chdir(folder)
        sys.argv = ["balance", *arguments]
        prepare()
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """The command line, which signals itself and notes its calls as the environment asks."""
    if log := os.environ.pop(NOTED_IN, ""):
        note_calls(Path(log))
    if sign := os.environ.pop(AT_CANDIDATE, ""):
        signal_at_candidate(int(sign))
    from balancer.cli.app import main as balance

    balance()


def signal_at_candidate(sign: int) -> None:
    """Signal this process as its first candidate is set in place, however fast the machine is."""
    sent: list[int] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and "candidates" in str(arguments[1]) and not sent:
            sent.append(sign)
            os.kill(os.getpid(), sign)

    sys.addaudithook(watch)


def _wait(child: int, after: float | None, sign: int) -> int:
    if after is not None:
        until = time.monotonic() + after
        while time.monotonic() < until:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.001)
        os.killpg(child, sign) if _leads(child) else os.kill(child, sign)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _leads(child: int) -> bool:
    """Whether the child is the leader of its own group by now."""
    return os.getpgid(child) == child


def serve(client: socket.socket) -> None:
    """Start each command that a client asks for, and tell it the process, then how that ended: [PROCESS, CODE].

    A message is {"folder", "arguments", "environment"} in JSON, with the descriptors of stdout and stderr.
    """
    preload(networks=True)
    running: set[int] = set()
    while True:
        if select.select([client], [], [], 0.01 if running else None)[0]:
            asked, outputs, _, _ = socket.recv_fds(client, 1 << 20, 2)
            if not asked:  # the client is gone
                return _end(running)
            running.add(_start(client, json.loads(asked), outputs))
        while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            running.remove(ended[0])
            client.send(json.dumps([ended[0], os.waitstatus_to_exitcode(ended[1])]).encode())


def _end(running: Iterable[int]) -> None:
    for child in running:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _start(client: socket.socket, asked: dict[str, Any], outputs: Sequence[int]) -> int:
    if not (child := os.fork()):
        client.close()
        _become(Path(asked["folder"]), asked["arguments"], outputs, lambda: _take_over(asked["environment"]))
    for output in outputs:
        os.close(output)
    client.send(str(child).encode())
    return child


def _take_over(environment: dict[str, str]) -> None:
    """Have the environment of the client, and the modules of its PYTHONPATH."""
    os.environ.clear()
    os.environ.update(environment)
    places = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [place for place in places if place and place not in sys.path]
    if forgotten := os.environ.pop(FORGOTTEN, ""):
        for name in [each for each in sys.modules if each.partition(".")[0] == forgotten]:
            del sys.modules[name]


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
