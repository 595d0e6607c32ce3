"""Which label sets new images get, so that every finding reaches its target and no other is lifted more than it must.

A new image of a wanted finding has the label set of a real training image that has it: findings that go together in
patients go together in what is made. The rule is greedy. The wanted finding with the fewest real images comes first. Of
the real sets with it, those are taken that hold the fewest findings which lack nothing (any more), each as often as
real images have that set. What a set gives to other wanted findings counts for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from balancer.collection.label_sets import set_name

Set = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetPlan:
    """How many new images get each label set, by its name, and what that comes to.

    `after` is what every finding counts then, `lifted` by how many images findings exceed what they lacked, and
    `unreachable` what findings still lack, since no real training image has them. `wanted` is the finding that each set
    was chosen for first.
    """

    sets: Mapping[str, int]
    after: Mapping[str, int]
    lifted: Mapping[str, int] = field(default_factory=dict)
    unreachable: Mapping[str, int] = field(default_factory=dict)
    wanted: Mapping[str, str] = field(default_factory=dict)


def plan_sets(real: Mapping[Set, int], deficits: Mapping[str, int], *, alone: bool = False) -> SetPlan:
    """Choose label sets that cover the deficits of findings.

    `real` are training images of each set of findings, `deficits` what each finding lacks. With `alone` each finding is
    made by itself, whether or not a real image has it so.

    >>> real = {("Effusion",): 90, ("Effusion", "Hernia"): 6, ("Hernia",): 2, ("Hernia", "Mass"): 4}
    >>> plan_sets(real, {"Effusion": 0, "Hernia": 6, "Mass": 2}).sets
    {'Hernia': 4, 'Hernia|Mass': 2}
    """
    counts = _counts(real, deficits)
    lacking = {finding: count for finding, count in deficits.items() if count}
    made: dict[Set, int] = {}
    unreachable: dict[str, int] = {}
    chosen_for: dict[str, str] = {}
    for wanted in sorted(lacking, key=lambda finding: (counts[finding], finding)):
        able: Mapping[Set, int] = {found: count for found, count in real.items() if wanted in found}
        able = {(wanted,): 1} if alone else able
        if not able:
            unreachable[wanted] = lacking[wanted]
            continue
        while lacking[wanted] > 0:
            for found, number in _next(able, lacking, wanted).items():
                made[found] = made.get(found, 0) + number
                chosen_for.setdefault(set_name(found), wanted)
                for finding in found:
                    lacking[finding] = lacking.get(finding, 0) - number
    after = dict(counts)
    for found, number in made.items():
        for finding in found:
            after[finding] += number
    lifted = {finding: -left for finding, left in sorted(lacking.items()) if left < 0}
    names = {set_name(found): number for found, number in sorted(made.items())}
    return SetPlan(names, after, lifted, unreachable, chosen_for)


def _counts(real: Mapping[Set, int], deficits: Mapping[str, int]) -> dict[str, int]:
    counts = dict.fromkeys(deficits, 0)
    for found, number in real.items():
        for finding in found:
            counts[finding] = counts.get(finding, 0) + number
    return counts


def _next(able: Mapping[Set, int], lacking: Mapping[str, int], wanted: str) -> dict[Set, int]:
    """How many images of which sets come next: as many as until one of their findings lacks nothing any more."""
    excess = {found: sum(lacking.get(finding, 0) <= 0 for finding in found) for found in able}
    least = min(excess.values())
    chosen = sorted(found for found, more in excess.items() if more == least)
    weights = [able[found] for found in chosen]
    total = sum(weights)
    most = lacking[wanted]
    for finding in {finding for found in chosen for finding in found} - {wanted}:
        share = sum(weight for found, weight in zip(chosen, weights, strict=True) if finding in found)
        if lacking.get(finding, 0) > 0:
            most = min(most, lacking[finding] * total // share)
    if most < 1:  # less than one image of each: the most frequent set comes next
        return {max(chosen, key=lambda found: (able[found], found)): 1}
    return {found: number for found, number in zip(chosen, _shared(weights, most), strict=True) if number}


def _shared(weights: Sequence[int], count: int) -> list[int]:
    """A count in proportion to weights, rounded down, the rest to the largest remainders (Hamilton's method)."""
    total = sum(weights)
    given = [weight * count // total for weight in weights]
    order = sorted(range(len(weights)), key=lambda at: (-(weights[at] * count % total), at))
    for at in order[: count - sum(given)]:
        given[at] += 1
    return given
