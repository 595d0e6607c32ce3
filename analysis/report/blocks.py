"""What the report's page is made of: sections of blocks, each of them plain text and numbers.

`page.html` draws each kind of block, and escapes all of it but the SVG of a `Plot`, which `svg.py` escapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from analysis.statistics.intervals import Interval

UNKNOWN = "–"
"""What a cell shows where nothing is known."""


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
    """A picture that was drawn by `plots.py`, with what it shows."""

    kind: ClassVar[str] = "plot"
    svg: str
    caption: str
    legend: Sequence[tuple[str, str]] = ()


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


def clean(text: str) -> str:
    r"""Text without control characters, marks of direction and halves of letters, which a page must not obey.

    >>> clean("a\u202eb\x00c")
    'a\ufffdb\ufffdc'
    """
    return "".join(letter if letter.isprintable() or letter in "\n\xa0" else "\ufffd" for letter in text)


def figure(value: Interval | None, digits: int = 3, *, signed: bool = False) -> str:
    """A figure with its interval.

    >>> figure(Interval(0.5, -0.25, 1.0), 2, signed=True)
    '+0.50 [−0.25, +1.00]'
    """
    if value is None:
        return UNKNOWN
    mean, low, high = (number(each, digits, signed=signed) for each in (value.value, value.low, value.high))
    return f"{mean} [{low}, {high}]"


def number(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A number with a true minus sign.

    >>> number(-0.1234), number(None)
    ('−0.123', '–')
    """
    if value is None:
        return UNKNOWN
    return f"{value:+.{digits}f}".replace("-", "−") if signed else f"{value:.{digits}f}".replace("-", "−")


def chance(p_value: float | None) -> str:
    """A p-value.

    >>> chance(0.0249), chance(0.00004), chance(None)
    ('0.025', '< 0.001', '–')
    """
    return "< 0.001" if p_value is not None and p_value < 0.001 else number(p_value)


def many(count: int, what: str) -> str:
    """A count with its noun.

    >>> many(1, "image"), many(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"
