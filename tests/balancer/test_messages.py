"""Bad news is visible: every error of ours says what was needed, what was found, and what to type."""

import ast
import re
from pathlib import Path

import pytest

from balancer import errors
from balancer.cli.app import app
from tests.balancer.cli.test_commands import MISTAKES

ROOT = Path(__file__).parents[2]
PARTS = {"needed", "found", "next_step"}
TREES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8"))
    for package in ("balancer", "analysis")
    for path in sorted((ROOT / package).rglob("*.py"))
}
NOT_MISTAKEN = {
    "doctor": "what it finds is its result",
    "fetch": "its mistakes need a hub: test_fetch.py",
    "presets": "it reads nothing of a user's",
    "status": "that nothing is there yet is its result",
}


def name_of(node):
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def error_classes():
    """The names of all classes below `BalanceError`, wherever they are defined."""
    bases = {
        node.name: {name_of(base) for base in node.bases}
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"BalanceError"}
    while more := {name for name, parents in bases.items() if parents & found} - found:
        found |= more
    return found


CLASSES = error_classes()
RAISED = [
    (f"{path}:{node.lineno}", node)
    for path, tree in TREES.items()
    for node in ast.walk(tree)
    if isinstance(node, ast.Call) and name_of(node.func) in CLASSES
]


def is_empty(value):
    """Whether an expression is certainly no text."""
    if isinstance(value, ast.Constant):
        return not isinstance(value.value, str) or not value.value.strip()
    return isinstance(value, ast.JoinedStr) and not value.values


def test_they_are_found():
    assert {"ModelError", "StateError", "OutOfMemory"} <= CLASSES
    assert len(RAISED) > 100
    assert {name for name in CLASSES if not hasattr(errors, name)} == set(), "errors.py draws the whole tree"
    assert all(name in errors.__doc__ for name in CLASSES)


@pytest.mark.parametrize("where", sorted(TREES))
def test_each_has_its_three_parts(where):
    wrong = []
    for place, call in RAISED:
        if place.rpartition(":")[0] == where and not any(keyword.arg is None for keyword in call.keywords):
            parts = {keyword.arg: keyword.value for keyword in call.keywords}
            if call.args or parts.keys() != PARTS or any(map(is_empty, parts.values())):
                wrong.append(place)
    assert wrong == []


def test_each_says_what_to_type():
    """A command, an option, a line for the shell or an argument in Python; what is put together is tested elsewhere."""
    dumb = []
    for place, call in RAISED:
        step = next((keyword.value for keyword in call.keywords if keyword.arg == "next_step"), None)
        words = isinstance(step, ast.Constant | ast.JoinedStr)
        if words and not re.search(
            r"balance [a-z]+|--[a-z{]|kill \{|export |ls -|\{option\} |[a-z_]+=|\{typed\(\)\}|\{(request\.)?again\}",
            ast.unparse(step),
        ):
            dumb.append(f"{place}: {ast.unparse(step)}")
    assert dumb == []


def test_every_command_has_a_mistake_in_the_table():
    commands = {command.callback.__name__ for command in app.registered_commands}
    assert commands - {arguments[0] for arguments, _, _ in MISTAKES} - NOT_MISTAKEN.keys() == set()
