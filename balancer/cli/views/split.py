"""Printing a split: images and patients of each class in each split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balancer.cli.console import result, table
from balancer.cli.views.scan import show_small_classes

if TYPE_CHECKING:
    from balancer.workspace.split_run import SplitResult


def show_split(found: SplitResult) -> None:
    """Images and patients of each class in each split, and of each sex and view."""
    collection, split = found.collection, found.split
    for by in ("label", *found.attributes):
        counts = found.counts(by)
        names = [name for name in next(iter(counts.values())) if any(row[name]["images"] for row in counts.values())]
        header = [("finding" if collection.is_multi_label else "class") if by == "label" else by, *names]
        result(table(header, [_row(value, row, names) for value, row in counts.items()]))
        result()
    unit = "patients" if collection.images["patient"].notna().all() else "patients, or images where they are unknown"
    result(f"Each cell: images / {unit} (share of these).")
    show_small_classes(collection, split)
    origins = {"collection": "the collection's own split", "file": "your table", "none": "no generator holdout"}
    result(f"Split: {origins.get(split.origin, f'drawn with seed {split.seed}')}, sha256 {split.sha256}")


def _row(name: str, counts: dict[str, dict[str, int]], names: list[str]) -> list[object]:
    total = sum(each["patients"] for each in counts.values()) or 1
    cells = (counts[each] for each in names)
    return [name, *(f"{cell['images']} / {cell['patients']} ({cell['patients'] / total:.0%})" for cell in cells)]
