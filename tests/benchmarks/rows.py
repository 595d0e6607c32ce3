"""One line of `python -m tests.benchmarks.simulations`: a figure, its known truth, and what the tool says of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A simulation with known truth: what was simulated, what is true, what the tool says, the goal, and its outcome.

    >>> print(Row("S5 recall, 12 patients", "0.58", "0.57", "within 0.03", True))
    pass  S5 recall, 12 patients | truth: 0.58 | tool: 0.57 | goal: within 0.03
    """

    what: str
    truth: str
    tool: str
    goal: str
    passed: bool

    def __str__(self) -> str:
        outcome = "pass" if self.passed else "MISS"
        return f"{outcome}  {self.what} | truth: {self.truth} | tool: {self.tool} | goal: {self.goal}"


def print_rows(experiments: Sequence[Callable[..., Iterator[Row]]], words: Sequence[str], *asked: object) -> int:
    """Print the rows of the experiments whose name contains a word, of all without words; 1 if one missed its goal."""
    missed = 0
    for experiment in experiments:
        if words and not any(word in experiment.__name__ for word in words):
            continue
        began = time.process_time()
        for row in experiment(*asked):
            missed += not row.passed
            print(f"{row} | {time.process_time() - began:.0f} s", flush=True)
    return int(missed > 0)


Simulation = Callable[[bool], Row]
"""Makes one row, longer with `True`: a module-level function, since it runs in a process of its own."""
