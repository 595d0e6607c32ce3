"""The source that options name: folders, tables, an expression over paths, or several together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePosixPath

import numpy as np

from balancer.collection.findings import Finding
from balancer.collection.sources.choice import Choice
from balancer.collection.sources.folders import Folders
from balancer.collection.sources.labelled_table import Headers, Tables, is_beside
from balancer.collection.sources.marks import Texts
from balancer.collection.sources.options import SourceOptions
from balancer.collection.sources.path_pattern import PathPattern
from balancer.collection.sources.reading import Reading, Source
from balancer.collection.sources.split_lists import SplitLists
from balancer.collection.walk import Listing
from balancer.errors import ImageError, TableError


def dicom_headers(listing_root: str) -> Headers:
    """What headers below a root tell."""

    def read(paths: Sequence[str], keywords: Sequence[str]) -> Mapping[str, Texts]:
        read_header = _header_reader()
        columns: dict[str, Texts] = {keyword: np.full(len(paths), None, object) for keyword in keywords}
        for place, path in enumerate(paths):
            try:
                told = read_header(f"{listing_root}/{path}")
            except ImageError:
                continue
            for keyword, values in columns.items():
                values[place] = str(told[keyword]).strip() or None if keyword in told else None
        return columns

    return read


def _header_reader() -> Callable[[str], Mapping[str, object]]:
    try:
        found: Callable[[str], Mapping[str, object]] = import_module("balancer.imaging.dicom").read_header
    except ImportError as error:
        raise TableError(
            needed="a version that reads the headers of DICOM files",
            found=str(error),
            next_step="name a column with file names instead: balance scan DATA --labels TABLE --columns 'file=COLUMN'",
        ) from error
    return found


@dataclass(frozen=True, slots=True)
class Ignoring:
    """Another source without the files that globs name."""

    source: Source
    globs: tuple[str, ...]

    def read(self, listing: Listing) -> Reading:
        """What the source tells of the files that are left."""
        rest, out = listing.without(self.globs)
        reading = self.source.read(rest)
        masks = sum(map(is_beside, out))
        counts = {name: count for name, count in (("masks", masks), ("ignored", len(out) - masks)) if count}
        message = f"not read, as --ignore says: {len(out)}"
        found = Finding("ignored-file", tuple(map(PurePosixPath, out)), message, "nothing, if they are no radiographs")
        return reading if not out else reading.with_ignored(counts, found)


def make_source(options: SourceOptions, headers: Headers, *, as_is: bool = False) -> Source:
    """The source that options name.

    >>> type(make_source(SourceOptions(pattern="(?P<label>.)"), dict).source.source).__name__
    'PathPattern'
    """
    tables = Tables(options, headers, as_is) if options.labels else None
    source: Source = Folders() if tables is None else tables
    if options.pattern:
        source = PathPattern(options.pattern, source, tables, tuple((options.mapped or {}).items()))
    if options.split_lists:
        source = SplitLists(source, options.split_lists, options.strip_prefix)
    return Ignoring(Choice(source, options.target_label, options.primary), options.ignore)
