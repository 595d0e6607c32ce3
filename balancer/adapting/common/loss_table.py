"""The losses of a training as a CSV, a row a step: a logger of our own that goes on where a training was stopped."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from balancer.files import write_whole

LOSSES = "losses.csv"
LOSS, BATCH_LOSS, RATE, HOLDOUT = "loss", "batch loss", "learning rate", "generator holdout loss"
"""What trainings call their figures: the running mean of the loss, that of the step's batch, and so on."""
_KEYS = ("phase", "step")


class LossTable:
    """A `TrainingLogger` that writes every step at once, and one row for all that is told of a step.

    What is told of a step drops what an interrupted training had told of later ones: it goes on from there.

    >>> table = LossTable(folder / "losses.csv")
    >>> for step in (1, 2, 3, 2):
    ...     table.log("adapter", step, {"loss": 1 / step})
    >>> table.log("adapter", 2, {"generator holdout loss": 0.5})
    >>> print((folder / "losses.csv").read_text(), end="")
    phase,step,loss,batch loss,learning rate,generator holdout loss
    adapter,1,1,,,
    adapter,2,0.5,,,0.5
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = [LOSS, BATCH_LOSS, RATE]
        self._rows: dict[tuple[str, int], dict[str, str]] = {}
        self._last: dict[str, int] = {}
        self._written = False  # by this process, which then knows how the file ends
        if path.exists():
            self._read(path.read_bytes())

    def log(self, phase: str, step: int, figures: Mapping[str, float]) -> None:
        """Write figures of a step; those that are not numbers are left blank."""
        told = {name: f"{value:.8g}" for name, value in figures.items() if math.isfinite(value)}
        is_next = self._written and step > self._last.get(phase, -1) and told.keys() <= {*self._names}
        if step < self._last.get(phase, step):
            self._rows = {key: row for key, row in self._rows.items() if key[0] != phase or key[1] <= step}
        self._last[phase] = step
        self._rows.setdefault((phase, step), {}).update(told)
        self._names += [name for name in told if name not in self._names]
        if is_next:
            with self._path.open("ab") as file:
                file.write(_lines([self._cells(phase, step)]))
        else:
            write_whole(self._path, _lines([(*_KEYS, *self._names), *(self._cells(*key) for key in self._rows)]))
            self._written = True

    def close(self) -> None:
        """Nothing is left to do: every step was written at once."""

    def _cells(self, phase: str, step: int) -> Sequence[str]:
        row = self._rows[phase, step]
        return (phase, str(step), *(row.get(name, "") for name in self._names))

    def _read(self, content: bytes) -> None:
        """The rows that are whole; a kill may have cut the last one."""
        text = content[: content.rfind(b"\n") + 1].decode("utf-8", "replace")
        rows = csv.reader(io.StringIO(text))
        names = next(rows, [])[len(_KEYS) :]
        self._names += [name for name in names if name not in self._names]
        for phase, step, *cells in (row for row in rows if len(row) == len(_KEYS) + len(names) and row[1].isdecimal()):
            self._rows[phase, int(step)] = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
            self._last[phase] = int(step)


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()
