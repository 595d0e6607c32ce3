"""The screen, and the monitor of a training, that a command or a child process makes by itself.

An installed package brings them.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Protocol, cast

from balancer.filling.verdicts import NoScreen
from balancer.plugins import MONITORS, SCREENS, Plugin, find_plugins

if TYPE_CHECKING:
    from balancer.adapting.common.monitor import TrainingMonitor
    from balancer.filling.verdicts import ScreenSource
    from balancer.workspace.settings import AdaptSettings
    from balancer.workspace.workspace import Workspace

NAME = "default"
_OURS = {  # where balance runs without being installed
    SCREENS: EntryPoint(NAME, "analysis.screening.service:fit_screen", SCREENS),
    MONITORS: EntryPoint(NAME, "analysis.vision.memorisation_monitor:CopyWatch", MONITORS),
}


class Overrides(Protocol):
    """Settings that say which screen is wanted: those of `fill` and of `merge`."""

    @property
    def no_screen(self) -> bool:
        """Whether nothing is to be screened."""
        ...

    @property
    def accept_unscreened(self) -> bool:
        """Whether images are taken that cannot be screened for copies."""
        ...


def screen_for(workspace: Workspace, settings: Overrides) -> ScreenSource:
    """The screen that settings ask for, as `fill` and `merge` want it handed in.

    Raises:
        PluginError: the package that brings it cannot be imported.

    >>> screen_for(Workspace.open(folder), FillSettings(target="max", no_screen=True))
    NoScreen(reason='--no-screen')
    """
    if settings.no_screen:
        return NoScreen()
    make = _default(SCREENS).load()
    return cast("ScreenSource", make(workspace, accept_unscreened=settings.accept_unscreened))


def monitor_for(settings: AdaptSettings) -> TrainingMonitor | None:
    """Who looks for copies of training images in an adapter's samples; nobody where a model is trained from scratch.

    Raises:
        PluginError: the package that brings it cannot be imported.

    >>> monitor_for(AdaptSettings(from_scratch=True)) is None
    True
    """
    if settings.from_scratch:
        return None
    return cast("TrainingMonitor", _default(MONITORS).load()())


def _default(group: str) -> Plugin:
    return find_plugins(group).get(NAME) or Plugin(_OURS[group])
