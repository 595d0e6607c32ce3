"""What the sections on screening show: decisions with their reasons, and distances to patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.report.charts import Bar, Chart, bars, shares
from analysis.report.copy_distances import Copies
from analysis.report.data import Facts
from analysis.report.formatting import count
from analysis.report.sections.collection import FILL
from analysis.report.verdict_counts import DECISIONS, GATES, Screened
from balancer.text import duration

_BEYOND = 2.5  # times the rejection threshold: what is farther is beyond the edge


def screening(facts: Facts) -> Mapping[str, Any]:
    """What the screening checks and people decided, by class and by reason."""
    found = facts.screened
    rows = [
        Bar(label, dict(counts), f"{counts['accept'] + counts['unscreened']:,} of {counts.total():,}")
        for label, counts in found.decisions.items()
    ]
    shown = [each for each in DECISIONS if any(counts[each] for counts in found.decisions.values())]
    last = facts.last_fill
    return {
        "found": found,
        "took": None if last is None else duration(last.seconds),
        "rate": None if last is None or last.images_a_second is None else f"{last.images_a_second:.3g}",
        "stopped": found.rejected and _stopped(found),
        "chart": found.total and bars("decisions", rows, shown, f"Decisions by {facts.what}"),
        "decisions": list(DECISIONS),
        "counts": [[label, *(count(by[each]) for each in DECISIONS)] for label, by in found.decisions.items()],
        "gates": "; ".join(GATES.values()),
        "reasons": [
            [
                f"{decision}: {reason}",
                GATES.get(gate, gate).partition(":")[0],
                *(count(by[each]) for each in found.decisions),
            ]
            for (decision, gate, reason), by in found.reasons.items()
        ],
        "fill": FILL,
    }


def _stopped(found: Screened) -> Chart:
    """The check that rejected images, of how many of all."""
    rows = [
        Bar(GATES.get(gate, gate).partition(":")[0], {"reject": times}, f"{times:,} ({times / found.total:.1%})")
        for gate, times in found.stopped.items()
    ]
    return bars("rejected-by-check", rows, ["reject"], "Rejected images by the screening check that rejected them")


def copies(facts: Facts) -> Mapping[str, Any]:
    """Similarities of synthetic images to patients, beside those between patients."""
    found = facts.copies
    if found is None:
        return {"found": None, "fill": FILL}
    review, reject = (f"{100 * (1 - rate):.3g}%" for rate in found.rates)
    made = {f"synthetic {label}, all that were generated": values for label, values in found.synthetic.items()}
    groups = {"real, to other patients": found.real, **made, "synthetic, accepted, all classes": found.accepted}
    rows = [
        [name, count(len(values)), *(_above(values, limit) for limit in (found.review, found.reject))]
        for name, values in groups.items()
    ]
    return {
        "found": found,
        "chart": _similarity(found, (review, reject)),
        "review": review,
        "reject": reject,
        "rows": rows,
    }


def _similarity(found: Copies, names: tuple[str, str]) -> Any:
    all_made = [value for values in found.synthetic.values() for value in values]
    farthest = max([*found.real, *all_made], default=0.0)
    groups = {
        f"real images, to other patients ({len(found.real):,})": found.real,
        f"all synthetic images, to patients ({len(all_made):,})": all_made,
        f"accepted synthetic images, to patients ({len(found.accepted):,})": found.accepted,
    }
    return shares(
        "similarity",
        groups,
        "Share of real and of synthetic images that are less similar to a patient than a given similarity",
        ("similarity to the nearest other patient (surprisal) →", "share less similar"),
        end=max(1.3 * found.reject, min(1.05 * farthest, _BEYOND * found.reject), 1.0),
        thresholds=tuple(zip((found.review, found.reject), names, strict=True)),
    )


def _above(values: Sequence[float], limit: float) -> str:
    above = sum(value > limit for value in values)
    return f"{above:,} ({above / len(values):.1%})" if values else "0"
