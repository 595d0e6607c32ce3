"""The time that a training has had: on the clock, from the start of its command, whatever it was spent on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """Seconds since it was made, after those of `earlier` sittings of the same training.

    >>> clock = Clock(iter([10.0, 12.5, 13.5]).__next__)
    >>> clock.seconds()
    2.5
    >>> clock.go_on(60.0)
    >>> clock.seconds()
    63.5
    """

    now: Callable[[], float] = time.monotonic
    earlier: float = 0.0
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.now()

    def seconds(self) -> float:
        """How long the training has taken so far."""
        return self.earlier + self.now() - self._began

    def go_on(self, earlier: float) -> None:
        """Count what earlier sittings took, up to what they kept last; less than is known changes nothing."""
        self.earlier = max(self.earlier, earlier)
