"""How long functions report progress: the command line shows it; by default nothing is shown."""

from __future__ import annotations

from typing import Protocol


class Task(Protocol):
    """One thing that takes long."""

    def __call__(self, done: int, total: int, made: int | None = None, note: str = "") -> None:
        """Say that `done` of `total` are done; `made` of them in this run, where earlier runs did some."""
        ...


class Progress(Protocol):
    """Receives messages and tasks; a new task ends the one before it."""

    def message(self, text: str) -> None:
        """One line that a person should read."""
        ...

    def start(self, what: str, done: int = 0) -> Task:
        """Begin a task, of which earlier runs did `done`."""
        ...


class Silent:
    """Progress that shows nothing.

    >>> Silent().start("Reading")(1, 2)
    """

    def message(self, text: str) -> None:
        """Ignore the message."""

    def start(self, what: str, done: int = 0) -> Task:
        """Return a task that says nothing."""
        return lambda done, total, made=None, note="": None


SILENT: Progress = Silent()


class Phases:
    """Reports what has several phases, each told by its name, as one task after the other.

    >>> Phases(Silent())("Reading", 1, 2)
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: Task | None = None
        self._phase = ""

    def __call__(self, phase: str, done: int, total: int, note: str = "") -> None:
        """Show where the phase of this name stands; another name begins a new task."""
        if self._task is None or phase != self._phase:
            self._task, self._phase = self._progress.start(phase, done), phase
        self._task(done, total, note=note)
