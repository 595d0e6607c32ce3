"""The screen that a command or a child process makes by itself: the one that an installed package brings."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Protocol, cast

from balancer.errors import ScreenError
from balancer.filling.screening import NoScreen

if TYPE_CHECKING:
    from balancer.filling.screening import ScreenSource
    from balancer.workspace.workspace import Workspace

GROUP, NAME = "balancer.screens", "default"
_OURS = EntryPoint(NAME, "analysis.screening.service:fit_screen", GROUP)  # where balance runs without being installed


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
    entry = next(iter(entry_points(group=GROUP, name=NAME)), _OURS)
    try:
        make = entry.load()
    except (ImportError, AttributeError) as error:
        raise ScreenError(
            needed=f"a package that screens (entry point {NAME!r} of the group {GROUP})",
            found=f"{entry.value}: {error}",
            next_step="install all of xray-balancer, or: balance fill --no-screen",
        ) from error
    return cast("ScreenSource", make(workspace, accept_unscreened=settings.accept_unscreened))
