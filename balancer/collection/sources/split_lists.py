"""Which split a file is of: by a column of a table, by lists of files, by the folders in the root."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from balancer.collection.findings import Finding
from balancer.collection.sources.marks import Texts
from balancer.collection.sources.matching import Match, match_files
from balancer.collection.sources.reading import Reading, Source
from balancer.collection.walk import Listing, canonical_part
from balancer.errors import TableError
from balancer.imaging.tables import read_list

_NAMED = 3


@dataclass(frozen=True, slots=True)
class SplitLists:
    """Another source with the splits that lists of files tell."""

    source: Source
    lists: tuple[tuple[str, Path], ...]
    strip_prefix: str | None = None

    def read(self, listing: Listing) -> Reading:
        """The split of each file by the list that names it; training where there is no list of training.

        Raises:
            TableError: a list that names no file, a file in two of them, or a split that there is not.
        """
        reading = self.source.read(listing)
        named = {part: canonical_part(part) for part, _ in self.lists}
        _require_known(named)
        lists = {str(named[part]): np.array(read_list(path), object) for part, path in self.lists}
        return _with_lists(reading, lists, self.strip_prefix)


def parts_of(
    told: Texts | None, kept: npt.NDArray[np.bool_], listing: Listing
) -> tuple[list[str], tuple[Finding, ...]]:
    """The split of each file that is kept; of files that none is told of, training, and a finding.

    Where nothing is told of any, the folders in the root are splits if all are called so.
    """
    if told is None or all(value is None for value in told[kept]):
        tops = [path.partition("/")[0] for path, stays in zip(listing.paths, kept.tolist(), strict=True) if stays]
        known = {top: canonical_part(top) for top in set(tops)}
        whole = None not in known.values() and "train" in known.values() and len(known) > 1
        return ([known[top] or "" for top in tops] if whole else [""] * len(tops)), ()
    distinct = {value: canonical_part(value) for value in set(told[kept].tolist()) - {None}}
    unknown = sorted(value for value, part in distinct.items() if part is None)
    if unknown:
        advice = "name another column: balance scan DATA --labels TABLE --columns 'split=COLUMN'"
        raise _unknown(unknown, advice)
    parts = [distinct.get(value) or "" for value in told[kept].tolist()]
    untold = [path for path, part in zip(np.array(listing.paths, object)[kept], parts, strict=True) if not part]
    if not untold:
        return parts, ()
    message = f"no split is known for {len(untold)} images: they are used for training"
    finding = Finding("no-split", _paths(untold), message, "add them to the lists or the column of splits")
    return [part or "train" for part in parts], (finding,)


def _with_lists(reading: Reading, lists: Mapping[str, Texts], strip_prefix: str | None) -> Reading:
    """The same with the splits that lists of files tell; a file of no list is training, where that has none."""
    told: Texts = np.full(len(reading.listing.paths), None, object)
    for part, entries in lists.items():
        match = match_files(entries, reading.listing.paths, strip_prefix)
        _require_listed(part, entries, match, reading.listing)
        there = match.files >= 0
        if (told[there] != None).any():  # noqa: E711  # of an array
            twice = np.array(reading.listing.paths, object)[there & (told != None)]  # noqa: E711
            raise TableError(
                needed="each file in the list of one split",
                found=f"{twice[0]!r} in two",
                next_step="correct the lists, then: balance scan DATA --split-list train=FILE --split-list test=FILE",
            )
        told[there] = part
    if "train" not in lists:
        told[told == None] = "train"  # noqa: E711
    everything = np.ones(len(told), bool)
    parts, findings = parts_of(told, everything, reading.listing)
    return replace(reading, parts=parts, findings=(*reading.findings, *findings))


def _require_listed(part: str, entries: Texts, match: Match, listing: Listing) -> None:
    if match.found:
        return
    raise TableError(
        needed=f"files of {listing.root.name} in the list of {part}",
        found=f"none: it has {', '.join(map(repr, entries[:_NAMED]))}",
        next_step=f"use the right list: balance scan DATA --split-list {part}=FILE",
    )


def _require_known(named: Mapping[str, str | None]) -> None:
    unknown = sorted(part for part, known in named.items() if known is None)
    if unknown:
        raise _unknown(unknown, "balance scan DATA --split-list train=FILE --split-list test=FILE")


def _unknown(values: list[str], advice: str) -> TableError:
    return TableError(
        needed="train, val or test (or a usual synonym) as the split of a file",
        found=", ".join(map(repr, values[:_NAMED])),
        next_step=advice,
    )


def _paths(names: Iterable[str]) -> tuple[PurePosixPath, ...]:
    return tuple(map(PurePosixPath, names))
