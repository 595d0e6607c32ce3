"""What the report's page is made of: sections of blocks, each of them plain text and numbers.

`page.html` shows each kind of block, and escapes all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from analysis.report.charts import Chart


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; `tone` is "", "quiet" (a note), "verdict" or "warning"."""

    kind: ClassVar[str] = "words"
    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list; `tone` "stamps" shows it as what must not be overlooked."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the first cell of a row names it, the other cells are figures, or with `prose` text."""

    kind: ClassVar[str] = "table"
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    prose: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure, with what it shows."""

    kind: ClassVar[str] = "plot"
    chart: Chart
    caption: str


@dataclass(frozen=True, slots=True)
class Strip:
    """Small images of one class, real above synthetic, as data URIs."""

    kind: ClassVar[str] = "strip"
    label: str
    rows: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands that the reader can copy, one per line."""

    kind: ClassVar[str] = "commands"
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Paste:
    """Text to be copied as a whole: one click selects it."""

    kind: ClassVar[str] = "paste"
    text: str


Block = Words | Heading | Bullets | Table | Plot | Strip | Commands | Paste


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; `name` is its address in it."""

    name: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def missing(what: str, command: str) -> list[Block]:
    """In place of what is not known yet: how to get it."""
    return [Words(f"{what} Type:", "quiet"), Commands([command])]
