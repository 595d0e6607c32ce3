"""A ledger of a million synthetic images: how long it takes to list them and to plan their merge, and how much memory.

    python -m tests.benchmarks.ledger [CANDIDATES]

Rows are written by the store's own functions, a batch of 16 at a time, for files that are empty. Each figure is taken
in a process of its own. Goals: 180 s of a processor and 4 GB for opening, listing and planning together; the seconds of
the clock hang on what else the machine does.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from balancer import ScanSettings, Workspace, scan
from balancer.dataset import merge as merging
from balancer.dataset.layout import plan_layout
from balancer.filling.verdicts import load_records
from balancer.jobs import Candidate, Verdict
from balancer.workspace.dataset_facts import dataset_facts
from balancer.workspace.last_fill import FillManifest
from conftest import make_collection
from tests.support.balanced_fixtures import make_job

GOAL_SECONDS, GOAL_GB = 180, 4.0
_BATCH, _TRANSACTION = 16, 1024
CLASSES = [f"finding {number:02}" for number in range(14)]
SCORES = {"copy_percentile": 0.4312, "plausibility": 0.8125, "label_probability": 0.9063, "sharpness": 12.25}


def candidates(store: Path, count: int) -> Iterator[tuple[Candidate, Verdict]]:
    """Candidates of all classes in turn, each with a file and a verdict; one of sixteen is rejected."""
    for number in range(count):
        job = make_job(
            CLASSES[number % len(CLASSES)], number // len(CLASSES), f"a radiograph, AP view, number {number}"
        )
        path = store / f"{job.id}.png"
        path.touch()
        decision = "reject" if number % 16 == 15 else "accept"
        verdict = Verdict(decision, {**SCORES, "nearest": f"p{number}.png"}, ("plausible",), "screen 3")
        yield (
            Candidate(job.label, path, f"{number:064x}", job, pixels=f"{number:032x}", device="cpu, 2 threads"),
            verdict,
        )


def write(folder: Path, count: int) -> float:
    """A scanned collection with so many candidates, and a fill that made all of them; candidates a second."""
    make_collection(folder / "xrays", dict.fromkeys(CLASSES, 3))
    scan(Workspace.open(folder), ScanSettings(folder / "xrays"))
    with Workspace.open(folder).session(write=True) as session:
        store, ledger, found = session.state.candidates, session.ledger, session.collection
        store.mkdir(exist_ok=True)
        waiting, jobs = candidates(store, count), {label: list[str]() for label in CLASSES}
        began = time.perf_counter()
        while batches := [list(some) for _ in range(_TRANSACTION) if (some := list(islice(waiting, _BATCH)))]:
            with ledger.atomic():
                for batch in batches:
                    ledger.add_candidates(found, batch, "screen 3")
                    for candidate, _ in batch:
                        jobs[candidate.label].append(candidate.id)
        taken = time.perf_counter() - began
        deficits = {label: len(ids) for label, ids in jobs.items()}
        FillManifest(deficits, jobs, {"seed": "0"}, (), "balanced", False).save(ledger, found)
    return count / taken


def plan(folder: Path) -> tuple[dict[str, float], float, float, int]:
    """Seconds of a processor for each part of the work and all on the clock, gigabytes at the most, images to merge."""
    seconds, clock = dict[str, float](), time.perf_counter()

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        found = work()
        seconds[name] = time.process_time() - began
        return found

    opened = Workspace.open(folder).session(write=False, several=True)
    session = timed("opening", opened.__enter__)
    records = timed("listing", lambda: load_records(session.ledger, session.collection))
    last = FillManifest.load(session.ledger, session.collection)
    assert last is not None
    began = time.process_time()
    judged = [each for some in last.accepted(records).values() for each in some]
    dataset_facts(session, last.run, last.stamps, judged)
    layout = plan_layout(session.collection, session.split, merging._with_pixels(judged))
    seconds["planning"] = time.process_time() - began
    clock = time.perf_counter() - clock
    made = sum(entry.made is not None for entry in layout.entries)
    opened.__exit__(None, None, None)
    return seconds, clock, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, made


def alone(work: Callable[..., Any], *given: Any) -> Any:
    """What `work` gives in a process of its own: what was done before is not in its memory."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(work, *given).result()


def main(count: int = 1_000_000) -> None:
    """Print what it takes, with the goals."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pace = alone(write, folder, count)
        size = sum(each.stat().st_size for each in (folder / ".balance").glob("*") if each.is_file()) / 1e9
        print(f"{count:,} candidates written, {pace:,.0f} a second; the ledger has {size:.2f} GB", flush=True)
        seconds, clock, memory, made = alone(plan, folder)
        total = sum(seconds.values())
        parts = ", ".join(f"{name} {taken:.1f} s" for name, taken in seconds.items())
        for what, value, goal in (("seconds of a processor", total, GOAL_SECONDS), ("GB", memory, GOAL_GB)):
            said = "met" if value <= goal else "MISSED"
            print(f"{said:7} {what}: {value:.1f} (goal for a million: {goal:g})", flush=True)
        print(f"        {parts}; {clock:.0f} s on the clock; {made:,} would be merged", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
