"""Labels, patients, splits and more from the names of folders and files, by a regular expression with named groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from balancer.collection.findings import Finding
from balancer.collection.sources.labelled_table import Tables, is_beside
from balancer.collection.sources.reading import Labels, Reading, Source
from balancer.collection.sources.split_lists import parts_of
from balancer.collection.walk import Listing
from balancer.errors import CollectionError

THE_PATH = "the path"
"""Where a pattern read what it tells."""
_NAMED = 3


@dataclass(frozen=True, slots=True)
class PathPattern:
    """An expression that is searched in each path below the root.

    Where it has no group `label`, `source` tells the labels; else `tables` may tell more of each file.
    """

    pattern: str
    source: Source
    tables: Tables | None = None
    mapped: tuple[tuple[str, str], ...] = ()

    def read(self, listing: Listing) -> Reading:
        """What the groups of the expression tell; files that it does not fit are left out, and named.

        Raises:
            CollectionError: no expression, one without named groups, or one that fits no file.
        """
        expression = _compiled(self.pattern)
        if "label" in expression.groupindex:
            reading = self._labelled(listing, expression)
            return reading if self.tables is None else self.tables.add_facts(reading)
        reading = self.source.read(listing)
        return _with_groups(reading, expression)

    def _labelled(self, listing: Listing, expression: re.Pattern[str]) -> Reading:
        found = [expression.search(path) for path in listing.paths]
        labels = [match["label"] if match else None for match in found]
        kept = np.array([bool(label) for label in labels], bool)
        _require_fit(listing.paths, self.pattern, bool(kept.any()))
        mapped = dict(self.mapped)
        names = [mapped.get(label, label) for label in labels if label]
        reading = Reading(listing, Labels.single(names), [""] * len(names), by_folder=False, how="pattern")
        reading = replace(reading, listing=listing.only(kept.tolist()))
        left = [path for path, stays in zip(listing.paths, kept.tolist(), strict=True) if not stays]
        counts = _by_reason(left, reading.listing.paths)
        return _with_groups(replace(reading, ignored=counts, findings=tuple(_left_out(left))), expression)


def _compiled(pattern: str) -> re.Pattern[str]:
    advice = r"for example: balance scan DATA --pattern '(?P<patient>p\d+)/(?P<label>[^/]+)/'"
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise CollectionError(
            needed="a regular expression in --pattern", found=f"{pattern!r}: {error}", next_step=advice
        ) from error
    if expression.groupindex:
        return expression
    raise CollectionError(
        needed="named groups in --pattern: label, patient, split, or any other",
        found=repr(pattern),
        next_step=advice,
    )


def _require_fit(paths: Sequence[str], pattern: str, some: bool) -> None:
    if some:
        return
    raise CollectionError(
        needed="a regular expression that matches the paths below the folder",
        found=f"{pattern!r} matches none of {len(paths)}: {', '.join(map(repr, paths[:_NAMED])) or 'no images'}",
        next_step="correct it, in quotes: balance scan DATA --pattern REGEX",
    )


def _with_groups(reading: Reading, expression: re.Pattern[str]) -> Reading:
    """The same with what the other groups tell: splits, patients, and attributes."""
    names = [name for name in expression.groupindex if name != "label"]
    paths = reading.listing.paths
    found = [expression.search(path) for path in paths]
    _require_fit(paths, expression.pattern, any(found))
    told = {name: np.array([match[name] if match else None for match in found], object) for name in names}
    parts, findings = reading.parts, reading.findings
    if "split" in told:
        everything = np.ones(len(paths), bool)
        parts, about = parts_of(told.pop("split"), everything, reading.listing)
        findings = (*findings, *about)
    facts, columns = {**reading.facts, **told}, {**reading.columns, **dict.fromkeys(names, THE_PATH)}
    return replace(reading, parts=parts, facts=facts, findings=findings, columns=columns)


def _by_reason(left: Sequence[str], kept: Sequence[str]) -> dict[str, int]:
    """How many files are left out: masks, whole folders by their name, and others."""
    tops = {path.partition("/")[0] for path in kept}
    counts: dict[str, int] = {}
    for path in left:
        top, _, rest = path.partition("/")
        reason = "masks" if is_beside(path) else top if rest and top not in tops else "unlabelled"
        counts[reason] = counts.get(reason, 0) + 1
    return counts


def _left_out(left: Sequence[str]) -> list[Finding]:
    if not left:
        return []
    message = f"the pattern does not match {len(left)} images, which are not read; for example {left[0]}"
    return [
        Finding("unlabelled", tuple(map(PurePosixPath, left)), message, "widen it if they belong to the collection")
    ]
