"""Every command once, over drawn radiographs and tiny networks, its calls noted, or traced without a network.

The user, the host, the home folder and the folder of all this have names that are easily found again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.cli_process import NOTED_IN, balance
from tests.support.review_client import read
from tests.support.strace_log import changes, connects, watching
from tests.support.tiny_models import write_lora, write_pipeline, write_xrays

USER, HOST, PLACE = "zebrauser", "zebrahost", "zebraplace"
COLLECTION = "data/xrays"
QUICK = ("--steps", "2", "--batch-size", "2")
MIXED = ("--target", "NODULE=12", *QUICK, "--mode", "text=0.5,mix=0.5", "--harmonise")
WORD = ("--accept-unscreened",)
ERRANDS: Sequence[tuple[str, ...]] = (
    ("scan", "data/xrays", "--patient", r"(p\d+)-", "--patients", "meta.csv", "--deep"),
    ("scan", "data/xrays", "--json", "--report"),
    ("presets",),
    ("status", "--json"),
    ("labels", "--steps", "2", "--size", "16", "--folds", "2"),
    ("split", "--folds", "2"),
    ("split", "--json"),
    ("prompts", "-n", "1", "--json"),
    ("prompts", "--new", "mine.yaml"),
    ("prompts", "--check", "--pack", "mine.yaml", "--model", "base", "--json"),
    ("fill", "--target", "NODULE=6", "--dry-run"),
    ("adapt", "--from-scratch", *QUICK, "--size", "32"),
    ("adapt", "--base", "base", *QUICK, "--rank", "2", "--learning-rate", "0.5", "--accept-licence"),
    ("fill", *MIXED, "--shard", "1/1", "--shard-dir", "shards"),
    ("fill", *MIXED, "--collect", "shards", *WORD),
    ("fill", *MIXED, *WORD),
    ("screen", "theirs"),
    ("merge", "--from", "theirs", *WORD),
    ("review", "--reader", "A", "--audit", "5"),
    ("review", "--reader", "B", "--blinded", "--limit", "4"),
    ("review", "--results"),
    ("review", "--results", "--json"),
    ("merge",),
    ("probe", "--steps", "2", "--size", "32", "--permutations", "199", "--model", "base", "--json"),
    ("quality", "--steps", "2", "--json"),
    ("power", "--json"),
    ("compare", "--quick", "--seeds", "2", "--steps", "2", "--size", "16", "--force"),
    ("compare", "--metrics-only", "--json"),
    ("report",),
    ("verify", "data/xrays-balanced", "--json"),
    ("export", "--hub-folder", "hub"),
    ("export", "--hub-folder", "hub-model", "--adapter", "scratch", "--json"),
    ("export", "--croissant"),
    ("explain", "SYNTHETIC"),
    ("explain", "SYNTHETIC", "--json"),
    ("doctor", "--model", "base", "--adapter", "lora"),
    ("purge", "--dry-run"),
)
LAST: Sequence[tuple[str, ...]] = (("unmerge", "data/xrays-balanced"), ("purge", "--yes"))


Run = Callable[[Path, tuple[str, ...]], "Done"]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command; `connects` are the network addresses that it tried to reach.

    `changes` are its calls that could have changed the collection.
    """

    arguments: tuple[str, ...]
    code: int
    output: str
    messages: str
    connects: tuple[str, ...]
    changes: tuple[str, ...]


def prepare(folder: Path) -> Path:
    """A collection with a table of patients, a base with a licence, and images of another generator."""
    work = folder / PLACE / USER / "work"
    work.mkdir(parents=True)
    write_xrays(work / "data" / "xrays", {"NORMAL": 40, "EFFUSION": 24, "NODULE": 10})
    rows = [f"p{number}{patient:03},{'F' if patient % 2 else 'M'}" for number in range(3) for patient in range(20)]
    (work / "meta.csv").write_text("patient,sex\n" + "\n".join(rows))
    write_pipeline(work / "base")
    write_lora(work / "lora", work / "base")
    (work / "base" / "README.md").write_text("---\nlicense: openrail\n---\n")
    write_xrays(work / "drawn", {"NORMAL": 2, "EFFUSION": 2, "NODULE": 14})
    (work / "theirs" / "NODULE").mkdir(parents=True)
    for path in sorted((work / "drawn" / "NODULE").iterdir())[10:]:
        path.rename(work / "theirs" / "NODULE" / f"theirs-{path.name}")
    shutil.rmtree(work / "drawn")
    return work


def run_all(work: Path, errands: Sequence[tuple[str, ...]], run: Run) -> Iterator[Done]:
    """Each in turn."""
    for arguments in errands:
        yield run(work, _with_an_image(work, arguments))


def noted(work: Path, arguments: tuple[str, ...]) -> Done:
    """One command that notes what Python does; somebody reads the page that it serves."""
    log = work.parent / "calls"
    log.write_bytes(b"")
    process = balance(work, *arguments, **_names(work), **{NOTED_IN: str(log)})
    said = ""
    for line in process.stdout if "--reader" in arguments else ():
        said += line
        if line.startswith("http"):
            read(line.strip())
            break
    said += process.communicate()[0]
    trace = log.read_text("utf-8", "replace")
    return Done(arguments, process.wait(), said, "", connects(trace), changes(trace, COLLECTION))


def traced(work: Path, arguments: tuple[str, ...]) -> Done:
    """One command under strace, without a network; somebody reads the page that it serves."""
    log = work.parent / "calls"
    reader = [sys.executable, "-m", "tests.support.review_client"] if "--reader" in arguments else []
    program = [sys.executable, "-c", "from balancer.cli.app import main; main()", *arguments]
    ended = subprocess.run(
        [*_apart(), *reader, *watching(log), *program],
        cwd=work,
        env=_environment(work),
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=1200,
        check=False,
    )
    trace = log.read_text("utf-8", "replace")
    return Done(arguments, ended.returncode, ended.stdout, ended.stderr, connects(trace), changes(trace, COLLECTION))


def can_be_apart() -> bool:
    """Whether this machine lets a test have a namespace of its own, and follow its calls."""
    tools = all(map(shutil.which, ("unshare", "strace", "ip", "hostname")))
    return tools and subprocess.run([*_apart(), "true"], capture_output=True, check=False).returncode == 0


def _apart() -> list[str]:
    """A namespace without a network but for the loopback device, and with another host name."""
    inside = f'ip link set lo up && hostname {HOST} && exec "$@"'
    return ["unshare", "--map-root-user", "--net", "--uts", "sh", "-c", inside, "sh"]


def _environment(work: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "OMP_NUM_THREADS") if name in os.environ}
    return {**kept, **_names(work), "PYTHONPATH": str(Path(__file__).parents[2]), "TORCH_COMPILE_DISABLE": "1"}


def _names(work: Path) -> dict[str, str]:
    return dict.fromkeys(("USER", "LOGNAME", "USERNAME"), USER) | {"HOSTNAME": HOST, "HOME": str(work.parent)}


def _with_an_image(work: Path, arguments: tuple[str, ...]) -> tuple[str, ...]:
    if "SYNTHETIC" not in arguments:
        return arguments
    made = next((work / "data" / "xrays-balanced").rglob("syn-*.png")).relative_to(work)
    return tuple(str(made) if each == "SYNTHETIC" else each for each in arguments)


def main() -> None:
    """Run all in a temporary folder and print what came of it."""
    import tempfile
    import time

    with tempfile.TemporaryDirectory() as folder:
        work = prepare(Path(folder))
        for arguments in (*ERRANDS, *LAST):
            began = time.monotonic()
            done = traced(work, _with_an_image(work, arguments))
            seconds = round(time.monotonic() - began, 1)
            print(json.dumps([done.arguments, done.code, seconds, *done.connects, *done.changes]), flush=True)
            if done.code or "-v" in sys.argv:
                print(done.output[-1500:], done.messages[-3000:])


if __name__ == "__main__":
    main()
