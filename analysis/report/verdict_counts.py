"""What was decided about the synthetic images, and why: counts by class, gate and reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from balancer.filling.verdicts import LabelRecords

DECISIONS = ("accept", "unscreened", "review", "reject")
GATES = {
    "sound": "quality: is the image complete, and similar to the images of this collection",
    "label": "label: does the image contradict its class",
    "prompt": "prompt: does the image contradict the sex, age group or view that its prompt states",
    "new": "repetition: does the image repeat another synthetic image",
    "copy": "copy: is the image a copy of a patient's image",
}
_NAMED = re.compile(r" \(nearest: .*\)$", re.DOTALL)
_OF_ONE_FILE = ("unreadable", "repeated", "a real image", "two classes")


@dataclass(frozen=True, slots=True)
class Screened:
    """`decisions` by class, and `reasons` as (decision, gate, reason) by class; `persons` counts verdicts of people.

    `stopped` counts rejected images by the gate that rejected them, an image of several gates once for each.
    """

    decisions: Mapping[str, Counter[str]]
    reasons: Mapping[tuple[str, str, str], Counter[str]]
    persons: int
    stopped: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """How many images were rejected."""
        return sum(counts["reject"] for counts in self.decisions.values())

    @property
    def total(self) -> int:
        """How many images were judged."""
        return sum(counts.total() for counts in self.decisions.values())


def count_verdicts(known: Mapping[str, LabelRecords]) -> Screened:
    """Count the verdicts that stand, by class."""
    reasons: dict[tuple[str, str, str], Counter[str]] = {}
    stopped: Counter[str] = Counter()
    for label, each in known.items():
        for _, verdict in each.judged.values():
            if verdict.decision == "accept":
                continue
            if verdict.decision == "reject":
                stopped.update({of_gate(reason)[0] for reason in verdict.reasons})
            for gate, reason in dict.fromkeys(map(of_gate, verdict.reasons)):
                reasons.setdefault((verdict.decision, gate, reason), Counter())[label] += 1
    decided: dict[str, Counter[str]] = {
        label: Counter(str(v.decision) for _, v in each.judged.values()) for label, each in known.items()
    }
    persons = sum(judge is None for each in known.values() for judge in each.judges.values())
    ordered = sorted(reasons.items(), key=lambda each: (each[0][0] != "reject", each[0][0], -each[1].total()))
    return Screened(
        {label: counts for label, counts in decided.items() if counts},
        dict(ordered),
        persons,
        dict(stopped.most_common()),
    )


def of_gate(reason: str) -> tuple[str, str]:
    """The gate that gave a reason, and the reason without what names a file.

    >>> of_gate("copy: nearer to a real image (nearest: A/p1.png)")
    ('copy', 'nearer to a real image')
    >>> of_gate("unreadable: syn.png is no image")
    ('other', 'unreadable')
    """
    gate, _, rest = reason.partition(": ")
    if gate in GATES and rest:
        return gate, _NAMED.sub("", rest)
    return "other", gate if gate in _OF_ONE_FILE else _NAMED.sub("", reason)
