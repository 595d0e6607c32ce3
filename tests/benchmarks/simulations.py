"""Are the figures what they say? `python -m tests.benchmarks.simulations [WORD...] [--full] [--workers N]`.

Runs every simulation of the modules `tests/benchmarks/simulations_*.py`: each has `ROWS`, a list of functions
`(full: bool) -> Row`. Prints one line for each as it is done; exits with 1 if one misses its goal. A WORD chooses those
whose module or function name contains it. At most 15 minutes on two cores; `--full` takes longer and sees more.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.benchmarks.rows import Row, Simulation

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def module_names(folder: Path = Path(__file__).parent) -> list[str]:
    """The modules that hold simulations, by name."""
    return sorted(f"tests.benchmarks.{path.stem}" for path in folder.glob("simulations_*.py"))


def simulations(modules: Sequence[str]) -> list[Simulation]:
    """Every simulation of the modules, in their order."""
    return [simulation for name in modules for simulation in importlib.import_module(name).ROWS]


def chosen(all_of_them: Sequence[Simulation], words: Sequence[str]) -> list[Simulation]:
    """Those whose module or name contains one of the words; all where there are no words."""
    names = [f"{each.__module__}.{each.__name__}" for each in all_of_them]
    return [
        each for each, name in zip(all_of_them, names, strict=True) if not words or any(word in name for word in words)
    ]


def attempt(simulation: Simulation, full: bool) -> tuple[Row, float]:
    """The row and the processor seconds; a simulation that fails is a miss, so that the others still run."""
    began = time.process_time()
    try:
        row = simulation(full)
    except Exception as error:
        row = Row(simulation.__name__, "-", repr(error), "no error", False)
    return row, time.process_time() - began


def run(wanted: Sequence[Simulation], full: bool, workers: int) -> Iterator[tuple[Row, float]]:
    """The rows as they are done, each simulation in a process of one thread."""
    os.environ.update(ONE_THREAD)  # read by the libraries when a worker starts
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(attempt, each, full) for each in wanted]):
            yield done.result()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line a simulation; 1 if one missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args(arguments)
    wanted = chosen(simulations(module_names()), asked.words)
    missed = 0
    for row, seconds in run(wanted, asked.full, asked.workers):
        missed += not row.passed
        print(f"{row} | {seconds:.0f} s", flush=True)
    print(f"{len(wanted) - missed} of {len(wanted)} pass")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
