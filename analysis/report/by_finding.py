"""What the report shows of images with several findings: each counts for all that it has."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from balancer.collection.imbalance import FindingImbalance, measure_findings
from balancer.collection.label_sets import findings_in, rarest_in
from balancer.collection.scan import Collection
from balancer.filling.verdicts import Judged, LabelRecords
from balancer.splits.split import Split

Counts = Mapping[str, tuple[int, int]]


def one_row_a_finding(collection: Collection) -> pd.DataFrame:
    """The table of images, with a row for each finding of an image; of one class an image, the table as it is."""
    sets = collection.label_sets
    if sets is None:
        return collection.images
    found = sets.only(collection.images.index).of_each()
    several = collection.images.loc[collection.images.index.repeat([len(each) for each in found])]
    return several.assign(label=[finding for each in found for finding in each])


def imbalance_of(collection: Collection, split: Split) -> FindingImbalance | None:
    """How imbalanced the findings of the training images are; None where an image has one class, or none has any."""
    if collection.label_sets is None:
        return None
    has = collection.label_sets.only(split.paths("train", "holdout")).has()
    return measure_findings(has) if has.to_numpy().any() else None


def records_by_finding(known: Mapping[str, LabelRecords], collection: Collection) -> Mapping[str, LabelRecords]:
    """What is on record of images by the finding that they were made for; of one class an image, as it is."""
    if collection.label_sets is None:
        return known
    counts = collection.label_sets.counts()
    judged: dict[str, dict[str, Judged]] = {}
    judges: dict[str, dict[str, str | None]] = {}
    for label, records in known.items():
        for key, each in records.judged.items():
            wanted = each[0].wanted or rarest_in(label, counts)
            judged.setdefault(wanted, {})[key] = each
            judges.setdefault(wanted, {})[key] = records.judges[key]
    return {finding: LabelRecords(judged[finding], judges[finding]) for finding in sorted(judged)}


def counts_by_finding(counts: Counts, findings: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """(real, synthetic) images of each finding, from those of label sets.

    >>> counts_by_finding({"A": (5, 1), "A|B": (2, 3)}, ("A", "B"))
    {'A': (7, 4), 'B': (2, 3)}
    """
    of = {finding: [pair for label, pair in counts.items() if finding in findings_in(label)] for finding in findings}
    return {finding: (sum(real for real, _ in some), sum(made for _, made in some)) for finding, some in of.items()}
