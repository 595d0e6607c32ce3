"""Small balanced folders for the tests, and a killer that stops a process before its N-th step on disk.

`python -m tests.support.balanced_fixtures SCENARIO FOLDER` kills a scenario before each of its steps in turn, runs it
again, and demands the tree of a run that nobody disturbed.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from balancer.collection.scan import Collection, Sample, scan
from balancer.dataset import staging
from balancer.dataset.merge import MergeReport, merge, unmerge
from balancer.dataset.xmp import make_xmp
from balancer.imaging.decode import OutputFormat, encode
from balancer.jobs import Candidate, GenerationConfig, Job, ModeDraw, ModelRef, Verdict, job_seed
from balancer.prompting.prompts import Prompt
from balancer.splits.split import draw_split
from tests.support.cli_process import tree_hash
from tests.support.tiny_models import write_xrays

MODEL = ModelRef("tiny-sd", None, "ab" * 32)
CONFIG = GenerationConfig(MODEL, None, 1.0, "ddim", 2, 3.0, 32, 32, "float32", 4)
OUTPUT = OutputFormat("PNG", ".png", "L", 8, (32, 32))
FACTS = {"seed": "0", "stamps": "patient leakage not excluded"}
LAST = 24  # copying is the same step again and again; what comes last is done once
COUNTS = {"NODULE": 3, "NORMAL": 5}


def make_job(label: str, index: int, text: str = "a chest radiograph", source: Sample | None = None) -> Job:
    """Job number `index` of a class."""
    method = ModeDraw("image", source, 0.5) if source else ModeDraw()
    prompt = Prompt(text, "photo", "{view} of {finding}", {"view": "PA"})
    return Job(label, index, prompt, job_seed(0, label, index), CONFIG, method, OUTPUT)


def make_candidate(store: Path, job: Job | None, label: str = "", output: OutputFormat = OUTPUT) -> Candidate:
    """A drawn image in `store`; `job` `None`: made elsewhere."""
    seed, label = (job.seed, job.label) if job else (7, label)
    grey = np.random.default_rng(seed).integers(0, 256, (32, 32), np.uint8)
    content = encode(grey, output, make_xmp(label, job))
    path = store / f"{job.id if job else 'elsewhere'}{output.extension}"
    store.mkdir(exist_ok=True)
    if not path.exists():
        path.write_bytes(content)
    return Candidate(label, path, hashlib.sha256(content).hexdigest(), job)


def accepted(store: Path, label: str, count: int, **options: Any) -> list[tuple[Candidate, Verdict]]:
    """The first `count` synthetic images of a class."""
    verdict = Verdict("accept", {"similarity": 0.25}, ("=looks right",), "nobody")
    return [(make_candidate(store, make_job(label, index, **options)), verdict) for index in range(count)]


def collection(root: Path, counts: dict[str, int] = COUNTS) -> Collection:
    """A flat collection, written once."""
    return scan(root if root.exists() else write_xrays(root, counts), r"(p\d+)-")


def split_collection(root: Path, parts: tuple[str, ...] = ("train", "val", "test")) -> Collection:
    """A collection that has folders for its parts."""
    for number, part in enumerate(parts):
        write_xrays(root / part, {"NODULE": 2 + number, "NORMAL": 3 + number})
    return scan(root)


def balanced(folder: Path, count: int = 2, facts: dict[str, str] = FACTS, **options: Any) -> MergeReport:
    """`folder/xrays`, flat, with `count` synthetic nodules, merged by a drawn split."""
    found = collection(folder / "xrays")
    nodules = accepted(folder / "store", "NODULE", count)
    return merge(found, draw_split(found), nodules, folder / "balanced", facts=facts, **options)


def in_child(work: Callable[[], object]) -> int:
    """Run something in a forked process; its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        work()
    except BaseException as error:
        print(type(error).__name__, error, file=sys.stderr)
        os._exit(1)
    os._exit(0)


def killed_before(step: int, folder: Path, work: Callable[[], object]) -> int:
    """Run something that dies before its N-th change of a file below `folder`; how many changes it came to."""
    changes = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.utime"}
    seen = mmap.mmap(-1, 8)  # shared with the child

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        writing = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writing or event in changes) and str(arguments[0]).startswith(str(folder)):
            now = int.from_bytes(seen[:8]) + 1
            seen[:8] = now.to_bytes(8)
            if now == step:
                os._exit(9)

    def counted() -> None:
        sys.addaudithook(count)
        work()

    assert in_child(counted) == (9 if int.from_bytes(seen[:8]) == step else 0)
    return int.from_bytes(seen[:8])


def without_exchange(work: Callable[[], object]) -> Callable[[], object]:
    """The same on a system that cannot exchange two folders in one step."""

    def poor() -> None:
        staging._exchange = lambda one, other: False
        work()

    return poor


def survive(folder: Path, scenario: str, stride: int) -> int:
    """Kill a scenario before each of its steps in turn; how many there were.

    Every `stride`-th step, more of them near the end.
    """
    out, before = folder / "balanced", folder / "before"
    work: Callable[[], object] = lambda: balanced(folder, 3)  # noqa: E731
    if scenario == "unmerge":
        work = lambda: unmerge(out)  # noqa: E731
    if scenario == "top-up-without-exchange":
        work = without_exchange(work)
    if scenario != "first":
        assert in_child(lambda: balanced(folder, 2)) == 0
        out.rename(before)
    assert in_child(lambda: (collection(folder / "xrays"), accepted(folder / "store", "NODULE", 3))) == 0
    sources = tree_hash(folder / "xrays")
    _reset(out, before)
    total = killed_before(0, folder, work)
    whole = {tree_hash(out), tree_hash(before)}
    wanted = tree_hash(out)
    often = max(1, stride // 4)
    for step in (*range(1, total - LAST, stride), *range(max(1, total - LAST), total, often), total):
        _reset(out, before)
        assert killed_before(step, folder, work) == step
        if scenario != "unmerge" and out.exists():
            assert tree_hash(out) in whole, f"half a tree after step {step}"
        assert scenario == "first" or "without" in scenario or out.exists(), f"no tree after step {step}"
        if scenario != "unmerge" or (out / "balance.json").exists():
            assert in_child(work) == 0, f"not resumed after step {step}"
        assert tree_hash(out) == wanted, f"another tree after step {step}"
        assert [path.name for path in folder.glob(".*")] == [], f"leftovers after step {step}"
    assert tree_hash(folder / "xrays") == sources
    return total


def _reset(out: Path, before: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    if before.exists():
        shutil.copytree(before, out)


def with_label(candidate: Candidate, label: str) -> Candidate:
    """The same image under another label."""
    return replace(candidate, label=label)


if __name__ == "__main__":
    print(survive(Path(sys.argv[2]), sys.argv[1], int(sys.argv[3])))
