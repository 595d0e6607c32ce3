"""What the page of a scan shows besides what the report knows: sizes, grey levels, and images of each finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.report.by_finding import one_row_a_finding
from analysis.report.data import Facts, collect
from analysis.report.image_sheets import first_tiles
from analysis.statistics.intervals import Interval
from balancer.collection.findings import Finding
from balancer.collection.image_stats import fresh, read_contents
from balancer.progress import SILENT, Progress
from balancer.workspace.reports import LABELS

if TYPE_CHECKING:
    from balancer.workspace.workspace import Session

_EACH, _ALL = 64, 2000
"""Images of a class, and of all, that are decoded for the page where no deep scan did so."""
_LOW, _HIGH = 10, 90  # percentiles of a spread


@dataclass(frozen=True, slots=True)
class ScanFacts(Facts):
    """What is known of a scanned collection.

    `sizes` counts images by width and height, `kinds_of_file` by format and bits, the most frequent first. By class,
    `sides` are of the longer side in pixels, `brightness` of the mean and `contrast` of the standard deviation of an
    image's grey levels (0 to 255): the median, the 10th and the 90th percentile. Grey levels are of `measured` of all
    `images`; `deep`: all of them were decoded by a deep scan. `examples` are small images, by kind of finding.
    """

    images: int = 0
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    kinds_of_file: Mapping[tuple[str, int], int] = field(default_factory=dict)
    sides: Mapping[str, Interval] = field(default_factory=dict)
    brightness: Mapping[str, Interval] = field(default_factory=dict)
    contrast: Mapping[str, Interval] = field(default_factory=dict)
    measured: int = 0
    deep: bool = False
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)


def collect_scan(session: Session, *, private: bool = False, progress: Progress = SILENT) -> ScanFacts:
    """Gather what a scan found; where no deep scan decoded all images, some of each class are decoded now."""
    collection = session.collection
    known = collect(collection, session.split, session.ledger, session.state, None, private=private)
    about_labels = [each for each in known.warnings if each.startswith(LABELS)]
    known = replace(known, results=None, warnings=about_labels)  # of the balanced folder the report tells
    images, rows = collection.images, one_row_a_finding(collection)
    seen = fresh(images, session.ledger.load_contents(collection.root))
    deep = len(seen) == len(images)
    chosen = images if deep else images.loc[_some_of_each(rows)]
    contents = read_contents(collection.root, chosen, seen, progress.start("Decoding"))
    sound = {path: each for path, each in contents.items() if not each.fault}
    measured = rows.loc[rows.index.isin(sound)]
    paths = _by_kind(collection.findings)
    return ScanFacts(
        **{each.name: getattr(known, each.name) for each in fields(Facts)},
        images=len(images),
        sizes=_counted(images, "width", "height"),
        kinds_of_file=_counted(images, "format", "bits"),
        sides=_spreads(rows, images[["width", "height"]].max(axis=1).to_dict()),
        brightness=_spreads(measured, {path: each.mean for path, each in sound.items()}),
        contrast=_spreads(measured, {path: each.spread for path, each in sound.items()}),
        measured=len(sound),
        deep=deep,
        examples={} if private else {kind: first_tiles([collection.root / p for p in some]) for kind, some in paths},
    )


def _some_of_each(rows: pd.DataFrame) -> list[str]:
    """Paths at equal steps through those of each class."""
    by_class = rows.groupby("label").groups
    count = max(2, min(_EACH, _ALL // max(1, len(by_class))))
    places = {label: np.linspace(0, len(paths) - 1, min(count, len(paths))) for label, paths in by_class.items()}
    return list(dict.fromkeys(paths[round(at)] for label, paths in by_class.items() for at in places[label]))


def _counted(images: pd.DataFrame, *columns: str) -> dict[Any, int]:
    """How many images have each combination of values, the most frequent first."""
    return dict(images.groupby(list(columns)).size().sort_values(ascending=False, kind="stable"))


def _spreads(rows: pd.DataFrame, values: Mapping[Any, float]) -> dict[str, Interval]:
    """By class the median, and the percentiles below and above it."""
    found = {}
    for label, paths in rows.groupby("label").groups.items():
        low, middle, high = np.percentile([values[path] for path in paths], [_LOW, 50, _HIGH]).tolist()
        found[str(label)] = Interval(middle, low, high)
    return found


def _by_kind(findings: Iterable[Finding]) -> list[tuple[str, list[str]]]:
    """The files of each kind of finding, those of one finding beside each other."""
    found: dict[str, list[str]] = {}
    for each in findings:
        found.setdefault(each.kind, []).extend(map(str, each.paths))
    return list(found.items())
