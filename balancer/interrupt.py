"""Ctrl-C and SIGTERM, for a command and for a process that it starts: neither lost nor a traceback."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

INTERRUPTED = 130
"""The exit code of what was stopped and can go on."""


class Stopped(BaseException):
    """Ctrl-C or SIGTERM: not a KeyboardInterrupt, which the option parser would take for its own."""


_heard: list[int] = []


def listen() -> None:
    """Raise `Stopped` where this process is when it is asked to stop."""
    for name in ("SIGINT", "SIGTERM", "SIGALRM"):
        if hasattr(signal, name):  # Windows has no alarm
            signal.signal(getattr(signal, name), _stop)
    sys.unraisablehook = _stop_after_all


def was_stopped() -> bool:
    """Whether this process was asked to stop: whatever error follows is its doing.

    While a class is made, Python turns a stop into a RuntimeError, and libraries that into others.
    """
    return bool(_heard)


def _stop(sign: int, _: object) -> NoReturn:
    _heard.append(sign)
    raise Stopped


def _stop_after_all(lost: sys.UnraisableHookArgs) -> None:
    """A stop that fell into a destructor, where nothing can be raised, comes again a little later."""
    if issubclass(lost.exc_type, Stopped) and hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
    else:
        sys.__unraisablehook__(lost)
