"""JSON that commands kept to the classes of `stored_results`, with what is wrong with a file said by its place.

A value that is null or not a number is unknown: it takes the field's default. Fields that have no name are passed over.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

from analysis.report.stored_results import Results, StoredCalibration
from analysis.statistics.intervals import Interval
from balancer.settings import strict_converter

Stored = TypeVar("Stored")


def read_stored(place: Path, kind: type[Stored]) -> tuple[Stored | None, str]:
    """What a command kept, and what is wrong with the file: "" also where there is none.

    >>> read_stored(Path("no-such-file.json"), Results)
    (None, '')
    """
    if not place.is_file():
        return None, ""
    try:
        content = json.loads(place.read_bytes(), parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError):
        return None, "it cannot be read"
    try:
        return structured(content, kind), ""
    except ValueError as error:
        return None, str(error)


def structured(content: object, kind: type[Stored]) -> Stored:
    """The content of a file as a class, after what an earlier version wrote was brought up to date.

    Raises:
        ValueError: a value is of another kind; the text says where.

    >>> structured({"endpoint": {"primary": "auprc:nodule"}, "verdict": "Use real."}, Results).sentence
    'Use real.'
    >>> structured({"seeds": "five"}, Results)
    Traceback (most recent call last):
        ...
    ValueError: seeds is not as it should be
    """
    import cattrs

    try:
        for migrate in MIGRATIONS.get(kind, {}).values():
            content = migrate(content)
        found: Stored = _converter().structure(content, kind)
    except Exception as error:  # cattrs raises errors of many kinds, in groups
        said = cattrs.transform_error(error) if isinstance(error, ExceptionGroup) else []
        places = [each.partition("$")[2].strip(". ") for each in said]
        raise ValueError(f"{next(filter(None, places), 'it')} is not as it should be") from error
    return found


def _comparison_without_sentence(content: Any) -> Any:
    """Version 0.1: the verdict was a paragraph or points, and the page told the arm to use and the openings below."""
    if content.get("sentence"):
        return content
    first, *more = content.get("points") or [content.get("verdict") or "The comparison has no verdict."]
    arm, openings = content.get("best_arm"), content.get("openings")
    more += [f"The arm to use: {arm}."] if arm else []
    times = "once" if openings == 1 else f"{openings} times"
    more += [] if openings is None else [f"The test split was opened {times}."]
    return {**content, "sentence": first, "points": more}


def _comparison_with_design(content: Any) -> Any:
    """What of the settings the report understands, besides that it lists them."""
    return {**content, "design": content.get("settings") or {}}


def _calibration_as_list(content: Any) -> Any:
    """Version 0.1: the similarities alone."""
    return {"found": content} if isinstance(content, list) else content


MIGRATIONS: Mapping[type, Mapping[str, Callable[[Any], Any]]] = {
    Results: {"sentence-of-0.1": _comparison_without_sentence, "design": _comparison_with_design},
    StoredCalibration: {"list-of-0.1": _calibration_as_list},
}
"""For each class, by name: from what an earlier version wrote to what is read now."""


@cache
def _converter() -> Any:
    converter = strict_converter()
    converter.register_structure_hook_factory(dataclasses.is_dataclass, _of_class)
    converter.register_structure_hook_func(_is_optional_interval, _if_complete)
    converter.register_structure_hook_func(_is_figures, _figures)
    return converter


def _of_class(kind: Any) -> Callable[[Any, Any], Any]:
    """What is null takes the default; an interval's middle is its `mean` or its `value`."""
    from cattrs.gen import make_dict_structure_fn

    plain = make_dict_structure_fn(kind, _converter())
    middle = {"value": "mean"} if issubclass(kind, Interval) else {}

    def structure(value: Any, _: Any) -> Any:
        known = {name: each for name, each in value.items() if each is not None}
        return plain({name: known[old] for name, old in middle.items() if old in known} | known, kind)

    return structure


def _is_figures(kind: Any) -> bool:
    of = get_args(kind)[1:]
    return get_origin(kind) is Mapping and isinstance(of[0], type) and issubclass(of[0], Interval)


def _figures(value: Any, kind: Any) -> dict[str, Any]:
    """All that have an interval."""
    of = get_args(kind)[1]
    return {name: _converter().structure(each, of) for name, each in value.items() if _is_complete(each)}


def _is_optional_interval(kind: Any) -> bool:
    of, *nothing = get_args(kind) or (kind,)
    return nothing == [NoneType] and isinstance(of, type) and issubclass(of, Interval)


def _if_complete(value: Any, kind: Any) -> Any:
    return _converter().structure(value, get_args(kind)[0]) if value and _is_complete(value) else None


def _is_complete(value: Any) -> bool:
    return None not in (value.get("mean", value.get("value")), value.get("low"), value.get("high"))
