"""A speed as `make bench` says it: a ratio of two things measured in one run, with its goal."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Ratio:
    """`value` is how many times as fast, as long or as much; `beside` what it is measured beside; `note` the seconds.

    >>> print(Ratio("scan", 2.7, "at least", 2.5, "a loop of Image.open", "3 s, 8 s"))
    met     scan: 2.70 beside a loop of Image.open (goal: at least 2.5; 3 s, 8 s)
    """

    what: str
    value: float
    bound: Literal["at least", "at most"]
    goal: float
    beside: str
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.value >= self.goal if self.bound == "at least" else self.value <= self.goal

    def __str__(self) -> str:
        note = f"; {self.note}" if self.note else ""
        outcome = "met   " if self.met else "MISSED"
        return f"{outcome}  {self.what}: {self.value:.2f} beside {self.beside} (goal: {self.bound} {self.goal:g}{note})"


def markdown(ratios: Iterable[Ratio]) -> str:
    """The table that goes into the documentation as it is.

    >>> print(markdown([Ratio("scan", 2.7, "at least", 2.5, "a loop of Image.open")]).splitlines()[-1])
    | scan | a loop of Image.open | 2.70 | at least 2.5 | met |
    """
    cells = (
        (each.what, each.beside, f"{each.value:.2f}", f"{each.bound} {each.goal:g}", "met" if each.met else "missed")
        for each in ratios
    )
    rows = (f"| {' | '.join(row)} |" for row in cells)
    return "\n".join(["| what | beside | ratio | goal | |", "| --- | --- | --- | --- | --- |", *rows])


def processor() -> str:
    """The processor's kind, the cores that may be used, and the instruction sets that torch uses."""
    import torch

    from balancer.devices import supports_bfloat16
    from balancer.parallel import cores

    bfloat16 = "bfloat16" if supports_bfloat16("cpu") else "no bfloat16"
    sets = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()}, {cores()} cores, {sets}, {bfloat16}, torch {torch.__version__}"


def seconds(work: Callable[[], object]) -> float:
    """How long it takes on the clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(*works: Callable[[], object], times: int = 5) -> list[float]:
    """The middle of a few timings of each, after one that does not count; in turns, so that others disturb all."""
    for work in works:
        work()
    turns = [[seconds(work) for work in works] for _ in range(times)]
    return [statistics.median(column) for column in zip(*turns, strict=True)]
