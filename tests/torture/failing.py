"""The N-th open, write, fsync, rename, mkdir or link on our state and output fails, for every N until a run is clean.

`python -m tests.torture.failing 1 fill merge` tries every N of both commands; a stride of 7 each seventh.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.torture import forked
from tests.torture.kills import place
from tests.torture.scenarios import CASES, USUAL, Arena

KINDS = ("open", "write", "fsync", "rename", "mkdir", "link")
_OURS = (b"/.balance/", b"balanced", b"/.gitignore", b"/.balance")
_MAY_DO_WITHOUT = ("open", "mkdir", "link", "fsync", "write")  # a cache, or a link where a copy does as well
ERRORS = {"a full disk": (errno.ENOSPC, True), "a bad block": (errno.EIO, False)}


class _Control(ctypes.Structure):
    _fields_ = (
        ("counts", ctypes.c_long * len(KINDS)),
        *((name, ctypes.c_long) for name in ("kind", "number", "error", "lasting", "failed")),
        ("below", (ctypes.c_char * 512) * 4),
    )


class Faults:
    """What is to fail in the next command, and what did."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, ctypes.sizeof(_Control))  # shared with the child
        self.control = _Control.from_buffer(self._memory)
        for place_, name in zip(self.control.below, _OURS, strict=True):
            place_.value = name

    def set(self, kind: str, number: int, code: int, lasting: bool) -> Callable[[], None]:
        """Let call `number` of a kind fail, and with `lasting` all that follow; 0: none. To be called in the child."""
        control = self.control
        control.counts[:] = [0] * len(KINDS)
        control.kind, control.number, control.error = KINDS.index(kind), number, code
        control.lasting, control.failed = lasting, 0

        def arm() -> None:
            ctypes.c_void_p.in_dll(ctypes.CDLL(None), "faults").value = ctypes.addressof(control)

        return arm


def attack(arena: Arena, faults: Faults, stride: int) -> Counter[str]:
    """Let each `stride`-th call of each kind fail with each error in turn; how often each thing came of it."""
    found: Counter[str] = Counter()
    for kind in KINDS:
        for why, (code, lasting) in ERRORS.items():
            number = 1
            while True:
                arena.reset()
                ended = forked.run(arena.now, arena.case.command, prepare=faults.set(kind, number, code, lasting))
                if not faults.control.failed:
                    break
                try:
                    found[_judge(arena, ended, kind)] += 1
                except Exception as error:
                    raise AssertionError(f"{why} at {kind} number {number}: {error}\n{ended.said}") from error
                number += stride
    return found


def _judge(arena: Arena, ended: forked.Ended, kind: str) -> str:
    if ended.code == 0:
        assert kind in _MAY_DO_WITHOUT, f"{kind} failed, and nothing was said"
        arena.compare()
        return f"{kind}: done without"
    assert ended.code == 2, "not an error with a message"
    assert "Traceback" not in ended.output
    assert all(part in ended.output for part in ("needed: ", "found:  ", "next:   ")), "not of three parts"
    arena.require_whole()
    arena.finish()
    return f"{kind}: refused, and completed"


def build(folder: Path) -> Path:
    """The library that makes calls fail."""
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-w", "-o", library, source, "-ldl"], check=True)
    return library


def main(stride: int, names: list[str]) -> None:
    """Print what came of every failure."""
    names = names or list(USUAL)
    with place(*names) as folder:
        for name in names:
            arena = Arena(folder / name, CASES[name])
            found = attack(arena, Faults(), stride)
            print(f"{name}: {found.total()} failures: {dict(found)}", flush=True)


if __name__ == "__main__":
    if "LD_PRELOAD" not in os.environ:
        import tempfile

        with tempfile.TemporaryDirectory() as built:
            again = [sys.executable, "-m", "tests.torture.failing", *sys.argv[1:]]
            sys.exit(subprocess.call(again, env={**os.environ, "LD_PRELOAD": str(build(Path(built)))}))
    main(int(sys.argv[1]), sys.argv[2:])
