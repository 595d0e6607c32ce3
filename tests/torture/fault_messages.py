"""Every fault that a user can meet, and how it reads: what was needed, what was found, what to type; and its exit code.

`python -m tests.torture.fault_messages` prints them all.
"""

from __future__ import annotations

import os
import pickle
import resource
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from balancer.store.state_dir import State, locked
from tests.support.advised_commands import faults
from tests.torture import forked
from tests.torture.kills import place
from tests.torture.scenarios import FREE, SCAN, Arena, Case, Words

_TAKEN = socket.socket()
_TAKEN.bind(("127.0.0.1", 0))
_PORT = _TAKEN.getsockname()[1]
PARTS = ("needed: ", "found:  ", "next:   ")


@dataclass(frozen=True, slots=True)
class News:
    """A fault: what is broken in the working folder, or in the process, before `command`; part of what it must say."""

    says: str
    command: Words = FREE
    spoil: Callable[[Path], object] = lambda folder: None
    prepare: Callable[[], object] = lambda: None
    code: int = 2
    is_locked: bool = False


def _no_large_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))


def _only_damaged(folder: Path) -> None:
    for path in (folder / "theirs").rglob("*.png"):
        path.write_bytes(path.read_bytes()[:10])


def _spoil(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _move_collection(folder: Path) -> None:
    forked.run(folder, SCAN)  # the folder is a copy: the collection is remembered where it is now
    (folder / "xrays").rename(folder / "moved")


def _no_room() -> None:
    shutil.disk_usage = lambda place: shutil._ntuple_diskusage(1 << 20, 1 << 20, 1 << 10)  # type: ignore[attr-defined]


def _take_port() -> None:
    _TAKEN.listen()


def _twins(folder: Path) -> None:
    """Classes of another generator's that are one with a class of the collection on some file systems."""
    (folder / "theirs" / "NODULE").rename(folder / "theirs" / "nodule")


def _foreign_pipeline(folder: Path) -> None:
    (folder / "base").mkdir()
    (folder / "base" / "model_index.json").write_text(
        '{"_class_name": "StableDiffusionPipeline", "unet": ["os", "system"]}'
    )


_MORE: Words = (*FREE, "--target", "20")
_UNMERGE: Words = ("unmerge", "xrays-balanced")
FAULTS = {
    "no state folder": News("balance scan", spoil=lambda folder: shutil.rmtree(folder / ".balance")),
    "collection gone": News("which is missing", spoil=_move_collection),
    "image changed": News("changed", _MORE, _spoil("xrays/NORMAL/p0000-0.png", b"other")),
    "image gone": News("no such file", _MORE, lambda folder: (folder / "xrays" / "NORMAL" / "p0000-0.png").unlink()),
    "ledger damaged": News("balance scan", spoil=_spoil(".balance/ledger.sqlite", b"garbage" * 999)),
    "ledger emptied": News("balance scan", spoil=_spoil(".balance/ledger.sqlite", b"")),
    "state locked": News(f"process {os.getpid()} is using", is_locked=True),
    "foreign file": News("also contains", spoil=_spoil("xrays-balanced/train/NORMAL/mine.png", b"")),
    "foreign folder": News(
        "not made by balance", spoil=lambda folder: (folder / "xrays-balanced" / "balance.json").unlink()
    ),
    "no such weights": News("--model free:WEIGHTS", (*_MORE, "--model", "free:x")),
    "device too small": News("--device cpu", (*_MORE, "--model", "free:0")),
    "disk that fails": News("it continues from here", _MORE, prepare=_no_large_files),
    "table changed": News(
        "balance fill", ("unmerge", "xrays-balanced"), _spoil("xrays-balanced/train/metadata.parquet", b"")
    ),
    "nothing to unmerge": News("balance fill", ("unmerge", "theirs")),
    "disk too small, as estimated": News("free disk space", _MORE, prepare=_no_room),
    "state locked, and a folder to take apart": News("kill", ("unmerge", "xrays-balanced"), is_locked=True),
    "nothing but damaged images": News("no class folder", ("scan", "theirs"), _only_damaged),
    "names that are one": News("nodule", ("merge", "--from", "theirs", "--no-screen"), _twins),
    "pickled weights": News("pickle", (*_MORE, "--model", "x.ckpt"), _spoil("x.ckpt", pickle.dumps(print))),
    "archive in disguise": News("x.safetensors", (*_MORE, "--model", "x.safetensors"), _spoil("x.safetensors", b"PK")),
    "foreign classes in a pipeline": News("os", (*_MORE, "--model", "base"), _foreign_pipeline),
    "model not at hand": News("nothing is downloaded", (*_MORE, "--model", "no/model")),
    "alias bomb in a pack": News("line 2", (*_MORE, "--pack", "x.yaml"), _spoil("x.yaml", b"a: 1\nb: [&a [], *a]\n")),
    "table without its columns": News("column", (*SCAN, "--patients", "x.csv"), _spoil("x.csv", b"a,b\n1,2\n")),
    "table in no text": News("x.csv", (*SCAN, "--patients", "x.csv"), _spoil("x.csv", bytes(range(256)))),
    "umask that keeps the owner out": News("BALANCE_UMASK", prepare=lambda: os.environ.update(BALANCE_UMASK="777")),
    "state within the collection": News(
        "outside the collection", ("scan", "."), lambda folder: shutil.rmtree(folder / ".balance")
    ),
    "purge without a word": News("balance purge --yes", ("purge",)),
    "page on a port that is taken": News(
        "free port", ("review", "--reader", "A", "--audit", "2", "--port", str(_PORT)), prepare=_take_port
    ),
    "Ctrl-C": News(
        "run again: balance fill", _MORE, prepare=lambda: forked.signal_at_candidate(signal.SIGINT), code=130
    ),
    "SIGTERM": News(
        "run again: balance fill", _MORE, prepare=lambda: forked.signal_at_candidate(signal.SIGTERM), code=130
    ),
}
"""Another fault is read out as soon as it stands here."""


def read_out(arena: Arena, name: str) -> str:
    """Meet a fault; what was said, which must be of three parts, or, of a stop, how to go on."""
    news = FAULTS[name]
    arena.reset()
    news.spoil(arena.now)
    with locked(State(arena.now / ".balance")) if news.is_locked else nullcontext():
        ended = forked.run(arena.now, news.command, prepare=news.prepare)
    assert ended.code == news.code, f"{name}: {ended.said}"
    assert news.says in ended.output, f"{name}: {ended.said}"
    assert "Traceback" not in ended.output, f"{name}: {ended.said}"
    assert news.code != 2 or all(part in ended.output for part in PARTS), f"{name}: {ended.said}"
    assert list(faults(ended.output.rpartition("next:")[2])) == [], f"{name}: {ended.said}"
    return ended.output[ended.output.find("balance: the command failed") if news.code == 2 else -200 :].strip()


def main(names: list[str]) -> None:
    """Print each fault, or those named, with its exit code and what it says."""
    with place() as folder:
        arena = Arena(folder / "news", Case(FREE, (SCAN, FREE)))
        for name in names or FAULTS:
            print(f"--- {name}: exit {FAULTS[name].code}\n{read_out(arena, name)}", flush=True)
        print(f"{len(names or FAULTS)} faults, each with its message")


if __name__ == "__main__":
    main(sys.argv[1:])
