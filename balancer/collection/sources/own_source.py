"""A source that another package brings: `balance scan DATA --source NAME:ARGUMENT`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from balancer.collection.sources.reading import Reading, Source
from balancer.collection.walk import Listing
from balancer.plugins import SOURCES, Plugin, find_plugin


class SourcePlugin(Protocol):
    """What an entry point of the group `balancer.sources` names: called with (argument, root), it makes a source.

    `argument` is what follows the colon of `--source NAME:ARGUMENT`; `root` is the collection's folder, in which
    nothing may be written. The source's `read(listing)` gives a `Reading` of the files below the root; what it leaves
    out is counted there.
    """

    def __call__(self, argument: str, root: str) -> Source:
        """Make the source."""
        ...


@dataclass(frozen=True, slots=True)
class OwnSource:
    """The source that a plug-in makes, its errors as messages."""

    plugin: Plugin
    argument: str
    root: str

    def read(self, listing: Listing) -> Reading:
        """What it tells of the files.

        Raises:
            PluginError: the plug-in fails, or gives no reading.
        """
        make = self.plugin.load()
        with self.plugin.guarded("a source that can read the labels"):
            reading = make(self.argument, self.root).read(listing)
        if not isinstance(reading, Reading):
            raise self.plugin.error(f"a Reading, from {Reading.__module__}", type(reading).__name__)
        return reading


def own_source(text: str, root: str) -> OwnSource:
    """The source that `--source` names.

    Raises:
        PluginError: no installed package brings it.
    """
    name, _, argument = text.partition(":")
    return OwnSource(find_plugin(SOURCES, name, "--source"), argument, root)
