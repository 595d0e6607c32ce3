"""One class for each image where images have several labels: one label against the rest, or the first of a list."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from balancer.collection.findings import Finding
from balancer.collection.sources.marks import counts_by_name
from balancer.collection.sources.reading import Reading, Source
from balancer.collection.walk import Listing
from balancer.errors import CollectionError

_NAMED = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """Another source, with one class for each image: `target` against the rest, or the first of `primary`."""

    source: Source
    target: str | None = None
    primary: tuple[str, ...] = ()

    def read(self, listing: Listing) -> Reading:
        """All labels, and the class that was chosen; what is still undecided, or uncertain, is a finding.

        Raises:
            CollectionError: a label that there is not.
        """
        reading = self.source.read(listing)
        about = tuple(_about(reading))
        if self.target is not None:
            reading = _against_the_rest(reading, _known(reading, self.target))
        elif self.primary:
            reading = _first_of(reading, tuple(_known(reading, name) for name in self.primary))
        return replace(reading, findings=(*reading.findings, *about, *_undecided(reading)))


def rest_of(label: str) -> str:
    """What the images without a label are called as a class.

    >>> rest_of("Hernia")
    'no Hernia'
    """
    return f"no {label}"


def _known(reading: Reading, label: str) -> str:
    names = reading.labels.names
    same = [name for name in names if name.casefold() == label.casefold()]
    if same:
        return label if label in same else same[0]
    near = difflib.get_close_matches(label, names, n=1)
    raise CollectionError(
        needed=f"a label of the collection: {', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}",
        found=repr(label),
        next_step=f"balance scan DATA --target-label '{near[0] if near else names[0]}'",
    )


def _against_the_rest(reading: Reading, label: str) -> Reading:
    """The label's images against all others; where it is uncertain, an image is of neither class."""
    files = len(reading.listing.paths)
    chosen = np.where(reading.labels.has(label, files), label, rest_of(label)).astype(object)
    chosen_reading = replace(reading, chosen=chosen)
    if reading.uncertain is None:
        return chosen_reading
    return chosen_reading.only(~reading.uncertain.has(label, files), "uncertain")


def _first_of(reading: Reading, names: tuple[str, ...]) -> Reading:
    """The first of the names that each image has; images with none of them are left out."""
    files = len(reading.listing.paths)
    chosen: npt.NDArray[np.object_] = np.full(files, "", object)
    for name in reversed(names):
        chosen[reading.labels.has(name, files)] = name
    left = [path for path, label in zip(reading.listing.paths, chosen.tolist(), strict=True) if not label]
    message = f"{len(left)} images have none of the labels of --primary and are left out"
    finding = Finding("unlabelled", tuple(map(PurePosixPath, left)), message, "add their label to --primary")
    return replace(reading, chosen=chosen).only(chosen != "", "not_primary", finding)


def _about(reading: Reading) -> Iterator[Finding]:
    """What is uncertain, label by label."""
    counts = {} if reading.uncertain is None else counts_by_name(reading.uncertain)
    if counts:
        some = ", ".join(f"{name} ({count})" for name, count in counts.items())
        message = f"uncertain labels (-1) count as neither positive nor negative: {some}"
        fix = "to change this: balance scan DATA --uncertain positive (or negative)"
        yield Finding("uncertain-labels", (), message, fix)


def _undecided(reading: Reading) -> Iterator[Finding]:
    if not reading.is_undecided:
        return
    counts = reading.labels.counts(len(reading.listing.paths))
    several, none = int((counts > 1).sum()), int((counts == 0).sum())
    without = f" and {none} have none" if none else ""
    message = f"{several} images have several labels{without}; each label is counted separately"
    fix = (
        "none needed. For one class an image: balance scan DATA --target-label LABEL (that label against the rest), "
        "or --primary 'A,B,C' (the first of these that an image has)"
    )
    yield Finding("several-labels", (), message, fix)
