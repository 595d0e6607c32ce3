"""Does an image show the findings that it is to be labelled with? One question a finding, where it can be answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.screening.label_consistency import LabelGate
from analysis.vision.copy_embedding import Vectors
from balancer.collection.label_sets import DENIED, GIVEN, LabelSets, findings_in


@dataclass(frozen=True, slots=True)
class FindingGates:
    """A classifier of two classes for each finding, fitted on images of which it is known; `abstains` as in LabelGate.

    `counts` are training images of each finding: of a label set, the rarest finding is the one that was wanted.
    """

    gates: Mapping[str, LabelGate]
    counts: Mapping[str, int]
    abstains: Mapping[str, str]

    @classmethod
    def fit(
        cls, features: Vectors, sets: LabelSets, groups: npt.NDArray[np.int64], held: npt.NDArray[np.bool_]
    ) -> FindingGates:
        """Fit on real images in the order of `sets`; what is uncertain or not told of a finding takes no part in it."""
        gates: dict[str, LabelGate] = {}
        abstains: dict[str, str] = {}
        counts = {finding: count for finding, count in sets.counts().items() if count}
        for finding in counts:
            marks = sets.marks[finding].to_numpy()
            known = (marks == GIVEN) | (marks == DENIED)
            labels = np.where(marks[known] == GIVEN, finding, _without(finding)).astype(object)
            gate = LabelGate.fit(features[known], labels, groups[known], held[known])
            if finding in gate.abstains:
                abstains[finding] = gate.abstains[finding]
            else:
                gates[finding] = gate
        return cls(gates, counts, abstains)

    def judge(self, label: str, features: Vectors, scores: dict[str, float | str]) -> tuple[list[str], list[str]]:
        """Why an image of a label set is to be rejected, and why a person should look at it.

        Where it clearly does not show the wanted finding it is rejected; where it does not show another of its set, or
        shows one that is not in it, a person decides.
        """
        own = sorted(findings_in(label), key=lambda finding: (self.counts.get(finding, 0), finding))
        reject: list[str] = []
        review: list[str] = []
        for finding, gate in self.gates.items():
            probabilities = gate.probabilities(features)[0]
            claimed = finding if finding in own else _without(finding)
            if finding == own[0]:
                scores["label_probability"] = float(probabilities[gate.labels.index(finding)])
            if why := gate.contradiction(claimed, probabilities):
                (reject if finding == own[0] else review).append(f"label: {why}")
        return reject, review


def _without(finding: str) -> str:
    return f"no {finding}"
