"""The source that options name: folders, tables, an expression over paths, or several together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from balancer.collection.findings import Finding
from balancer.collection.sources.choice import Choice
from balancer.collection.sources.dicom_headers import DicomHeaders, WithHeaders
from balancer.collection.sources.folders import Folders
from balancer.collection.sources.labelled_table import Tables, is_beside
from balancer.collection.sources.options import SourceOptions
from balancer.collection.sources.own_source import own_source
from balancer.collection.sources.path_pattern import PathPattern
from balancer.collection.sources.reading import Reading, Source
from balancer.collection.sources.split_lists import SplitLists
from balancer.collection.walk import Listing


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
        message = f"not read because of --ignore: {len(out)}"
        found = Finding(
            "ignored-file", tuple(map(PurePosixPath, out)), message, "none needed, if they are not radiographs"
        )
        return reading if not out else reading.with_ignored(counts, found)


def make_source(options: SourceOptions, root: str, *, as_is: bool = False) -> Source:
    """The source that options name, for files below `root`.

    >>> type(make_source(SourceOptions(pattern="(?P<label>.)"), "xrays").source.source.source).__name__
    'PathPattern'
    """
    headers = DicomHeaders(root)
    tables = Tables(options, headers, as_is) if options.labels else None
    source: Source = Folders() if tables is None else tables
    if options.source:
        source = own_source(options.source, root)
    if options.pattern:
        source = PathPattern(options.pattern, source, tables, tuple((options.mapped or {}).items()))
    if options.split_lists:
        source = SplitLists(source, options.split_lists, options.strip_prefix)
    chosen = Choice(source, options.target_label, options.primary)
    return Ignoring(WithHeaders(chosen, headers), options.ignore)
