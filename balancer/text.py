"""How names, times and sizes read in a message."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Make control characters, line ends and direction marks of a name visible and harmless.

    >>> printable("a\x1b[31m\n")
    'a\\x1b[31m\\n'
    """
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def shape_of(text: str) -> str:
    """How a text is written, without what it says: what a message shows of a patient's number or date.

    >>> shape_of("P-0042 x")
    'A-0000 a'
    """
    return "".join(
        "0" if letter.isdigit() else letter if not letter.isalpha() else "A" if letter.isupper() else "a"
        for letter in text
    )


def duration(seconds: float) -> str:
    """A number of seconds as text for people.

    >>> duration(42), duration(600), duration(7300)
    ('42 s', '10 min', '2 h 2 min')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def many(count: int, what: str) -> str:
    """A count with its noun.

    >>> many(1, "test image"), many(1200, "test image")
    ('1 test image', '1,200 test images')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def size_of(count: float) -> str:
    """A number of bytes as text for people.

    >>> size_of(3_200_000)
    '3.2 MB'
    """
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} GB" if count < 1000 else f"{count:,.0f} GB"
