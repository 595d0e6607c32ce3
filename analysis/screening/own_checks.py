"""Screening checks of other packages: fitted on the real training images alone, and asked about every candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from balancer.imaging.decode import GreyImage
from balancer.plugins import CHECKS, Plugin, find_plugins

Greys = npt.NDArray[np.uint8]
FittedCheck = Callable[[GreyImage, str], Iterable[str]]
"""Why a grey image, (64, 64) uint8, of a label is to be rejected, in words; nothing where there is no fault."""


class ScreeningCheck(Protocol):
    """What an entry point of the group `balancer.checks` names. Every one that is installed is asked.

    Its verdicts must depend on nothing but its arguments. Its package's version stands in each verdict, and with
    another one all images are judged again.
    """

    def __call__(self, greys: Greys, labels: Sequence[str]) -> FittedCheck:
        """Fit on real training images, (N, 64, 64) uint8, with their labels."""
        ...


@dataclass(frozen=True, slots=True)
class OwnCheck:
    """A fitted check, and the plug-in that brought it."""

    plugin: Plugin
    fitted: FittedCheck

    @property
    def name(self) -> str:
        """Its name and its package with the version."""
        return f"{self.plugin.name} ({self.plugin.package})"

    def reasons(self, grey: GreyImage, label: str) -> list[str]:
        """Why an image is to be rejected, each reason after the check's name.

        Raises:
            PluginError: the check fails.
        """
        with self.plugin.guarded("a screening check that can judge an image"):
            return [f"{self.plugin.name}: {reason}" for reason in self.fitted(grey, label)]


def fit_own_checks(greys: Greys, labels: Sequence[str]) -> tuple[OwnCheck, ...]:
    """All installed checks, fitted on the real training images.

    Raises:
        PluginError: one of them cannot be imported or fitted.
    """
    return tuple(_fitted(greys, labels))


def _fitted(greys: Greys, labels: Sequence[str]) -> Iterator[OwnCheck]:
    for plugin in find_plugins(CHECKS).values():
        make = plugin.load()
        with plugin.guarded("a screening check that can be fitted to the training images"):
            yield OwnCheck(plugin, make(greys, labels))
