"""Does an image show the sex, age group and view that its prompt states, where real images can be told apart by them?

RoentGen-v2 drops images whose predicted attributes differ from their prompts; here a person decides. The attributes
share the 1% of real images that may be in doubt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.minimums import LABEL_PATIENTS, PROMPT_PATIENTS
from analysis.screening.label_consistency import TAIL, LabelGate
from analysis.vision.copy_embedding import Vectors
from balancer.collection.attributes import Attributes

Unseen = tuple[npt.NDArray[np.int64], npt.NDArray[np.object_], npt.NDArray[np.float64]]
"""Places of real images, the value of each, and the probabilities of all values by a model without its patient."""
_SAID = {"sex": "", "age": "age ", "view": "view "}
_NAMES = {"sex": "sex", "age": "age group", "view": "view"}
_MOST = 0.03  # the share of real images of a class and a value that may be in doubt; 1% are of all together
Asked = tuple[str, str, str]
Classes = Sequence[Sequence[str]]
"""The class of each image, or its findings."""


@dataclass(frozen=True, slots=True)
class PromptGates:
    """A classifier of the values of each attribute, fitted on images of which it is known.

    `notes` say what is asked and how well it is told, and what is not asked and why. `asked` are the values, as (class,
    attribute, value), that real images of a class have and nearly always look like: a sick patient may look older, and
    a class of old patients alone tells nothing of how young ones look.
    """

    gates: Mapping[str, LabelGate]
    asked: frozenset[Asked]
    notes: tuple[str, ...]

    @classmethod
    def fit(
        cls,
        features: Vectors,
        known: Sequence[Attributes],
        classes: Classes,
        groups: npt.NDArray[np.int64],
        held: npt.NDArray[np.bool_],
    ) -> PromptGates:
        """Fit on real images, (N, features), each with what a table tells of it; what is not told takes no part."""
        people = np.where(groups < 0, groups.max(initial=0) + 1 + np.arange(len(groups)), groups)
        gates: dict[str, LabelGate] = {}
        seen: dict[str, Unseen] = {}
        notes: list[str] = []
        for name in Attributes._fields:
            values = np.array([getattr(each, name) for each in known], object)
            train = pd.Series(people[~held]).groupby(values[~held]).nunique()  # what is not known is left out
            usual = [str(value) for value in train.index[train >= LABEL_PATIENTS]]
            few = [f"{value}: only {count} patients" for value, count in train.items() if value not in usual]
            if len(usual) < 2:
                why = "; ".join(few) or f"it is always {''.join(usual)}"
                notes += [f"prompt: {_NAMES[name]} is not checked: {why}"] if len(train) else []
                continue
            rows = np.flatnonzero(np.isin(values, usual))
            gate, unseen = LabelGate.fit_and_judge(features[rows], values[rows], people[rows], held[rows])
            notes.append(f"prompt: {_NAMES[name]} {_how_well(gate, few)}")
            if gate.least:
                gates[name], seen[name] = gate, (rows, values[rows], unseen)
        gates = {name: _together(gate, seen[name], len(gates)) for name, gate in gates.items()}
        cells = _cells(gates, seen, classes, people)
        asked = cells.index[(cells["patients"] >= PROMPT_PATIENTS) & (cells["doubted"] <= _MOST)]
        for each in sorted({name for some in classes for name in some}):
            left = [
                f"{_SAID[name]}{value}"
                for name, gate in gates.items()
                for value in gate.least
                if (each, name, value) not in asked
            ]
            why = "real ones are few, or look otherwise than the table says"
            notes += [f"prompt: {each} is not checked for {', '.join(left)}: {why}"] if left else []
        return cls(gates, frozenset(asked), tuple(notes))

    def judge(
        self, classes: Sequence[str], stated: Attributes, features: Vectors, scores: dict[str, float | str]
    ) -> list[str]:
        """Why a person should look at an image of these classes whose prompt states this: one reason an attribute.

        >>> PromptGates({}, frozenset(), ()).judge(["nodule"], Attributes("female"), np.zeros((1, 8), np.float32), {})
        []
        """
        found = []
        for name, gate in self.gates.items():
            value = getattr(stated, name)
            if not self.asked.issuperset((each, name, value) for each in classes):
                continue
            chances = gate.probabilities(features)[0]
            scores[f"prompt_{name}"] = float(chances[gate.labels.index(value)])
            if other := gate.looks_like(value, chances):
                found.append(f"prompt: says {_SAID[name]}{value}, image looks {other}")
        return found


def _how_well(gate: LabelGate, few: Sequence[str]) -> str:
    """What is checked of an attribute, with the AUROC of each value against the others on images not learned."""
    areas = {value: f"{value} (AUROC {gate.areas[value].value:.2f})" for value in gate.labels}
    others = ", ".join(text for value, text in areas.items() if value not in gate.least)
    rest = [f"real images can hardly be distinguished by {others}"] if others else []
    told = ", ".join(text for value, text in areas.items() if value in gate.least)
    return f"{f'is checked: {told}' if told else 'is not checked'}: {'; '.join([*rest, *few])}".removesuffix(": ")


def _together(gate: LabelGate, seen: Unseen, questions: int) -> LabelGate:
    """The gate with thresholds at which its share of the real images that may be in doubt are."""
    _, values, unseen = seen
    tails = {
        value: np.quantile(unseen[values == value, gate.labels.index(value)], TAIL / questions, method="lower")
        for value in gate.least
    }
    return replace(gate, least={value: float(tail) for value, tail in tails.items()})


def _cells(
    gates: Mapping[str, LabelGate], seen: Mapping[str, Unseen], classes: Classes, people: npt.NDArray[np.int64]
) -> pd.DataFrame:
    """By class, attribute and value: the number of patients, and the share of images that look otherwise than it."""
    rows = [
        (each, name, value, people[place], bool(gates[name].looks_like(value, chances)))
        for name, (places, values, unseen) in seen.items()
        for place, value, chances in zip(places, values, unseen, strict=True)
        if value in gates[name].least
        for each in classes[place]
    ]
    table = pd.DataFrame(rows, columns=["class", "attribute", "value", "patients", "doubted"])
    return table.groupby(["class", "attribute", "value"]).agg({"patients": "nunique", "doubted": "mean"})
