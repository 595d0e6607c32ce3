"""Real training images that synthetic ones may be made from, or take their intensities from; and how they are read."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from balancer.collection.label_sets import DENIED, findings_in
from balancer.collection.scan import Collection, Sample, samples, with_hashes
from balancer.imaging.decode import OutputFormat
from balancer.splits.split import Split
from balancer.store.database import Ledger
from balancer.store.setting_names import SOURCE_IMAGES

SourceImages = Mapping[str, Sequence[Sample]]
"""Real images of the split's part "train" by class."""

AT_MOST = 1000
"""Images of a class to choose from: enough for variety, few enough to hash and to remember."""
_UNFIT = ("blank", "inverted", "unreadable", "several-frames")  # findings about images that nothing should be made from


def resolve_source_images(
    collection: Collection, split: Split, output: OutputFormat, ledger: Ledger, *, remember: bool
) -> SourceImages:
    """The training images that the first fill chose of each class, as long as they are there.

    An image that is gone, or no longer in the part "train", gives its place to another, so that what was made from the
    others remains usable; new images take no part as long as the old ones are there. Never one of holdout, val or test.

    Raises:
        CollectionError: an image is gone, or has another size than when it was scanned.
    """
    fit = _fit(collection, split)
    stored: Mapping[str, Sequence[str]] = ledger.setting(collection, SOURCE_IMAGES) or {}
    groups = {str(label): rows for label, rows in fit.groupby("label")}
    paths = {label: list(_choose(rows, output, stored.get(label, ()))) for label, rows in groups.items()}
    collection = with_hashes(collection, dict.fromkeys(path for some in paths.values() for path in some))
    if remember:
        ledger.save_hashes(collection)
        if paths != stored:
            ledger.save_setting(collection, SOURCE_IMAGES, {**stored, **paths})
    return {label: samples(collection.images.loc[some]) for label, some in paths.items()}


def images_without(
    collection: Collection, sources: SourceImages, wanted: Mapping[str, str], *, exactly: bool = False
) -> dict[str, list[Sample]]:
    """For each label set the images that may be edited to show it: all that are known not to have its `wanted` finding.

    Where there are any, only those that have just the other findings of the set, which then stay in the label; all
    others may keep a finding that the set has not. `exactly`: no others.
    """
    sets = collection.label_sets
    if sets is None:
        return {}
    some = [sample for samples_of in sources.values() for sample in samples_of]
    rows = sets.only(pd.Index([sample.path for sample in some], name="path"))
    denied, findings = rows.has(DENIED), rows.of_each()
    found = {}
    for label, finding in wanted.items():
        others = tuple(sorted({*findings_in(label)} - {finding}))
        without = [place for place, is_denied in enumerate(denied[finding]) if is_denied]
        same = [place for place in without if findings[place] == others]
        found[label] = [some[place] for place in (same if exactly else same or without)]
    return found


def _fit(collection: Collection, split: Split) -> pd.DataFrame:
    """Training images of which nothing is known that speaks against them."""
    unfit = {str(path) for found in collection.findings if found.kind in _UNFIT for path in found.paths}
    train = collection.images.loc[split.paths("train")]
    return train[~train.index.isin(unfit)]


def _choose(rows: pd.DataFrame, output: OutputFormat, earlier: Sequence[str]) -> Iterator[str]:
    """The earlier choice with the gaps in it filled; without one, some images of the usual format, else of any."""
    usual = rows[(rows["format"] == output.codec) & (rows["mode"] == output.mode) & (rows["bits"] == output.bits)]
    there, taken = set(rows.index), set(earlier)
    fresh = iter(_spread(path for path in (rows if usual.empty else usual).index if path not in taken))
    if not earlier:
        yield from fresh
        return
    left = [path for path in earlier if path in there] or list(fresh)
    for place, path in enumerate(earlier):
        yield path if path in there else next(fresh, left[place % len(left)])


def _spread(paths: Iterable[str]) -> list[str]:
    """At most `AT_MOST` of them, in an order that has nothing to do with their names."""
    return heapq.nsmallest(AT_MOST, paths, key=lambda path: hashlib.sha256(path.encode(errors="replace")).digest())
