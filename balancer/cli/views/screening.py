"""What `balance fill` does about screening: whether it is possible, what it found, and what must be said of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from balancer.cli.console import message, on_errand
from balancer.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analysis.screening.screen import Screen
    from balancer.filling.run import FillReport

_ADVICE = {
    "sound": "look at what the model draws (balance prompts --sample), train it longer, or use another --model",
    "label": "the model does not show this class: train it on more images of it, or raise --guidance",
    "copy": "the model repeats its training images: train it shorter or on more images, or use another --model",
    "new": "the model repeats itself: lower --guidance, ask for fewer images, or use another --model",
}
_WAITING = "a person must look at those in review; until then a higher --retries makes others"


def stamps(gates: Screen, report: FillReport) -> list[str]:
    """What the balanced folder must say of how the gates were fitted, and of a generator that copies."""
    return [*filter(None, [_blame(gates, report)]), *gates.notes]


def show_screening(gates: Screen, report: FillReport) -> None:
    """What the gates say of all images together: diversity, a generator that copies, what could not be screened."""
    for label, (before, after) in _diversity(gates, report).items():
        message(f"Diversity of {printable(label)}: {before:.3f} before the label gate, {after:.3f} after")
    if why := _blame(gates, report):
        message(f"Warning: {why}.")
    if gates.unscreened:
        message(f"Not screened for copies of patients: {printable(gates.unscreened)}.")


def show_short(report: FillReport) -> None:
    """Which classes stay short, which gate stopped them most, and what to do."""
    for label, missing in report.short.items():
        gate, count = _stopped_by(report, label)
        advice = "" if on_errand() else f": {_advice(gate)}"
        message(f"Short: {printable(label)} lacks {missing}. Stopped most by the {gate} gate ({count}){advice}.")


def _stopped_by(report: FillReport, label: str) -> tuple[str, int]:
    counts: Counter[str] = Counter({"copy review": report.review.get(label, 0)})
    for reason, count in report.rejected.get(label, {}).items():
        counts[reason.split(":")[0]] += count
    return counts.most_common(1)[0]


def _advice(gate: str) -> str:
    return _ADVICE.get(gate, _WAITING)


def _diversity(gates: Screen, report: FillReport) -> Mapping[str, tuple[float, float]]:
    """Of each class in which the label gate rejected images: mean embedding distance of all, and of what it left."""
    found = {}
    for label, judged in report.judged.items():
        left = [c for c, v in judged if not any(reason.startswith("label:") for reason in v.reasons)]
        if len(left) < len(judged):
            found[label] = (gates.diversity([c for c, _ in judged]), gates.diversity(left))
    return found


def _blame(gates: Screen, report: FillReport) -> str:
    return gates.blame([verdict for judged in report.judged.values() for _, verdict in judged])
