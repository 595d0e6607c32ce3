"""Numbers and names as the report shows them."""

from __future__ import annotations

from analysis.statistics.intervals import Interval

UNKNOWN = "–"
"""What a cell shows where nothing is known."""


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


def count(value: int | None) -> str:
    """A whole number, or a dash where there is none.

    >>> count(1200), count(None)
    ('1,200', '–')
    """
    return UNKNOWN if value is None else f"{value:,}"


def format_p(p_value: float | None) -> str:
    """A p-value.

    >>> format_p(0.0249), format_p(0.00004), format_p(None)
    ('0.025', '< 0.001', '–')
    """
    return "< 0.001" if p_value is not None and p_value < 0.001 else number(p_value)
