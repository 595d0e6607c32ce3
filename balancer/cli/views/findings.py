"""Printing the findings of images that have several: counts, figures of imbalance, and which occur together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from balancer.cli.console import message, result, table
from balancer.text import printable

if TYPE_CHECKING:
    from balancer.collection.imbalance import FindingImbalance
    from balancer.collection.label_sets import LabelSets
    from balancer.collection.scan import Collection
    from balancer.dataset.merge import MergeReport
    from balancer.splits.split import Split
    from balancer.workspace.plan_run import FindingsPlan

_IN_A_TABLE = 15  # findings; of more, pairs are listed
_PAIRS = 10
_SETS = 15


def show_findings(collection: Collection, split: Split, figures: FindingImbalance) -> None:
    """Print how many images and patients have each finding, and what that comes to."""
    sets = collection.label_sets
    if sets is None:
        return
    result(table(*_counts(collection, sets, split, figures)))
    absent = [printable(name) for name in sets.findings if name not in collection.labels]
    if absent:
        result(f"No image has: {', '.join(absent)}")
    result()
    _show_others(sets)
    result(
        f"Training images by Charte et al. 2015: MeanIR {figures.mean_ratio:.1f}, CVIR {figures.variation:.2f}, "
        f"SCUMBLE {figures.concurrence:.3f} (0: rare findings share no image with frequent ones)"
    )
    _show_together(figures)


def _counts(
    collection: Collection, sets: LabelSets, split: Split, figures: FindingImbalance
) -> tuple[list[str], list[list[object]]]:
    from balancer.collection.label_sets import UNCERTAIN, UNKNOWN

    parts = [part for part in ("train", "holdout", "val", "test") if (split.parts == part).any()]
    by_part = {part: sets.only(split.paths(part)).counts() for part in parts}
    has, patients = sets.has(), collection.images["patient"]
    uncertain, unknown = sets.counts(UNCERTAIN), sets.counts(UNKNOWN)
    more = [(name, counts) for name, counts in (("uncertain", uncertain), ("unknown", unknown)) if any(counts.values())]
    header = ["finding", *parts, "patients", "IR", *(name for name, _ in more)]
    rows: list[list[object]] = [
        [
            name,
            *(by_part[part][name] for part in parts),
            int(patients[has[name]].nunique()) or "?",
            "-" if math.isinf(figures.ratios[name]) else f"{figures.ratios[name]:.1f}",
            *(counts[name] for _, counts in more),
        ]
        for name in collection.labels
    ]
    return header, rows


def _show_others(sets: LabelSets) -> None:
    given, without = int(sets.is_given().sum()), int(sets.without_finding().sum())
    named = f" ({printable(sets.nothing)!r})" if sets.nothing else ""
    unclear = len(sets.marks) - given - without
    rest = f", {unclear} where that is uncertain or not known" if unclear else ""
    result(f"Images: {given} with a finding, {without} without any{named}{rest}")


def _show_together(figures: FindingImbalance) -> None:
    """Which findings occur together: a table of a few, of many the most frequent pairs."""
    names = [name for name, ratio in figures.ratios.items() if not math.isinf(ratio)]
    together = figures.together
    pairs = sorted(
        ((together[one].get(other, 0), one, other) for at, one in enumerate(names) for other in names[at + 1 :]),
        key=lambda pair: (-pair[0], *pair[1:]),
    )
    if not pairs or not pairs[0][0]:
        result("No training image has two findings.")
    elif len(names) > _IN_A_TABLE:
        some = (f"{printable(one)} and {printable(other)} ({n})" for n, one, other in pairs[:_PAIRS] if n)
        result(f"Most often together: {', '.join(some)}")
    else:
        result("Training images with two findings:")
        rows = [
            [f"{number} {name}", *(together[name].get(other, "") for other in names)]
            for number, name in enumerate(names, start=1)
        ]
        result(table(["", *map(str, range(1, len(names) + 1))], rows))


def show_findings_plan(found: FindingsPlan) -> None:
    """Print what each finding has, lacks and will count, and the label sets of new images."""
    plan, sets = found.plan, found.sets
    rows = [
        [finding, count, plan.target_counts[finding], plan.deficits[finding], sets.after[finding]]
        for finding, count in found.counts.items()
    ]
    result(table(["finding", "training images", "target", "lacks", "afterwards"], rows))
    result()
    some = sorted(sets.sets.items(), key=lambda item: (-item[1], item[0]))
    if some:
        result(table(["findings of new images", "to make"], [[name, number] for name, number in some[:_SETS]]))
    if len(some) > _SETS:
        rest = sum(number for _, number in some[_SETS:])
        result(f"and {rest} images of {len(some) - _SETS} other sets")
    for finding, more in sets.lifted.items():
        message(
            f"{printable(finding)} gets {more} more than it lacks, since no real training image has "
            "the wanted findings without it. To generate each by itself: --alone"
        )
    for finding, missing in sets.unreachable.items():
        message(f"{printable(finding)} keeps lacking {missing}: no real training image has it, so nothing shows how.")


def show_findings_made(counts: Mapping[str, int], merged: MergeReport) -> None:
    """Print how many training images have each finding after a merge; `counts` are the real ones."""
    from balancer.workspace.merge_run import synthetic_of

    rows = []
    for finding, count in counts.items():
        made = synthetic_of(finding, merged, several=True)
        rows.append([finding, count, made, count + made])
    result()
    result(table(["finding", "real", "synthetic", "training images"], rows))
