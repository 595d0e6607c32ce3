"""Which settings a run had and how long it took, so that it can be repeated elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from balancer.errors import SettingsError, StateError
from balancer.settings import Settings
from balancer.store.setting_names import ASKED, RUN, SECONDS, RunFields
from balancer.workspace.last_fill import portable
from balancer.workspace.settings import SQUARE

if TYPE_CHECKING:
    from balancer.workspace.workspace import Session

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class RunRecord(Generic[S]):
    """One run's settings, its files and folders by their whole path, and the seconds that it took."""

    settings: S
    seconds: float


def remember_run(session: Session, command: str, settings: Settings, seconds: float, made: str = "") -> None:
    """Remember the last run of a command, and the one that `made` something by that name.

    A run that found all done says nothing of how long it takes: of the same settings the longest run counts.
    """
    kept = movable(session, settings)
    with session.ledger.atomic():
        for name in filter(None, (command, made and f"{command}: {made}")):
            earlier = session.ledger.setting(session.collection, RUN.of(name))
            same = earlier is not None and earlier["settings"] == kept.to_json()
            longest = max(seconds, earlier["seconds"]) if earlier is not None and same else seconds
            record = RunFields(settings=kept.to_json(), seconds=round(longest, 1))
            session.ledger.save_setting(session.collection, RUN.of(name), record)


def movable(session: Session, settings: S) -> S:
    """Settings whose files and folders are relative to the working folder, as they are remembered."""
    return settings.with_places(lambda place: portable(Path(place), session.state) if Path(place).exists() else place)


def last_run(session: Session, command: str, kind: type[S], made: str = "") -> RunRecord[S] | None:
    """The last run of a command for this collection, or the one that `made` something by that name.

    What version 0.1 remembered is read too.

    Raises:
        StateError: another version remembered settings that this one does not know.
    """
    name = f"{command}: {made}" if made else command
    found = session.ledger.setting(session.collection, RUN.of(name))
    if found is None:
        options = session.ledger.setting(session.collection, ASKED.of(name))
        if options is None:
            return None
        seconds = session.ledger.setting(session.collection, SECONDS.of(name))
        found = RunFields(settings=_from_options(options), seconds=seconds or 0.0)
    try:
        settings = kind.from_json(_of_this_version(command, found["settings"]))
    except SettingsError as error:
        raise StateError(
            needed=f"the settings of the last {command} as this version knows them",
            found=f"a record of another version: {error.found} ({error.needed})",
            next_step="run it again to record them: balance adapt or balance fill, with the same options",
        ) from error
    return RunRecord(settings.with_places(lambda place: _whole(place, session.home)), found["seconds"])


def _of_this_version(command: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with what an earlier version did without being asked: every adapter learned from squares."""
    squares = command == "adapt" and settings.get("base") is not None
    return {**({"aspect_ratio": SQUARE} if squares else {}), **settings}


def _whole(place: str, home: Path) -> str:
    return str((home / place).resolve()) if (home / place).exists() else place


def _from_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of what version 0.1 remembered: options by the name that was typed, those switched off by another."""
    found = dict(options)
    if found.pop("as_drawn", False):
        found["harmonise"] = False
    return found
