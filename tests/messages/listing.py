"""Texts that a user can see, found in the source: messages, results, errors, options, help, sentences of reports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("balancer", "analysis")
SPEAKERS = {"message", "result", "note", "option", "Option", "Argument", "Finding", "Check"}
PARTS = {"needed", "found", "next_step", "help", "message", "fix"}
_NO_TEXT = re.compile(r"\b(?:SELECT|FROM|WHERE|TABLE|ORDER BY|ROLLBACK)\b|\\b|\(\?[:!<i]")  # SQL, regular expressions


@dataclass(frozen=True, slots=True)
class Text:
    """One text: where it is, and its words, with `{}` for what is filled in."""

    place: str
    words: str

    def __str__(self) -> str:
        return f"{self.place}: {self.words}".encode(errors="backslashreplace").decode()


def texts() -> Iterator[Text]:
    """All of them, file by file, in the order of the source."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            tree = ast.parse(path.read_text("utf-8"))
            for line, words in sorted({*_spoken(tree, path), *_sentences(tree, _docstrings(tree))}):
                yield Text(f"{name}:{line}", words)
        for path in sorted((ROOT / package).rglob("templates/*.*")):
            for words in _template(path.read_text("utf-8")) if path.suffix != ".css" else ():
                yield Text(path.relative_to(ROOT).as_posix(), words)


def _template(source: str) -> Iterator[str]:
    """The words of a template, and the texts in its expressions, paragraph by paragraph and branch by branch."""
    for said in re.findall(r'"([^"{}<>]*)"', " ".join(re.findall(r"\{[{%].*?[%}]\}", source, re.DOTALL))):
        if len(said.split()) > 2:
            yield said
    plain = re.sub(r"\{#.*?#\}", "", source, flags=re.DOTALL)
    plain = re.sub(r"\{\{.*?\}\}", "{}", plain, flags=re.DOTALL)
    for part in re.split(r"\{%.*?%\}|<[^>]*>|\|", plain, flags=re.DOTALL):
        if len(part.split()) > 2:
            yield " ".join(part.split())


def _spoken(tree: ast.Module, path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for value in _arguments(node):
                if words := _words(value):
                    yield value.lineno, words
        if isinstance(node, ast.FunctionDef) and "commands" in path.parts and not node.name.startswith("_"):
            yield node.lineno, " ".join((ast.get_docstring(node) or "").split())


def _sentences(tree: ast.AST, docstrings: set[ast.AST]) -> Iterator[tuple[int, str]]:
    """Every other string of three words or more, since a message may be put together elsewhere than it is shown."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp) and (words := _words(node)):
            if node not in docstrings and len(words.split()) > 2 and not _NO_TEXT.search(words):
                yield node.lineno, words
        else:
            yield from _sentences(node, docstrings)


def _docstrings(tree: ast.Module) -> set[ast.AST]:
    bodies = (getattr(node, "body", None) for node in ast.walk(tree))
    lines = (line for body in bodies if isinstance(body, list) for line in body)
    return {line.value for line in lines if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)}


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
