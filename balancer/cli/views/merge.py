"""What `balance merge` prints: the classes with their synthetic images, and where the folder is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from balancer.cli.console import message, result, shown, table
from balancer.cli.views.findings import show_findings_made
from balancer.text import printable

if TYPE_CHECKING:
    from balancer.dataset.merge import MergeReport
    from balancer.workspace.merge_run import MergeResult


def show_merge(found: MergeResult) -> None:
    """The classes, those that lost images since the last fill, and where the folder is."""
    (show_findings_made if found.several else show_classes)(found.counts, found.merged)
    for label, (missing, wanted) in found.short.items():
        message(
            f"Short: {printable(label)} lacks {missing} of {wanted} that fill should have generated: "
            "run the same fill again."
        )
    if not found.merged.rebuilt:
        message("Nothing changed: the folder is up to date.")
    show_folder(found.merged)


def show_classes(counts: Mapping[str, int], merged: MergeReport) -> None:
    """How many images each class has after a merge; `counts` are the real ones."""
    from balancer.collection.imbalance import measure_imbalance

    after = {label: count + merged.synthetic[label] for label, count in counts.items()}
    rows = [[label, count, merged.synthetic[label], after[label]] for label, count in counts.items()]
    result()
    result(table(["class", "real", "synthetic", "training images"], rows))
    before_ratio, after_ratio = measure_imbalance(counts).ratio, measure_imbalance(after).ratio
    result(f"Imbalance ratio {before_ratio:.1f} before, {after_ratio:.1f} after")


def show_folder(merged: MergeReport) -> None:
    """Where the balanced folder is."""
    result(f"Balanced folder: {shown(merged.folder)}")
    if merged.dicom is not None:
        result(f"The same as DICOM, secondary captures without patient identifiers: {shown(merged.dicom)}")
    result(f"Next: balance verify {shown(merged.folder)}")
