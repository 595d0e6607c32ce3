"""How many images each class should have, and how many are missing."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from balancer.errors import PlanError

STRATEGIES = ("minority", "not majority", "all")
"""imbalanced-learn's words for the classes that are resampled."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`target_counts` is what is wanted in all, `deficits` what is missing; `capped` names classes that get less.

    `capped` maps a class to the deficit it would have had without the cap on synthetic images for each real one.
    """

    target_counts: Mapping[str, int]
    deficits: Mapping[str, int]
    capped: Mapping[str, int]


def make_plan(
    counts: Mapping[str, int],
    targets: Sequence[str] = (),
    *,
    strategy: str | None = None,
    times: Sequence[str] = (),
    max_ratio: float = 10,
    symmetric: bool = False,
) -> Plan:
    """Turn `--target`, `--strategy` and `--times` values into deficits.

    `counts` are real training images of each class. A target is a number for every class, `max`, `median`, or
    `LABEL=N` for one class; later ones overrule earlier ones. `strategy` is imbalanced-learn's `sampling_strategy`:
    "minority" brings the smallest class up to the largest (all of them, where several are smallest), "not majority"
    all but the largest, "all" every class, which is the same when nothing is taken away. `times` are synthetic images
    in multiples of a class's real ones: a number for the classes that `strategy` selects (default: all below the
    largest), or `LABEL=X`. One class's value overrules one for all. No class gets more than `max_ratio` synthetic
    images for each real one. `symmetric` gives every class the same number, the largest deficit that the cap leaves,
    so that being synthetic says nothing about the label.

    >>> make_plan({"normal": 90, "nodule": 10}, ["50"]).deficits
    {'normal': 0, 'nodule': 40}
    >>> make_plan({"normal": 90, "nodule": 10}, ["max"], max_ratio=3).capped
    {'nodule': 80}
    >>> make_plan({"normal": 90, "nodule": 10}, times=["1.5"]).deficits
    {'normal': 0, 'nodule': 15}

    Raises:
        PlanError: nothing asked or a contradiction; a value that is no number, or names no class.
    """
    if not 0 < max_ratio < math.inf:
        advice = "use --max-ratio 10, or a large number for almost no limit"
        raise PlanError(needed="a finite ratio above 0", found=f"{max_ratio:g}", next_step=advice)
    missing = _missing(counts, targets, strategy, times)
    deficits = {label: min(missing[label], int(max_ratio * count)) for label, count in counts.items()}
    if symmetric:
        deficits = dict.fromkeys(counts, min(max(deficits.values()), *(int(max_ratio * n) for n in counts.values())))
    capped = {label: missing[label] for label in counts if deficits[label] < missing[label]}
    wanted = {label: count + max(missing[label], deficits[label]) for label, count in counts.items()}
    return Plan(wanted, deficits, capped)


def _missing(
    counts: Mapping[str, int], targets: Sequence[str], strategy: str | None, times: Sequence[str]
) -> dict[str, int]:
    """What each class lacks before the cap."""
    single_targets = {target.rpartition("=")[0] for target in targets if "=" in target}
    single_times = {value.rpartition("=")[0] for value in times if "=" in value}
    plain_target = any("=" not in target for target in targets)
    plain_times = [value for value in times if "=" not in value]
    _require_one_meaning(strategy, plain_target, plain_times, single_targets & single_times, bool(targets or times))
    selected = _selected(counts, strategy or "not majority")
    missing = dict.fromkeys(counts, 0)
    if strategy:
        missing |= {label: max(counts.values()) - counts[label] for label in selected}
    wanted: dict[str, int] = {}
    for target in targets:
        wanted |= _parse(target, counts)
    for value in plain_times:
        missing |= {label: _multiple(value, value, counts[label]) for label in selected}
    missing |= {label: max(0, number - counts[label]) for label, number in wanted.items()}
    for value in times:
        name, equals, number = value.rpartition("=")
        if equals:
            label = _label(name, counts, "--times", "1")
            missing[label] = _multiple(number, value, counts[label])
    return missing


def _selected(counts: Mapping[str, int], strategy: str) -> list[str]:
    smallest, largest = min(counts.values()), max(counts.values())
    if strategy not in STRATEGIES:
        raise PlanError(
            needed='minority, "not majority" or all, as in imbalanced-learn',
            found=f"{strategy!r} in --strategy",
            next_step='use, for example: --strategy "not majority"',
        )
    return [
        label for label, count in counts.items() if count < largest and (strategy != "minority" or count == smallest)
    ]


def _require_one_meaning(
    strategy: str | None, plain_target: bool, plain_times: Sequence[str], both: set[str], anything: bool
) -> None:
    """Refuse nothing asked, and two answers to how many."""
    found = ""
    if not anything and strategy is None:
        found = "none of --target, --strategy and --times"
    elif plain_target and strategy is not None:
        found = "--strategy and a --target for every class"
    elif plain_target and plain_times:
        found = "--times and --target, each for every class"
    elif len(plain_times) > 1:
        found = "more than one --times for every class"
    elif both:
        found = f"--times and --target for {', '.join(sorted(both))}"
    if found:
        raise PlanError(
            needed="one way to say how many images each class should get",
            found=found,
            next_step='use --target 500, --strategy "not majority" or --times 1; LABEL=NUMBER for single classes',
        )


def _multiple(text: str, value: str, count: int) -> int:
    try:
        number = float(text) if text.isascii() else math.nan
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise PlanError(
            needed="a number above 0, or LABEL=NUMBER",
            found=f"{value!r} in --times",
            next_step="use, for example: --times 1",
        )
    return max(1, math.floor(number * count + 0.5)) if count else 0


def _parse(target: str, counts: Mapping[str, int]) -> dict[str, int]:
    label, equals, number = target.rpartition("=")
    if equals:
        return {_label(label, counts): _number(number, target)}
    if target == "max":
        return dict.fromkeys(counts, max(counts.values()))
    if target == "median":
        return dict.fromkeys(counts, round(median(counts.values())))
    return dict.fromkeys(counts, _number(target, target))


def _label(label: str, counts: Mapping[str, int], option: str = "--target", example: str = "500") -> str:
    if label in counts:
        return label
    plain = label.casefold()
    near = difflib.get_close_matches(plain, [known.casefold() for known in counts], 1)
    alike = (known for known in counts if known.casefold() in near or (len(plain) > 1 and plain in known.casefold()))
    likely = next(alike, next(iter(counts)))
    raise PlanError(
        needed=f"a class of the collection: {', '.join(counts)}",
        found=f"{label!r} in {option}",
        next_step=f"use, for example: {option} {likely}={example}",
    )


def _number(text: str, target: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise PlanError(
        needed="a number of images above 0, max, median, or LABEL=NUMBER",
        found=f"{target!r} in --target",
        next_step="use, for example: --target 500",
    )
