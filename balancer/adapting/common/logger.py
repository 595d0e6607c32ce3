"""Who records the curves of a training: another package, where the user names it; else nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from balancer.plugins import LOGGERS, find_plugin

Curves = Callable[[str, int, Mapping[str, float]], None]
"""Called with the phase ("autoencoder", "denoiser", "adapter"), the number of steps done, and figures by name."""


class TrainingLogger(Protocol):
    """What an entry point of the group `balancer.loggers` returns when it is called with (place).

    `place` is what follows the colon of `--log NAME:PLACE`. After an interruption some steps are told again.
    """

    def log(self, phase: str, step: int, figures: Mapping[str, float]) -> None:
        """Record figures of a step: its loss, or at a look the loss on the generator holdout."""
        ...

    def close(self) -> None:
        """End the record; also called where the training was stopped."""
        ...


def to_all(*several: Curves) -> Curves:
    """Tell the figures to several, in turn."""

    def record(phase: str, step: int, figures: Mapping[str, float]) -> None:
        for curves in several:
            curves(phase, step, figures)

    return record


def no_curves(_phase: str, _step: int, _figures: Mapping[str, float]) -> None:
    """Record nothing."""


@contextmanager
def curves_of(text: str | None) -> Iterator[Curves]:
    """What the logger of `--log NAME:PLACE` records with; nothing is recorded without one.

    Raises:
        PluginError: no installed package brings it, or it fails.
    """
    if text is None:
        yield no_curves
        return
    name, _, place = text.partition(":")
    plugin = find_plugin(LOGGERS, name, "--log")
    make = plugin.load()
    with plugin.guarded("a logger that can record at its place"):
        logger: TrainingLogger = make(place)

    def record(phase: str, step: int, figures: Mapping[str, float]) -> None:
        with plugin.guarded("a logger that can record"):
            logger.log(phase, step, figures)

    try:
        yield record
    finally:
        with plugin.guarded("a logger that can be closed"):
            logger.close()
