"""What other packages bring by entry points: found in one place for all groups; a broken one is a message.

A plug-in is installed code and runs as such: install only what you trust.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from balancer.errors import BalanceError, PluginError

GENERATORS, SOURCES, LOGGERS = "balancer.generators", "balancer.sources", "balancer.loggers"
CHECKS, ARMS = "balancer.checks", "balancer.arms"
SCREENS, MONITORS = "balancer.screens", "balancer.monitors"
GROUPS = (GENERATORS, SOURCES, LOGGERS, CHECKS, ARMS, SCREENS, MONITORS)
"""All groups of entry points that balance reads."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed plug-in; nothing of it is imported before `load`."""

    entry: EntryPoint

    @property
    def name(self) -> str:
        """What a user calls it."""
        return self.entry.name

    @property
    def package(self) -> str:
        """The distribution that brings it, with its version.

        >>> Plugin(EntryPoint("mine", "nowhere:Mine", ARMS)).package
        'an unknown package'
        """
        found = self.entry.dist
        return "an unknown package" if found is None else f"{found.name} {found.version}"

    @property
    def is_ours(self) -> bool:
        """Whether balance itself brings it."""
        return self.entry.dist is not None and self.entry.dist.name == "xray-balancer"

    def load(self) -> Any:
        """What the entry point names.

        Raises:
            PluginError: it cannot be imported, or has no such name.
        """
        with self.guarded("a plug-in that can be imported"):
            return self.entry.load()

    @contextmanager
    def guarded(self, needed: str) -> Iterator[None]:
        """Turn whatever foreign code raises into a message that names the plug-in and its package.

        Raises:
            PluginError: the code within raised an error that is none of ours.
        """
        try:
            yield
        except BalanceError:
            raise
        except Exception as error:  # whatever foreign code raises
            raise self.error(needed, f"{type(error).__name__}: {error}".splitlines()[0]) from error

    def error(self, needed: str, found: str) -> PluginError:
        """The error of a plug-in that is not what it should be."""
        dist = self.entry.dist
        return PluginError(
            needed=f"{needed}: {self.name} (entry point of the group {self.entry.group}, from {self.package})",
            found=f"{self.entry.value}: {found}",
            next_step=f"correct it, or remove it: pip uninstall {'PACKAGE' if dist is None else dist.name}\n"
            "        all plug-ins that are installed: balance doctor",
        )


def find_plugins(group: str) -> dict[str, Plugin]:
    """All installed plug-ins of a group by name, in the order of their names; nothing is imported.

    Raises:
        PluginError: two packages bring the same name.
    """
    found: dict[str, Plugin] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        plugin = Plugin(entry)
        other = found.setdefault(entry.name, plugin)
        if other.entry.value != entry.value:
            raise plugin.error("one package for each plug-in", f"{other.package} brings another of this name")
    return found


def find_plugin(group: str, name: str, option: str) -> Plugin:
    """The installed plug-in of this name; `option` is how a user names it.

    Raises:
        PluginError: there is none.
    """
    found = find_plugins(group)
    if name in found:
        return found[name]
    raise PluginError(
        needed=f"an installed package that provides {name} (entry point of the group {group})",
        found=f"installed plug-ins: {', '.join(found) or 'none'}",
        next_step=f"install the package that provides it, or name another: {option} NAME",
    )
