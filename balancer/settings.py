"""Settings: one frozen class for each command, the same from the command line, from JSON and from Python."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Self, get_origin, get_type_hints

from balancer.errors import SettingsError


def option(
    default: Any = dataclasses.MISSING,
    help: str = "",
    *,
    minimum: float | None = None,
    flags: tuple[str, ...] = (),
    argument: bool = False,
    place: bool = False,
) -> Any:
    """A field of a settings class, with what the command line says of it.

    A field without a default is the command's argument, one with `argument` an argument that may be left out.
    `minimum` is the least that a number may be. `flags` name the option otherwise than the field, as `--quick` or
    `--shuffle/--no-shuffle`. A `place` may name a file or folder, which is kept relative to the working folder.
    """
    facts = {"help": help, "minimum": minimum, "flags": flags, "argument": argument, "place": place}
    return dataclasses.field(default=default, metadata=facts)


def strict_converter() -> Any:
    """A converter of `cattrs` for JSON that takes no value for one of another kind, as "3" for 3 or 1 for True."""
    import cattrs

    converter = cattrs.Converter()
    converter.register_unstructure_hook(Path, str)
    converter.register_structure_hook(str, lambda value, _: _only(value, str))
    converter.register_structure_hook(bool, lambda value, _: _only(value, bool))
    converter.register_structure_hook(int, lambda value, _: _only(value, int))
    converter.register_structure_hook(float, lambda value, _: float(_only(value, int | float)))
    return converter


@cache
def _converter() -> Any:
    return strict_converter()


def _only(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(value)
    return value


class Settings:
    """The base of all settings classes; its fields are made by `option`, and checked once.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Cut(Settings):
    ...     data: Path = option(help="Folder.")
    ...     parts: int = option(5, "How many.", minimum=2)
    >>> Cut("xrays")
    Cut(data=PosixPath('xrays'), parts=5)
    >>> Cut.from_json(Cut("xrays", 3).to_json()).changed()
    {'data': 'xrays', 'parts': 3}
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # every heir is a dataclass
            object.__setattr__(self, field.name, self.checked(field.name, getattr(self, field.name)))
        self.check()

    @classmethod
    def checked(cls, name: str, value: Any) -> Any:
        """The value of one field as the settings would hold it.

        Raises:
            SettingsError: it is of another kind, or less than it may be.
        """
        found = _checked(cls, name, value, hints(cls)[name])
        minimum = next(each for each in dataclasses.fields(cls) if each.name == name).metadata.get("minimum")  # type: ignore[arg-type]
        if minimum is not None and found is not None and not found >= minimum:
            raise _refused(cls, name, f"at least {minimum:g}", value)
        return found

    def check(self) -> None:
        """Refuse what does not fit together; heirs say what that is."""

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON knows them, by name."""
        found: dict[str, Any] = _converter().unstructure(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}

    def changed(self) -> dict[str, Any]:
        """The fields that are not as they are by default, as JSON knows them."""
        usual = {field.name: field.default for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in self.to_json().items() if getattr(self, name) != usual[name]}

    def with_places(self, change: Callable[[str], str]) -> Self:
        """The settings with `change` applied to every file or folder that they name."""
        names = [field.name for field in dataclasses.fields(self) if field.metadata.get("place")]  # type: ignore[arg-type]
        named = {name: value for name in names if (value := getattr(self, name)) is not None}
        return dataclasses.replace(self, **{name: change(str(value)) for name, value in named.items()})  # type: ignore[type-var]

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The settings whose fields went through JSON; what is left out is as by default.

        Raises:
            SettingsError: a name that there is not, or a value of another kind.
        """
        names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for name in fields:
            if name not in names:
                near = get_close_matches(name, names, n=1)
                raise SettingsError(
                    needed=f"settings that {_command(cls)} knows",
                    found=name,
                    next_step=f"use {near[0]}" if near else f"one of: {', '.join(names)}",
                )
        return cls(**fields)


def as_command(settings: Settings) -> str:
    """What a person types for the same.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Cut(Settings):
    ...     data: Path = option(help="Folder.")
    ...     even: bool = option(True, "All alike.", flags=("--even/--uneven",))
    ...     keep: tuple[str, ...] = option((), "What stays.")
    >>> as_command(Cut("my xrays", even=False, keep=("a", "b")))
    "balance cut 'my xrays' --uneven --keep a --keep b"
    """
    fields = dataclasses.fields(settings)  # type: ignore[arg-type]
    words = (word for each in fields if getattr(settings, each.name) != each.default for word in _typed(settings, each))
    return shlex.join(["balance", _command(type(settings)), *words])


def _typed(settings: Settings, field: dataclasses.Field[Any]) -> Iterator[str]:
    value = getattr(settings, field.name)
    on, _, off = (field.metadata["flags"] or (f"--{field.name.replace('_', '-')}",))[0].partition("/")
    if field.default is dataclasses.MISSING or field.metadata["argument"]:
        yield str(value)
    elif isinstance(value, bool):
        yield on if value else off
    else:
        for each in value if isinstance(value, tuple) else (value,):
            yield from (on, str(each))


def hints(cls: type[Settings]) -> dict[str, Any]:
    """The types of all fields, by name."""
    return get_type_hints(cls)


def _checked(cls: type[Settings], name: str, value: Any, kind: Any) -> Any:
    if isinstance(value, str) and get_origin(kind) is tuple:
        value = (value,)  # one text is one entry, and not its letters
    try:
        return _converter().structure(value, kind)
    except Exception as error:  # cattrs raises errors of many kinds, in groups
        raise _refused(cls, name, getattr(kind, "__name__", str(kind)), value) from error


def _refused(cls: type[Settings], name: str, needed: str, value: Any) -> SettingsError:
    return SettingsError(
        needed=f"{name.replace('_', '-')} of {_command(cls)}: {needed}",
        found=repr(value),
        next_step=f"see balance {_command(cls)} --help",
    )


def _command(cls: type[Settings]) -> str:
    """The command that a settings class belongs to.

    >>> class FillSettings(Settings): ...
    >>> _command(FillSettings)
    'fill'
    """
    return getattr(cls, "COMMAND", cls.__name__.removesuffix("Settings").lower())
