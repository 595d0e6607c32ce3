"""Whatever a message tells to type is there to be typed: every `next_step` and `fix` that stands in the code."""

import ast
import re

import pytest

from tests.support.advised_commands import faults
from tests.test_architecture import MODULES, ROOT

_SAID = {"next_step", "fix"}


def text_of(node):
    """A text as it stands in the code; a word X for what is put in when it runs."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return re.sub(r"(?<=\w) ?\0", " X", "".join(map(text_of, parts))).replace("\0", "X")
        case ast.BinOp(left=left, right=right):
            return text_of(left) + text_of(right)
        case ast.IfExp(body=body, orelse=orelse):
            return f"{text_of(body)}\n{text_of(orelse)}"
    return "\0"


def advice(path):
    """What the messages of a module tell to do, with its line."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.keyword) and node.arg in _SAID:
            yield node.value.lineno, text_of(node.value).replace("\0", "X")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_and_option_that_a_message_names_is_there(path):
    assert {line: found for line, text in advice(path) if (found := list(faults(text)))} == {}


def test_there_is_much_advice():
    assert sum(len(list(advice(path))) for path in MODULES) > 150


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("balance fill --target 500, or: balance merge --from FOLDER", 0),
        ("the same balance fill again takes up what is there", 0),
        ("balance fill --help shows its options", 0),
        ("balance fil --target 500", 1),
        ("balance fill --targets 500", 2),
        ("balance split --folds many", 1),
        ("balance scan DATA --patients FILE.csv --columns 'patient=COLUMN'", 0),
    ],
)
def test_what_cannot_be_typed_is_found(text, count):
    assert len(list(faults(text))) == count
