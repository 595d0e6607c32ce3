"""Options from a file: `balance.toml` in the working folder or above has a table for each command.

    [fill]
    target = ["500"]
    max-ratio = 10

What is typed wins. A place is relative to the file's folder.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from balancer.errors import SettingsError
from balancer.settings import Settings, hints

NAME = "balance.toml"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file's options by command: `given` as it says them, by field; `place` is the file."""

    place: Path
    given: Mapping[str, Mapping[str, Any]]

    def defaults(self) -> dict[str, dict[str, Any]]:
        """What typer takes in place of its own defaults, by command."""
        return {command: dict(fields) for command, fields in self.given.items()}


def find_config(folder: Path) -> Path | None:
    """The nearest `balance.toml`, in the folder or above."""
    return next((each / NAME for each in (folder, *folder.parents) if (each / NAME).is_file()), None)


def read_config(place: Path, commands: Mapping[str, type[Settings]]) -> ConfigFile:
    """Read and check a file of options; `commands` are the settings classes by the name of their command.

    Raises:
        SettingsError: it is no TOML, or has a command, an option or a value that there is not.
    """
    try:
        tables = tomllib.loads(place.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            needed=f"a TOML file in {NAME}", found=str(error), next_step="correct the line, then: balance config show"
        ) from error
    given = {}
    for command, table in tables.items():
        _require_known(command, commands, f"a command's table in {NAME}")
        if not isinstance(table, dict):
            raise _refused(
                f"a table [{command}] in {NAME}", repr(table), f"write [{command}], and its options below it"
            )
        given[command] = _fields(commands[command], command, table, place.parent)
    return ConfigFile(place, given)


def in_force(kind: type[Settings], given: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Each field's value when nothing is typed, as JSON knows it, and where it comes from."""
    found: dict[str, tuple[Any, str]] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        from_file = field.name in given
        value = given[field.name] if from_file else field.default
        value = None if value is dataclasses.MISSING else list(value) if isinstance(value, tuple) else value
        source = NAME if from_file else "must be typed" if field.default is dataclasses.MISSING else "default"
        found[field.name.replace("_", "-")] = (str(value) if isinstance(value, Path) else value, source)
    return found


def _fields(kind: type[Settings], command: str, table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The values of a command's table by field, each checked as its settings class would."""
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    found = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        _require_known(name, fields, f"an option of {command} in {NAME}", key)
        try:
            value = kind.checked(name, _as_typed(value, hints(kind)[name]))
        except SettingsError as error:
            raise _refused(f"{error.needed}, in {NAME}", error.found, error.next_step) from error
        found[name] = _from(folder, value) if fields[name].metadata["place"] or isinstance(value, Path) else value
    return found


def _as_typed(value: Any, kind: Any) -> Any:
    """A number where the option is a text, or a list of texts, as it would be typed: `target = 500`."""
    is_text = kind in (str, str | None, tuple[str, ...])
    return str(value) if is_text and isinstance(value, int | float) and not isinstance(value, bool) else value


def _from(folder: Path, value: Any) -> Any:
    """A file or folder that the file names, as it is called from the working folder; other names as they are."""
    if value is None or not (isinstance(value, Path) or (folder / str(value)).exists()):
        return value
    return type(value)(os.path.relpath(folder / value))


def _require_known(name: str, known: Mapping[str, Any], needed: str, written: str = "") -> None:
    if name not in known:
        near = get_close_matches(name, known, n=1)
        options = ", ".join(each.replace("_", "-") for each in known)
        raise _refused(needed, written or name, f"use {near[0].replace('_', '-')}" if near else f"one of: {options}")


def _refused(needed: str, found: str, next_step: str) -> SettingsError:
    return SettingsError(needed=needed, found=found, next_step=next_step)
