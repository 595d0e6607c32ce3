"""The last fill: what it was asked for, made and judged, so that it can be merged again, or done again elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from balancer.collection.scan import Collection
from balancer.filling.screening import Judged, LabelRecords, is_accepted
from balancer.store.database import Ledger
from balancer.store.state_dir import State
from balancer.workspace.settings import FillSettings

_SETTING = "last fill"
_PLACES = ("model", "adapter", "pack")
"""Settings that may name a file or folder."""


@dataclass(frozen=True, slots=True)
class FillManifest:
    """The last fill: `deficits` of the first accepted images of `jobs`, by class, are merged.

    `jobs` are the ids of all images that it looked at, in order. `run` and `stamps` are what the dataset card says of
    it, `place` is where its balanced folder is, relative to the working folder; `flat`: it was merged without splits.
    `settings` are what was asked for, with files and folders relative to the working folder, and `adapt` the options
    that its model was adapted with here; `None` where that is not on record. `seconds` is how long it took.
    """

    deficits: Mapping[str, int]
    jobs: Mapping[str, Sequence[str]]
    run: Mapping[str, str]
    stamps: Sequence[str]
    place: str
    flat: bool
    settings: FillSettings | None = None
    adapt: Mapping[str, Any] | None = None
    seconds: float = 0.0

    def save(self, ledger: Ledger, collection: Collection) -> None:
        """Remember it as the last one of a collection."""
        settings = None if self.settings is None else self.settings.to_json()
        ledger.save_setting(collection, _SETTING, {**asdict(replace(self, settings=None)), "settings": settings})

    @classmethod
    def load(cls, ledger: Ledger, collection: Collection) -> FillManifest | None:
        """The last one of a collection; one of version 0.1 is read as this version writes it."""
        found = ledger.setting(collection, _SETTING)
        if found is None:
            return None
        if "usable" in found:
            options, seconds = (ledger.setting(collection, f"{name} of fill") for name in ("asked", "seconds"))
            found = fill_options_to_settings(found, options, seconds or 0.0)
        settings = found.pop("settings")
        return cls(**found, settings=None if settings is None else FillSettings.from_json(settings))

    def accepted(self, records: Mapping[str, LabelRecords]) -> dict[str, list[Judged]]:
        """The images that are accepted now: what was rejected since gives way to the next in order."""
        return {
            label: _accepted(ids, records[label])[: self.deficits.get(label, 0)]
            for label, ids in self.jobs.items()
            if label in records
        }

    def short(self, records: Mapping[str, LabelRecords]) -> dict[str, tuple[int, int]]:
        """Of each class that has lost images since: how many it lacks, of how many."""
        found = {label: len(judged) for label, judged in self.accepted(records).items()}
        return {
            label: (self.deficits[label] - count, self.deficits[label])
            for label, count in found.items()
            if count < self.deficits[label]
        }


def fill_options_to_settings(
    found: Mapping[str, Any], options: Mapping[str, Any] | None, seconds: float
) -> dict[str, Any]:
    """Migration from 0.1: the options of the last fill stood beside it, as words of the command line.

    >>> fill_options_to_settings({"flat": False, "usable": ["accept"]}, {"target": ["9"], "as_drawn": True}, 2.0)
    {'flat': False, 'settings': {'target': ['9'], 'harmonise': False}, 'seconds': 2.0}
    """
    kept = {name: value for name, value in found.items() if name != "usable"}
    settings = None if options is None else {name: value for name, value in options.items() if name != "as_drawn"}
    if options is not None and settings is not None and options.get("as_drawn"):
        settings["harmonise"] = False
    return {**kept, "settings": settings, "seconds": seconds}


def portable_settings(settings: FillSettings, state: State) -> FillSettings:
    """The same with files and folders relative to the working folder, so that all can move together; without `out`."""
    return _with_places(settings, lambda place: portable(place, state) if place.exists() else None)


def placed_settings(settings: FillSettings, home: Path) -> FillSettings:
    """The same with the whole paths of files and folders that are relative to the working folder `home`."""
    return _with_places(settings, lambda place: str((home / place).resolve()) if (home / place).exists() else None)


def portable(path: Path, state: State) -> str:
    """A path relative to the working folder, so that both can move together."""
    return Path(os.path.relpath(path.resolve(), state.folder.resolve().parent)).as_posix()


def _with_places(settings: FillSettings, moved: Callable[[Path], str | None]) -> FillSettings:
    given = {name: getattr(settings, name) for name in _PLACES}
    found = {name: moved(Path(value)) or str(value) for name, value in given.items() if value is not None}
    return replace(settings, out=None, **found)


def _accepted(ids: Sequence[str], records: LabelRecords) -> list[Judged]:
    found = (records.judged.get(each) for each in ids)
    return [each for each in found if each is not None and is_accepted(each[1])]
