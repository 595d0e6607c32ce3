"""How many images each class should have, and how many are missing."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from balancer.errors import PlanError


@dataclass(frozen=True, slots=True)
class Plan:
    """`target_counts` is what is wanted in all, `deficits` what is missing; `capped` names classes that get less.

    `capped` maps a class to the deficit it would have had without the cap on synthetic images for each real one.
    """

    target_counts: Mapping[str, int]
    deficits: Mapping[str, int]
    capped: Mapping[str, int]


def make_plan(
    counts: Mapping[str, int], targets: Sequence[str], *, max_ratio: float = 10, symmetric: bool = False
) -> Plan:
    """Turn `--target` values into deficits.

    `counts` are real training images of each class. A target is a number for every class, `max`, `median`, or
    `LABEL=N` for one class; later ones overrule earlier ones. No class gets more than `max_ratio` synthetic images
    for each real one. `symmetric` gives every class the same number, the largest deficit that the cap leaves, so that
    being synthetic says nothing about the label.

    >>> make_plan({"normal": 90, "nodule": 10}, ["50"]).deficits
    {'normal': 0, 'nodule': 40}
    >>> make_plan({"normal": 90, "nodule": 10}, ["max"], max_ratio=3).capped
    {'nodule': 80}

    Raises:
        PlanError: a target that is no number, or names no class.
    """
    if not 0 < max_ratio < math.inf:
        advice = "use --max-ratio 10, or a large number for hardly any cap"
        raise PlanError(needed="a finite ratio above 0", found=f"{max_ratio:g}", next_step=advice)
    wanted: dict[str, int] = {}
    for target in targets:
        wanted |= _parse(target, counts)
    missing = {label: max(0, wanted.get(label, 0) - count) for label, count in counts.items()}
    deficits = {label: min(missing[label], int(max_ratio * count)) for label, count in counts.items()}
    if symmetric:
        deficits = dict.fromkeys(counts, min(max(deficits.values()), *(int(max_ratio * n) for n in counts.values())))
    capped = {label: missing[label] for label in counts if deficits[label] < missing[label]}
    totals = {label: count + deficits[label] for label, count in counts.items()}
    return Plan({label: max(wanted.get(label, 0), totals[label]) for label in counts}, deficits, capped)


def _parse(target: str, counts: Mapping[str, int]) -> dict[str, int]:
    label, equals, number = target.rpartition("=")
    if equals:
        return {_label(label, counts): _number(number, target)}
    if target == "max":
        return dict.fromkeys(counts, max(counts.values()))
    if target == "median":
        return dict.fromkeys(counts, round(median(counts.values())))
    return dict.fromkeys(counts, _number(target, target))


def _label(label: str, counts: Mapping[str, int]) -> str:
    if label in counts:
        return label
    near = difflib.get_close_matches(label.casefold(), [known.casefold() for known in counts], 1)
    likely = next((known for known in counts if near and known.casefold() == near[0]), next(iter(counts)))
    raise PlanError(
        needed=f"a class of the collection: {', '.join(counts)}",
        found=f"{label!r} in --target",
        next_step=f"use, for example: --target {likely}=500",
    )


def _number(text: str, target: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise PlanError(
        needed="a number of images above 0, max, median, or LABEL=NUMBER",
        found=f"{target!r} in --target",
        next_step="use, for example: --target 500",
    )
