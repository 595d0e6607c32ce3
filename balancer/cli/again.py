"""What a command was asked for and how long it took, so that it can be asked again in another workplace."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from balancer.workspace.settings import AdaptSettings

if TYPE_CHECKING:
    from balancer.workspace.workspace import Session

_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_PLACED = re.compile(r"([A-Za-z_][\w.-]+:)?(.*)", re.DOTALL)  # a family, and its weights
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


@contextmanager
def remembered(session: Session, context: typer.Context, made: str = "") -> Iterator[None]:
    """Remember what the present command was asked for, once the block has come to its end; and for what it `made`."""
    began = time.monotonic()
    yield
    usual = {each.name: each for each in context.command.params}
    options = {
        _option(usual[name], value): value is False or _portable(session, name, value)
        for name, value in context.params.items()
        if value not in (None, usual[name].default, []) and name not in ("out", "dry_run")
    }
    asked = Asked(options, round(time.monotonic() - began, 1))
    for name in filter(None, (str(context.info_name), made and _for(str(context.info_name), made))):
        _keep(session, name, asked)


def asked_of(session: Session, command: str, made: str = "") -> Asked | None:
    """What a command was last asked for, for this collection; or when it `made` what is called so."""
    command = _for(command, made) if made else command
    record = session.ledger.setting(session.collection, f"run of {command}")
    if record is not None:
        usual = AdaptSettings.from_json(record["settings"])
        return Asked(usual.changed(), record["seconds"])
    options = session.ledger.setting(session.collection, f"asked of {command}")
    seconds = session.ledger.setting(session.collection, f"seconds of {command}")
    return None if options is None else Asked(options, seconds or 0.0)


def _keep(session: Session, command: str, asked: Asked) -> None:
    """A run that found all done is no measure of one that did it: of the same options the longest counts."""
    earlier = asked_of(session, command)
    same = earlier is not None and json.dumps(earlier.options) == json.dumps(asked.options)
    seconds = max(asked.seconds, earlier.seconds) if earlier is not None and same else asked.seconds
    with session.ledger.atomic():
        session.ledger.save_setting(session.collection, f"asked of {command}", asked.options)
        session.ledger.save_setting(session.collection, f"seconds of {command}", seconds)


def _for(command: str, made: str) -> str:
    return f"{command}: {made}"


def _option(parameter: Any, value: Any) -> str:
    """The name by which a value is asked for: what is switched off has a name of its own."""
    name: str = parameter.secondary_opts[0] if value is False else parameter.opts[0]
    return name.removeprefix("--").replace("-", "_")


def _portable(session: Session, name: str, value: Any) -> Any:
    from balancer.workspace.last_fill import portable

    if isinstance(value, Path) or (name in _PLACES and Path(str(value)).exists()):
        return portable(Path(value), session.state)
    return value


def last_model(session: Session) -> str | None:
    """The model that the last fill named."""
    filled = asked_of(session, "fill")
    named = "" if filled is None else str(filled.options.get("model", ""))
    place = session.state.folder.resolve().parent / named
    return str(place) if named and place.exists() else named or None
