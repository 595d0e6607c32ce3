"""Iterative stratification: groups of images with several findings to parts, each finding in its share in every part.

After Sechidis, Tsoumakas and Vlahavas 2011 (doi:10.1007/978-3-642-23808-6_10): the finding with the fewest groups left
is dealt first, each of its groups to a part that still lacks some. Of several such parts the one is taken that lacks
most of what else the group has: its other findings, pairs of them (Szymanski and Kajdanowicz 2017) and its stratum of
sex and view. A group, and so a patient, is never divided.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from balancer.splits.groups import Groups, seeded_order

_ROUNDED = 0.5
"""A part that lacks less than this of a group gets one only when all lack less."""
_EQUAL = 1e-9
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Dealt:
    """What is to be dealt: groups in the order of the deal, the findings of each, and what else it is known by.

    `findings` has for each group the numbers of its findings, `traits` numbers for these, for pairs of them and for its
    stratum; both count from 0, of so many `finding_count` and `trait_count`. A group without findings has that as a
    finding of its own, the last.
    """

    names: Sequence[str]
    findings: Sequence[Sequence[int]]
    traits: Sequence[npt.NDArray[np.int64]]
    finding_count: int
    trait_count: int

    @classmethod
    def of(cls, groups: Groups, members: Sequence[str], seed: int) -> Dealt:
        """Some groups of a collection in an order that depends on their names and the seed alone."""
        names = seeded_order(members, seed)
        known = groups.findings_of_each()
        labels = sorted({finding for name in names for finding in known[name]})
        number = {label: place for place, label in enumerate(labels)}
        findings = [[number[each] for each in known[name]] or [len(labels)] for name in names]
        traits: dict[Hashable, int] = {place: place for place in range(len(labels) + 1)}
        of_each = []
        for name, own in zip(names, findings, strict=True):
            others = [*combinations(own, 2), *([groups.strata[name]] if name in groups.strata else [])]
            of_each.append(np.array([*own, *(traits.setdefault(each, len(traits)) for each in others)], np.int64))
        return cls(names, findings, of_each, len(labels) + 1, len(traits))

    def counts(self) -> npt.NDArray[np.int64]:
        """How many groups have each finding."""
        return np.bincount(
            np.array([each for some in self.findings for each in some], np.int64), minlength=self.finding_count
        )

    def trait_counts(self) -> npt.NDArray[np.int64]:
        """How many groups have each trait."""
        return np.bincount(np.concatenate([*self.traits, np.zeros(0, np.int64)]), minlength=self.trait_count)


def deal(
    dealt: Dealt, shares: Sequence[float], wanted: Floats | None = None, fixed: Mapping[str, int] | None = None
) -> dict[str, int]:
    """The number of the part of each group; `fixed` ones have theirs already, and count in it.

    `shares` are those of the parts, with a sum of 1; `wanted` says otherwise how many groups of each finding a part
    should have: (parts, findings).
    """
    counts, share = dealt.counts(), np.array(shares)[:, None]
    wanted = share * counts if wanted is None else wanted
    ideal = share * dealt.trait_counts()
    lacking, lacking_traits = wanted.astype(float), ideal.copy()
    part_of: dict[str, int] = {}
    left = counts.copy()

    def give(place: int, part: int) -> None:
        part_of[dealt.names[place]] = part
        lacking[part, dealt.findings[place]] -= 1
        lacking_traits[part, dealt.traits[place]] -= 1
        left[dealt.findings[place]] -= 1

    members: list[list[int]] = [[] for _ in range(dealt.finding_count)]
    for place, (name, findings) in enumerate(zip(dealt.names, dealt.findings, strict=True)):
        for finding in findings:
            members[finding].append(place)
        if fixed and name in fixed:
            give(place, fixed[name])
    while (left > 0).any():
        rarest = int(np.where(left > 0, left, np.iinfo(np.int64).max).argmin())
        for place in members[rarest]:
            if dealt.names[place] not in part_of:
                traits = dealt.traits[place]
                relative = (lacking_traits[:, traits] / np.maximum(ideal[:, traits], _EQUAL)).mean(axis=1)
                give(place, _part(lacking[:, rarest], relative))
    return part_of


def _part(lacking: Floats, relative: Floats) -> int:
    """The part that a group goes to: of those that lack its finding, the one that most lacks what else it has."""
    able = lacking >= _ROUNDED
    if not able.any():
        able = lacking > lacking.max() - _EQUAL
    best = able & (relative > relative[able].max() - _EQUAL)
    return int(np.where(best, lacking, -np.inf).argmax())


def held_out(dealt: Dealt, shares: Mapping[str, float], spared: int = 0) -> Floats:
    """How many groups of each finding training and each other part should have: (1 + parts, findings).

    Every part gets one at least; a finding of too few groups for that, or of fewer than `spared`, stays in training.
    """
    counts = dealt.counts()
    others = np.array([np.maximum(1.0, share * counts) for share in shares.values()]).reshape(len(shares), len(counts))
    others[:, (counts <= len(shares)) | (counts < spared)] = 0
    return np.vstack([counts - others.sum(axis=0), others])
