"""The commands that a message tells to type, held against the command line that there is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import typer.main

from balancer.cli.app import app

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group
_NAMED = re.compile(r"(?<![\w./-])balance ([a-z-]+)([^,;()\n]*)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_NO_COMMAND = {"command", "made", "itself", "needs"}  # "the same balance command again"


def faults(text: str) -> Iterator[str]:
    """What in a text is no command, or no option of the command that it stands behind."""
    for command, rest in _NAMED.findall(text):
        if command not in COMMANDS:
            yield from [] if command in _NO_COMMAND else [f"balance {command}: no such command"]
            continue
        known = {name for each in COMMANDS[command].params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
        yield from (
            f"balance {command} {option}: no such option" for option in _OPTION.findall(rest) if option not in known
        )
        yield from _not_parsed(command, rest.partition(". ")[0].partition(": ")[0])


def _not_parsed(command: str, rest: str) -> Iterator[str]:
    """What the parser says of what stands behind a command, as far as it is no sentence."""
    words = _arguments(command, rest)
    if not any(each.startswith("--") for each in words):
        return
    context = {"resilient_parsing": False}
    try:
        COMMANDS[command].make_context(command, [re.sub("^[NX]$", "5", each) for each in words], **context)
    except Exception as error:
        if "Missing argument" not in str(error) and "Missing parameter" not in str(error):
            yield f"balance {command} {shlex.join(words)}: {error}"


def _arguments(command: str, rest: str) -> list[str]:
    """The words up to where a sentence goes on: options with their values, and what is in capitals or a place."""
    values = {name for each in COMMANDS[command].params if not getattr(each, "is_flag", False) for name in each.opts}
    found: list[str] = []
    try:
        words = shlex.split(rest)
    except ValueError:
        words = rest.split()
    for word in words:
        is_value = bool(found) and found[-1] in values
        if not (is_value or word.startswith("--") or re.fullmatch(r"(?!X$)[A-Z0-9_.-]+|.*[/.]\w.*", word)):
            break
        if word == "--help":
            break
        found.append(word.rstrip(".") if not is_value or word != "." else word)
    return found
