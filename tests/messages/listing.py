"""Texts that a user can see, found in the source: messages, results, errors, options, and what commands say of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("balancer", "analysis")
SPEAKERS = {"message", "result", "note", "option", "Option", "Argument", "Finding", "Check"}
PARTS = {"needed", "found", "next_step", "help", "message", "fix"}


@dataclass(frozen=True, slots=True)
class Text:
    """One text: where it is, and its words, with `{}` for what is filled in."""

    place: str
    words: str

    def __str__(self) -> str:
        return f"{self.place}: {self.words}"


def texts() -> Iterator[Text]:
    """All of them, file by file, in the order of the source."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            for line, words in sorted(set(_spoken(ast.parse(path.read_text("utf-8")), path))):
                yield Text(f"{name}:{line}", words)


def _spoken(tree: ast.Module, path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for value in _arguments(node):
                if words := _words(value):
                    yield value.lineno, words
        if isinstance(node, ast.FunctionDef) and "commands" in path.parts and not node.name.startswith("_"):
            yield node.lineno, " ".join((ast.get_docstring(node) or "").split())


def _arguments(call: ast.Call) -> Iterator[ast.expr]:
    """What a call says: all that a speaker is handed, and the parts of an error by name."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in SPEAKERS:
        yield from call.args
    if name in SPEAKERS or name.endswith("Error") or name in ("OutOfMemory", "DamagedLedger"):
        yield from (keyword.value for keyword in call.keywords if keyword.arg in PARTS)


def _words(value: ast.expr) -> str:
    """The text of an expression; parts that are filled in stand as `{}`."""
    if isinstance(value, ast.Constant):
        return value.value if isinstance(value.value, str) else ""
    if isinstance(value, ast.JoinedStr):
        return "".join(_words(part) if isinstance(part, ast.Constant) else "{}" for part in value.values)
    if isinstance(value, ast.BinOp):
        return _words(value.left) + _words(value.right)
    if isinstance(value, ast.IfExp):
        return " / ".join(filter(None, (_words(value.body), _words(value.orelse))))
    return ""
