"""The screen, and the monitor of a training, that a command or a child process makes by itself.

An installed package brings them.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Protocol, cast

from balancer.errors import ModelError, ScreenError
from balancer.filling.verdicts import NoScreen

if TYPE_CHECKING:
    from balancer.adapting.common.monitor import TrainingMonitor
    from balancer.filling.verdicts import ScreenSource
    from balancer.workspace.settings import AdaptSettings
    from balancer.workspace.workspace import Workspace

GROUP, MONITORS, NAME = "balancer.screens", "balancer.monitors", "default"
_OURS = {  # where balance runs without being installed
    GROUP: EntryPoint(NAME, "analysis.screening.service:fit_screen", GROUP),
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
        ScreenError: the package that brings it cannot be imported.

    >>> screen_for(Workspace.open(folder), FillSettings(target="max", no_screen=True))
    NoScreen(reason='--no-screen')
    """
    if settings.no_screen:
        return NoScreen()
    try:
        make = _entry(GROUP).load()
    except (ImportError, AttributeError) as error:
        raise ScreenError(
            needed=f"a package that screens (entry point {NAME!r} of the group {GROUP})",
            found=f"{_entry(GROUP).value}: {error}",
            next_step="install all of xray-balancer, or: balance fill --no-screen",
        ) from error
    return cast("ScreenSource", make(workspace, accept_unscreened=settings.accept_unscreened))


def monitor_for(settings: AdaptSettings) -> TrainingMonitor | None:
    """Who looks for copies of training images in an adapter's samples; nobody where a model is trained from scratch.

    Raises:
        ModelError: the package that brings it cannot be imported.

    >>> monitor_for(AdaptSettings(from_scratch=True)) is None
    True
    """
    if settings.from_scratch:
        return None
    try:
        return cast("TrainingMonitor", _entry(MONITORS).load()())
    except (ImportError, AttributeError) as error:
        raise ModelError(
            needed=f"a package that monitors training (entry point {NAME!r} of the group {MONITORS})",
            found=f"{_entry(MONITORS).value}: {error}",
            next_step="install xray-balancer whole, or: balance adapt --from-scratch",
        ) from error


def _entry(group: str) -> EntryPoint:
    return next(iter(entry_points(group=group, name=NAME)), _OURS[group])
