"""What the last fill made and judged, so that it can be merged again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from balancer.collection.scan import Collection
from balancer.filling.acceptance import is_accepted
from balancer.filling.verdicts import Judged, LabelRecords
from balancer.store.database import Ledger
from balancer.store.setting_names import LAST_FILL, FillFields
from balancer.store.state_dir import State


@dataclass(frozen=True, slots=True)
class FillManifest:
    """The last fill: `deficits` of the first accepted images of `jobs`, by class, are merged.

    `jobs` are the ids of all images that it looked at, in order. `run` and `stamps` are what the dataset card says of
    it, `place` is where its balanced folder is, relative to the working folder; `flat`: it was merged without splits.
    `form` is the format that was asked for.
    """

    deficits: Mapping[str, int]
    jobs: Mapping[str, Sequence[str]]
    run: Mapping[str, str]
    stamps: Sequence[str]
    place: str
    flat: bool
    form: str | None = None

    def save(self, ledger: Ledger, collection: Collection) -> None:
        """Remember it as the last one of a collection."""
        ledger.save_setting(collection, LAST_FILL, cast(FillFields, asdict(self)))

    @classmethod
    def load(cls, ledger: Ledger, collection: Collection) -> FillManifest | None:
        """The last one of a collection."""
        found = ledger.setting(collection, LAST_FILL)
        if found is None:
            return None
        kept = {name: value for name, value in found.items() if name != "usable"}  # as version 0.1 wrote it
        return cls(**cast(Any, kept))

    def accepted(self, records: Mapping[str, LabelRecords]) -> dict[str, list[Judged]]:
        """The images that are accepted now: what was rejected since gives way to the next in order."""
        return {
            label: _accepted(ids, records[label])[: self.deficits.get(label, 0)]
            for label, ids in self.jobs.items()
            if label in records
        }

    def short(self, records: Mapping[str, LabelRecords]) -> dict[str, tuple[int, int]]:
        """Classes that lost images since the fill: how many are missing, and how many there should be."""
        found = {label: len(judged) for label, judged in self.accepted(records).items()}
        return {
            label: (self.deficits[label] - count, self.deficits[label])
            for label, count in found.items()
            if count < self.deficits[label]
        }


def portable(path: Path, state: State) -> str:
    """A path relative to the working folder, so that both can move together."""
    return Path(os.path.relpath(path.resolve(), state.folder.resolve().parent)).as_posix()


def _accepted(ids: Sequence[str], records: LabelRecords) -> list[Judged]:
    found = (records.judged.get(each) for each in ids)
    return [each for each in found if each is not None and is_accepted(each[1])]
