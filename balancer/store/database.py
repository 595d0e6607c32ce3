"""The memory of everything: collections, splits, candidates, verdicts, adapters. Only this room speaks SQL."""

from __future__ import annotations

import json
from typing import cast

from balancer.collection.scan import Collection
from balancer.store import serialization
from balancer.store.candidates import Candidates
from balancer.store.models import Models
from balancer.store.setting_names import Setting, Value


class Ledger(Candidates, Models):
    """The state folder's database; use it in a `with` block. All writes go through `atomic`, which takes the lock.

    Raises:
        DamagedLedger: it is not as it was written.
        StateError: it cannot be read or written, or a newer version of balance made it.
    """

    def setting(self, collection: Collection, name: Setting[Value]) -> Value | None:
        """What is remembered under a name, `None` when there is nothing."""
        where, values = "WHERE collection = ? AND name = ?", (self._key(collection), str(name))
        found = self._sound("settings", ("value",), where, values)
        return cast(Value, serialization.value_from(found[0][0])) if found else None

    def save_setting(self, collection: Collection, name: Setting[Value], value: Value) -> None:
        """Remember something that later runs must repeat."""
        self._insert("settings", [(self._key(collection), str(name), json.dumps(value))])
