"""What `adapt` made, in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from balancer.collection.scan import Collection
from balancer.store.collections import Collections
from balancer.store.connection import now


class Models(Collections):
    """What the database holds of adapters and checkpoints that were made here."""

    def add_adapter(self, collection: Collection, folder: Path) -> None:
        """Remember a finished adapter or checkpoint of a collection."""
        self._insert("adapters", [(self._key(collection), folder.name, now())])

    def adapters(self, collection: Collection) -> Sequence[Path]:
        """What `adapt` made for a collection, the newest first."""
        order = "WHERE collection = ? ORDER BY at DESC, rowid DESC"
        rows = self._sound("adapters", ("folder",), order, (self._key(collection),))
        return [self._state.adapters / name for (name,) in rows]

    def mark_exposed(self, collection: Collection, folders: Iterable[Path]) -> None:
        """Remember that the split was changed after these adapters had learned from it."""
        self._insert("exposed_adapters", [(self._key(collection), folder.name, now()) for folder in folders])

    def exposed(self, collection: Collection) -> set[Path]:
        """The adapters that learned from a split which was changed afterwards."""
        rows = self._sound("exposed_adapters", ("folder",), "WHERE collection = ?", (self._key(collection),))
        return {self._state.adapters / name for (name,) in rows}
