"""Settings classes as options: what a command may be told is declared once, in its settings."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, cast, get_args, get_origin

import typer

from balancer.cli.console import be_quiet
from balancer.settings import Settings, hints

JSON = typer.Option(False, "--json", help="Print the result as JSON.")
"""The option of commands that print their result for programs."""


SETTINGS: dict[str, type[Settings]] = {}
"""The settings class of each command that has one, by the name of the command."""
QUIET = typer.Option(False, "--quiet", help="Print results and errors alone: no messages, no progress.")
"""The option of every command."""


def command(kind: type[Settings] | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn a function of settings, and of options by keyword, into one that typer reads all its options from.

    The settings are made of what was given; what they refuse becomes a message, as every error of ours. Without a
    settings class the function has its options alone.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[kind is not None :]
        names = [] if kind is None else [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]

        @functools.wraps(function)
        def run(*, quiet: bool, **given: Any) -> None:
            if quiet:
                be_quiet()
            chosen = {name: given.pop(name) for name in names}
            settings = [] if kind is None else [kind(**{n: value for n, value in chosen.items() if value is not None})]
            function(*settings, **given)

        silent = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=QUIET, annotation=bool)
        parameters = [*(_parameter(cast(Any, kind), name) for name in names), *own, silent]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        if kind is not None:
            SETTINGS[function.__name__] = kind
        return run

    return decorate


def _parameter(kind: type[Settings], name: str) -> inspect.Parameter:
    """One field as typer declares options; a tuple is an option that may be given more than once."""
    field = next(each for each in dataclasses.fields(kind) if each.name == name)  # type: ignore[arg-type]
    annotation, facts = hints(kind)[name], field.metadata
    inner = [each for each in get_args(annotation) if each is not NoneType] if _is_optional(annotation) else []
    plain = inner[0] if inner else annotation
    extra = {} if facts["minimum"] is None else {"min": facts["minimum"]}
    if field.default is dataclasses.MISSING:
        default = typer.Argument(help=facts["help"])
    elif facts["argument"]:
        default = typer.Argument(field.default, help=facts["help"])
    elif plain is bool:
        flags = facts["flags"] or (f"--{name.replace('_', '-')}",)
        default = typer.Option(field.default, *flags, help=facts["help"])
    elif get_origin(plain) is tuple:
        each = get_args(plain)[0]
        shown = f"<{each.__name__}>..."
        default = typer.Option(None, *facts["flags"], help=facts["help"], metavar=shown, **extra)
        plain = list[each]  # type: ignore[valid-type]
    else:
        default = typer.Option(field.default, *facts["flags"], help=facts["help"], **extra)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=plain)


def _is_optional(annotation: Any) -> bool:
    return isinstance(annotation, UnionType) and NoneType in get_args(annotation)
