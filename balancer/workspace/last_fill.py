"""What a merge takes without making or judging anything: the last fill's images, and those made elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from balancer.collection.scan import Collection
from balancer.filling.screening import Judged, Known, is_usable
from balancer.store.database import Ledger
from balancer.store.settings import LAST_FILL, FillFields
from balancer.store.state_dir import State


@dataclass(frozen=True, slots=True)
class LastFill:
    """The last fill, as far as it takes to merge it again: `deficits` of the first usable images of `jobs`, by class.

    `jobs` are the ids of all images that it looked at, in order. `run` and `stamps` are what the card says of it,
    `place` is where its balanced folder is, relative to the working folder; `flat`: it was merged without parts.
    `usable` are the decisions that let an image in.
    """

    deficits: Mapping[str, int]
    jobs: Mapping[str, Sequence[str]]
    run: Mapping[str, str]
    stamps: Sequence[str]
    place: str
    flat: bool
    usable: Sequence[str]

    def save(self, ledger: Ledger, collection: Collection) -> None:
        """Remember it."""
        ledger.save_setting(collection, LAST_FILL, cast(FillFields, asdict(self)))

    @classmethod
    def load(cls, ledger: Ledger, collection: Collection) -> LastFill | None:
        """The last one of a collection."""
        found = ledger.setting(collection, LAST_FILL)
        return None if found is None else cls(**found)

    def accepted(self, known: Mapping[str, Known]) -> dict[str, list[Judged]]:
        """The images that count now: what was rejected since gives way to the next in order."""
        return {
            label: self._usable(ids, known[label])[: self.deficits.get(label, 0)]
            for label, ids in self.jobs.items()
            if label in known
        }

    def _usable(self, ids: Sequence[str], known: Known) -> list[Judged]:
        found = (known.judged.get(each) for each in ids)
        return [each for each in found if each is not None and is_usable(each[1], self.usable)]


def known_of(ledger: Ledger, collection: Collection) -> dict[str, Known]:
    """What the ledger holds of every class."""
    return {label: Known.of(ledger, collection, label) for label in collection.labels}


def made_elsewhere(known: Mapping[str, Known], form: str) -> dict[str, list[Judged]]:
    """Usable images of other generators by class, as far as they are in the file format `form`."""
    return {
        label: [each for each in some.made_elsewhere() if each[0].origin and each[0].origin.form == form]
        for label, some in known.items()
    }


def portable(path: Path, state: State) -> str:
    """A path relative to the working folder, so that both can move together."""
    return Path(os.path.relpath(path.resolve(), state.folder.resolve().parent)).as_posix()
