"""JSON from disk, read without trust: what is not as expected is taken for not there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.statistics.intervals import Interval


def read_json(path: Path) -> tuple[dict[str, Any], str]:
    """The object that a file holds, and what is wrong with it: "" also where there is no file.

    >>> read_json(Path("no-such-file.json"))
    ({}, '')
    """
    if not path.is_file():
        return {}, ""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}, "it cannot be read"
    return (found, "") if isinstance(found, dict) else ({}, "it contains no results")


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def entries(value: object) -> list[Any]:
    """A JSON list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Text, also of a number; else "".

    >>> text(3), text(None), text({"a": 1})
    ('3', '', '')
    """
    return str(value) if isinstance(value, str | int | float) else ""


def texts(value: object) -> tuple[str, ...]:
    """All texts of a list; one text is a list of one."""
    return tuple(filter(None, map(text, [value] if isinstance(value, str) else entries(value))))


def real(value: object) -> float | None:
    """A finite number, else `None`.

    >>> real(1), real("1"), real(float("nan")), real(True)
    (1.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def whole(value: object) -> int | None:
    """A whole number of 0 or more, or `None` for anything else."""
    found = real(value)
    return None if found is None or found < 0 else round(found)


def interval(value: object) -> Interval | None:
    """A figure with `mean` (or `value`), `low` and `high`; `None` unless all three are finite.

    >>> print(interval({"mean": 0.5, "low": 0.4, "high": 0.6}))
    0.50 [0.40, 0.60]
    """
    known = mapping(value)
    middle = real(known.get("mean", known.get("value")))
    low, high = real(known.get("low")), real(known.get("high"))
    return None if middle is None or low is None or high is None else Interval(middle, low, high)


def intervals(value: object) -> dict[str, Interval]:
    """All figures of an object that have an interval."""
    found = {name: interval(each) for name, each in mapping(value).items()}
    return {name: each for name, each in found.items() if each is not None}
