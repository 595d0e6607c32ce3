"""What a command was asked for and how long it took, so that it can be asked again in another workplace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.settings import Settings
from balancer.store.settings import ASKED, RUN, SECONDS
from balancer.workspace.settings import AdaptSettings, FillSettings

if TYPE_CHECKING:
    from balancer.workspace.workspace import Session

_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_PLACED = re.compile(r"([A-Za-z_][\w.-]+:)?(.*)", re.DOTALL)  # a family, and its weights
_KINDS: Mapping[str, type[Settings]] = {"adapt": AdaptSettings, "fill": FillSettings}
_PLACES = ("base", "model", "adapter", "pack")
"""Options that may name a file or folder: kept relative to the working folder, and asked again by their whole path."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One command's options, as far as they are not the usual ones, and the seconds that it took."""

    options: Mapping[str, Any]
    seconds: float

    def arguments(self, home: Path, changes: Mapping[str, Any]) -> list[str]:
        """What to type after the command's name, with some options changed (`None`: left out).

        >>> Asked({"target": ["max"], "no_screen": True, "seed": 3}, 1.0).arguments(Path(), {"seed": 4})
        ['--target', 'max', '--no-screen', '--seed', '4']
        """
        found: list[str] = []
        for name, value in {**self.options, **changes}.items():
            option = f"--{name.replace('_', '-')}"
            if value is True:
                found.append(option)
            elif isinstance(value, list | tuple):
                found += [word for each in value for word in (option, str(each))]
            elif value is not None and value is not False:
                placed = name in _PLACES and name not in changes and (home / str(value)).exists()
                found += [option, str((home / str(value)).resolve()) if placed else str(value)]
        return found

    def as_told(self, home: Path) -> list[str]:
        """The same for a page that is sent around: files and folders by their last part.

        >>> Asked({"model": "vae:/srv/Ann O'Neil/w.pt", "pack": "../ann/rays.yaml", "seed": 3}, 1.0).as_told(Path())
        ['--model', 'vae:w.pt', '--pack', 'rays.yaml', '--seed', '3']
        """
        places = {name: _told(str(value), home) for name, value in self.options.items() if name in _PLACES and value}
        return self.arguments(home, places)


def _told(place: str, home: Path) -> str:
    if _HUB_NAME.fullmatch(place) and not (home / place).exists():
        return place
    family, rest = _PLACED.fullmatch(place).groups("")  # type: ignore[union-attr]  # it takes any text
    return family + re.split(r"[/\\]", rest.rstrip("/\\"))[-1]


def asked_of(session: Session, command: str, made: str = "") -> Asked | None:
    """What a command was last asked for, for this collection; or when it `made` what is called so."""
    name = f"{command}: {made}" if made else command
    record = session.ledger.setting(session.collection, RUN.of(name))
    if record is None:  # version 0.1
        options = session.ledger.setting(session.collection, ASKED.of(name))
        seconds = session.ledger.setting(session.collection, SECONDS.of(name))
        return None if options is None else Asked(options, seconds or 0.0)
    found = _KINDS[command].from_json(record["settings"]).changed()
    if found.pop("harmonise", True) is False:
        found["no_intensity_matching"] = True
    return Asked(found, record["seconds"])
