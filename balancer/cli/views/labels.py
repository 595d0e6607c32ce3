"""What `balance labels` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balancer.cli.console import result, shown, table
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.labels.service import LabelsResult

_SHOWN = 20


def show_labels(found: LabelsResult) -> None:
    """The worst labels, and what to do with the list."""
    count = len(found.suspected)
    result(
        f"{found.checked} images checked; the classifiers agree with {found.agreement:.1%} of the labels. "
        f"Suspected: {count}."
    )
    for note in found.notes:
        result(f"Note: {note}")
    if not count:
        return
    rows = [
        [printable(each.image), each.given, each.suggested, f"{each.quality:.3f}", each.split]
        for each in found.suspected[:_SHOWN]
    ]
    result()
    result(table(["image", "given", "suggested", "quality", "split"], rows))
    if count > _SHOWN:
        result(f"and {count - _SHOWN} more in {shown(found.table)}")
    result()
    result("Quality: the probability of the given label, 0 is worst. A difficult image also has a low one: look first.")
    result(f"All of them, the worst first: {shown(found.table)}. Pictures: balance report")
    result("Next: copy the rows whose label is wrong into a file of yours, then: balance scan DATA --exclude FILE")
