"""What `balance scan` says: tables and findings for people, JSON for programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from balancer.cli.console import result, table
from balancer.cli.views.findings import show_findings
from balancer.text import many, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from balancer.collection.findings import Finding
    from balancer.collection.imbalance import Imbalance
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split
    from balancer.workspace.scan_run import ScanResult

_SHOWN = 3
_LINE = 90  # letters
_FEW_TESTED = 10  # patients; one more or less right moves the recall of fewer by over a tenth


def show_scan(found: ScanResult) -> None:
    """Print what a scan found, for people."""
    collection, split, figures = found.collection, found.split, found.imbalance
    images, counts = collection.images, figures.counts
    drawn = "the split of your table" if split.origin == "file" else "the stored split by patient"
    layout = "splits of its own" if collection.has_parts else f"no splits of its own: {drawn}"
    what = "findings" if collection.is_multi_label else "classes"
    result(f"{printable(collection.root.name)}: {len(images)} images, {len(counts)} {what}, {layout}")
    _show_source(collection)
    result()
    if found.findings is None:
        result(table(*_table(collection, split, figures)))
    else:
        show_findings(collection, split, found.findings)
    result()
    ratio = "infinite" if math.isinf(figures.ratio) else f"{figures.ratio:.1f}"
    result(f"Training images: imbalance ratio {ratio}, evenness {figures.evenness:.2f} (1 is balanced)")
    show_small_classes(collection, split)
    _show_patients(collection)
    _show_attributes(collection)
    _show_findings(collection.findings)
    result()
    result("Next: balance fill --target max --dry-run")
    if collection.is_multi_label:
        rarest = printable(min(counts, key=lambda label: counts[label]))
        result(f"One class an image instead: balance scan DATA --target-label '{rarest}', or --primary 'A,B,C'")


def _show_source(collection: Collection) -> None:
    """Where the labels come from, where it is not from folders, and what was left out."""
    source = collection.source
    if source is None:
        return
    if not source.by_folder:
        where = ", ".join(map(printable, sorted(source.tables))) or "the paths"
        column = source.columns.get("label")
        columns = f", {printable(column)}" if column and len(column) < _LINE else ""
        result(f"Labels from {where}{columns}; files found by {source.how}")
    if source.ignored:
        result("Left out: " + ", ".join(f"{count} {printable(name)}" for name, count in source.ignored.items()))


def _table(collection: Collection, split: Split, figures: Imbalance) -> tuple[list[str], list[list[object]]]:
    parts = [part for part in ("train", "holdout", "val", "test") if (split.parts == part).any()]
    images = collection.images
    of = split.parts.reindex(images.index)
    by_part = {part: images.loc[of == part, "label"].value_counts().to_dict() for part in parts}
    header = ["class", *parts, "share", "effective", "deficit"]
    rows: list[list[object]] = [
        [
            label,
            *(by_part[part].get(label, 0) for part in parts),
            f"{figures.shares[label]:.1%}",
            f"{figures.effective_numbers[label]:.0f}",
            figures.deficits[label],
        ]
        for label in figures.counts
    ]
    return header, rows


def show_small_classes(collection: Collection, split: Split) -> None:
    """Say which classes the test part cannot judge, and what the folds are for."""
    from balancer.splits.folds import FEW_PATIENTS, default_folds, small_classes
    from balancer.splits.groups import Groups

    groups = Groups.of(collection)
    kinds = "findings" if collection.is_multi_label else "classes"
    few = {label: n for label, n in groups.counts(split.parts == "test").items() if n < _FEW_TESTED}
    patients = "patients" if collection.images["patient"].notna().all() else "patients or images"
    if few:
        names = ", ".join(f"{printable(label)} ({size})" for label, size in few.items())
        result(f"Too few {patients} in the test split for a reliable result, fewer than {_FEW_TESTED}: {names}")
    alone = groups.in_training_alone(split.parts)
    if alone:
        names = ", ".join(f"{printable(finding)} ({size})" for finding, size in alone.items())
        result(f"In no other split than training ({patients}): {names}")
    small = ", ".join(f"{printable(label)} ({size})" for label, size in small_classes(groups, split.parts).items())
    few_to_train = f"fewer than {FEW_PATIENTS} {patients} to train on: {small}"
    if split.fold_count:
        why = f", since these {kinds} have {few_to_train}" if small else ""
        result(f"Folds for cross-fitting: {split.fold_count}, of all images, including the test split{why}")
    elif small and split.origin != "none":
        fit = default_folds(groups, split.parts)
        advice = f". To test on every patient of these {kinds}: balance split --folds {fit}" if fit else ""
        result(f"F{few_to_train[1:]}{advice}")


def _show_patients(collection: Collection) -> None:
    from balancer.collection.scan import patient_groups

    if not collection.patient_source:
        result("Patients: unknown. One patient may be in two splits; name the patients with --patient REGEX.")
        return
    count = collection.images["patient"].nunique()
    told = collection.source.columns.get("patient") if collection.source else None
    source = "--patient" if collection.patient_pattern else told if told == "the path" else "the table"
    result(f"Patients: {count}. Some of the groups that {source} found:")
    for patient, size, names in patient_groups(collection.images):
        fitting = names[:1] if len(", ".join(names)) > _LINE else names
        files = ", ".join(printable(name) for name in fitting)
        more = ", ..." if size > len(fitting) else ""
        result(f"  {printable(patient)}: {size} image{'s' if size > 1 else ''}: {files}{more}")


def _show_attributes(collection: Collection) -> None:
    """Class by sex, age group and view, where a table tells them."""
    from balancer.collection.crosstabs import crosstabs
    from balancer.collection.several_labels import a_row_for_each_label

    patients = collection.images["patient"].notna().any()
    several = collection.is_multi_label
    images = a_row_for_each_label(collection.images) if several else collection.images
    what = "finding" if several else "class"
    for name, by_class in crosstabs(images).items():
        result()
        result(f"{what.capitalize()} by {name}, images{' (patients)' if patients else ''}:")
        values = next(iter(by_class.values()))
        cells = [
            [label, *(f"{images} ({count})" if patients else images for images, count in row.values())]
            for label, row in by_class.items()
        ]
        result(table([what, *values], cells))


def _show_findings(findings: Iterable[Finding]) -> None:
    """The worst kinds first; what is said of many files is said once, with a few of them."""
    from balancer.collection.findings import KINDS

    order = {kind: place for place, kind in enumerate(KINDS)}
    alike: dict[tuple[str, str], list[Finding]] = {}
    for finding in sorted(findings, key=lambda each: order.get(each.kind, len(order))):
        alike.setdefault((finding.kind, finding.message), []).append(finding)
    result()
    result("Findings, most serious first:" if alike else "Findings: none")
    for (kind, message), group in alike.items():
        files = sum(len(finding.paths) for finding in group)
        counts = [*([f"{len(group)} times"] if len(group) > 1 else []), *([many(files, "file")] if files else [])]
        often = f" ({', '.join(counts)})" if counts else ""
        result(f"  {kind}{often}: {printable(message)}")
        result(f"    fix: {group[0].fix}")
        for finding in (each for each in group[:_SHOWN] if each.paths):
            names = ", ".join(printable(str(path)) for path in finding.paths[:_SHOWN])
            result(f"    {names}{', ...' if len(finding.paths) > _SHOWN else ''}")
        if len(group) > _SHOWN:
            result(f"    and {len(group) - _SHOWN} more such groups (--json lists all)")
