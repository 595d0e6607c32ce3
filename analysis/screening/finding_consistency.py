"""Does an image show the findings that it is to be labelled with? One question a finding, where it can be answered.

Each question alone is wrong about 1% of real images, so many questions would send many harmless images to a person. The
wanted finding is asked about at that level. The others are asked together: of real images, 1% have any of them in
doubt (the least of the conformal p-values of all questions, at its own 1% quantile; as in multiple testing by the
distribution of the minimum, Westfall and Young 1993).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.screening.label_consistency import CLEARLY, TAIL, LabelGate
from analysis.vision.copy_embedding import Vectors
from balancer.collection.label_sets import DENIED, GIVEN, LabelSets, findings_in, rarest_in, without

Floats = npt.NDArray[np.float64]
Claims = Sequence[tuple[str, npt.NDArray[np.int64], Floats]]
"""Of each answer of a gate: the places of the real images that it is right for, and its probability there."""


@dataclass(frozen=True, slots=True)
class FindingGates:
    """A classifier of two classes for each finding, fitted on images of which it is known; `abstains` as in LabelGate.

    `others` are the same with the thresholds at which all are asked together. `counts` are training images of each
    finding: where the wanted finding is not on record, it is the rarest of the set.
    """

    gates: Mapping[str, LabelGate]
    others: Mapping[str, LabelGate]
    counts: Mapping[str, int]
    abstains: Mapping[str, str]

    @classmethod
    def fit(
        cls, features: Vectors, sets: LabelSets, groups: npt.NDArray[np.int64], held: npt.NDArray[np.bool_]
    ) -> FindingGates:
        """Fit on real images in the order of `sets`; what is uncertain or not told of a finding takes no part in it."""
        gates: dict[str, LabelGate] = {}
        abstains: dict[str, str] = {}
        claims: dict[str, Claims] = {}
        clear: dict[str, npt.NDArray[np.int64]] = {}
        counts = {finding: count for finding, count in sets.counts().items() if count}
        for finding in counts:
            marks = sets.marks[finding].to_numpy()
            known = np.flatnonzero((marks == GIVEN) | (marks == DENIED))
            labels = np.where(marks[known] == GIVEN, finding, without(finding)).astype(object)
            gate, unseen = LabelGate.fit_and_judge(features[known], labels, groups[known], held[known])
            if finding in gate.abstains:
                abstains[finding] = gate.abstains[finding]
                continue
            gates[finding] = gate
            own = np.array([gate.labels.index(label) for label in labels])
            chance = unseen[np.arange(len(known)), own]
            clear[finding] = known[unseen.max(axis=1) >= CLEARLY * chance]
            claims[finding] = [
                (name, known[own == place], chance[own == place])
                for place, name in enumerate(gate.labels)
                if name in gate.least
            ]
        level = _joint_level(claims, clear, len(features))
        others = {finding: _at_level(gate, claims[finding], level) for finding, gate in gates.items()}
        return cls(gates, others, counts, abstains)

    def judge(
        self, label: str, features: Vectors, scores: dict[str, float | str], wanted: str = ""
    ) -> tuple[list[str], list[str]]:
        """Why an image of a label set is to be rejected, and why a person should look at it.

        Where it clearly does not show the wanted finding it is rejected; where it does not show another of its set, or
        shows one that is not in it, a person decides.
        """
        own = findings_in(label)
        wanted = wanted or rarest_in(label, self.counts)
        reject: list[str] = []
        review: list[str] = []
        for finding in self.gates:
            gate = self.gates[finding] if finding == wanted else self.others[finding]
            probabilities = gate.probabilities(features)[0]
            if finding == wanted:
                scores["label_probability"] = float(probabilities[gate.labels.index(finding)])
            if why := gate.contradiction(finding if finding in own else without(finding), probabilities):
                (reject if finding == wanted else review).append(f"label: {why}")
        return reject, review


def _joint_level(claims: Mapping[str, Claims], clear: Mapping[str, npt.NDArray[np.int64]], count: int) -> float:
    """The level of each question at which 1% of real images have any answer in doubt."""
    least = np.ones(count)
    for finding, answers in claims.items():
        doubted = np.zeros(count, bool)
        doubted[clear[finding]] = True
        for _, places, chances in answers:
            ranks = np.searchsorted(np.sort(chances), chances, side="right")
            p_values = np.where(doubted[places], ranks / (len(chances) + 1), 1.0)
            least[places] = np.minimum(least[places], p_values)
    return float(np.quantile(least, TAIL, method="lower")) if count else 0.0


def _at_level(gate: LabelGate, answers: Claims, level: float) -> LabelGate:
    """The gate with thresholds below which a conformal p-value is less than the level; never, where none can be."""
    least = {}
    for name, _, chances in answers:
        rank = int(np.ceil(level * (len(chances) + 1))) - 1  # so many real images may be as doubtful, or more
        least[name] = float(np.sort(chances)[rank - 1]) if rank > 0 else 0.0
    return replace(gate, least=least)
