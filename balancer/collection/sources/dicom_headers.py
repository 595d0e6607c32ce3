"""What DICOM headers tell beside the labels: columns as of a table, files that hold no image, and what is odd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from balancer.collection.findings import Finding
from balancer.collection.sources.marks import Texts
from balancer.collection.sources.reading import Reading, Source
from balancer.collection.walk import Listing
from balancer.errors import ImageError
from balancer.imaging.decode import EXTENSIONS
from balancer.imaging.dicom import FORMAT, KEYWORDS, Tags, is_derived, read_tags, shape_contradicts

COLUMNS = {
    "patient": ("PatientID",),
    "sex": ("PatientSex",),
    "age": ("PatientAge",),
    "view": ("ViewPosition",),
    "body_part": ("BodyPartExamined",),
    "laterality": ("ImageLaterality", "Laterality"),
    "manufacturer": ("Manufacturer",),
    "modality": ("Modality",),
    "burned_in": ("BurnedInAnnotation",),
}
"""Which keywords tell what; the first with a value counts."""
_OTHERS = {suffix for suffix, codec in EXTENSIONS.items() if codec != FORMAT}
_NAMED = 3
_FEWEST = 2  # images from which one patient number for all of them tells nothing
Places = Mapping[str, Tags | None]


@dataclass(slots=True)
class DicomHeaders:
    """The headers of the DICOM files below a folder, each read once; None stands for one that cannot be read."""

    root: str
    known: dict[str, Tags | None] = field(default_factory=dict)
    asked: tuple[str, ...] = KEYWORDS

    def of(self, paths: Sequence[str]) -> dict[str, Tags | None]:
        """The paths that may be DICOM: by their extension, or because they have no extension of an image format."""
        for path in paths:
            if path not in self.known and path[path.rfind(".") :].lower() not in _OTHERS:
                self.known[path] = self._read(path)
        return {path: self.known[path] for path in paths if path in self.known}

    def __call__(self, paths: Sequence[str], keywords: Sequence[str]) -> Mapping[str, Texts]:
        """A column for each keyword, None where it is not there."""
        if not set(keywords) <= set(self.asked):
            self.asked, self.known = (*self.asked, *keywords), {}
        tags = self.of(paths)
        return {keyword: _column([tags.get(path) for path in paths], (keyword,)) for keyword in keywords}

    def _read(self, path: str) -> Tags | None:
        try:
            return read_tags(f"{self.root}/{path}", self.asked[len(KEYWORDS) :])
        except ImageError:
            return None  # the scan says what is wrong with it


@dataclass(frozen=True, slots=True)
class WithHeaders:
    """Another source, of the DICOM files that hold an image, with what their headers tell where it tells nothing."""

    source: Source
    headers: DicomHeaders

    def read(self, listing: Listing) -> Reading:
        """The source's reading; reports and the like are left out, and named.

        Raises:
            CollectionError: of the source.
            TableError: of the source.
        """
        tags = self.headers.of(listing.paths)
        if not tags:
            return self.source.read(listing)
        others = [path for path, found in tags.items() if found is not None and found.is_other]
        gone = set(others)
        images = listing.only([path not in gone for path in listing.paths]) if others else listing
        reading = self.source.read(images)
        told = [tags.get(path) for path in reading.listing.paths]
        if others:
            reading = reading.with_ignored({"no_pixels": len(others)}, _no_pixels(others, tags))
        return _with_facts(reading, told)


def _with_facts(reading: Reading, told: Sequence[Tags | None]) -> Reading:
    """The reading with the columns of the headers, where its own tell nothing."""
    facts, columns, about = dict(reading.facts), dict(reading.columns), list(_about(reading.listing.paths, told))
    for role, keywords in COLUMNS.items():
        values = _column(told, keywords)
        if role == "patient":
            values, odd = _patients(values, known="patient" in facts)
            about += odd
        if not any(values):
            continue
        own = facts.get(role)
        facts[role] = values if own is None else np.where([each is None for each in own], values, own)
        columns.setdefault(role, f"DICOM {keywords[0]}")
    return replace(reading, facts=facts, columns=columns, findings=(*reading.findings, *about))


def _column(told: Sequence[Tags | None], keywords: tuple[str, ...]) -> npt.NDArray[Any]:
    found = np.full(len(told), None, object)
    for place, tags in enumerate(told):
        if tags is not None:
            found[place] = next((tags.values[keyword] for keyword in keywords if keyword in tags.values), None)
    return found


def _patients(values: npt.NDArray[Any], *, known: bool) -> tuple[npt.NDArray[Any], tuple[Finding, ...]]:
    """The patients, unless one number stands for all images; and what is to be said of numbers that group nothing."""
    told = [value for value in values.tolist() if value is not None]
    if known or len(told) < _FEWEST:
        return values, ()
    if len(set(told)) == 1:
        message = f"all {len(told)} DICOM headers have the same PatientID: patients are unknown"
        fix = r"name the patients in another way: balance scan DATA --patient '(p\d+)', or a column of a table"
        return np.full(len(values), None, object), (Finding("dicom-patient", (), message, fix),)
    if len(set(told)) == len(told):
        message = f"each of {len(told)} DICOM headers has a different PatientID: every patient has one image"
        fix = "if patients have several images, name them in another way: balance scan DATA --columns 'patient=COLUMN'"
        return values, (Finding("dicom-patient", (), message, fix),)
    return values, ()


def _about(paths: Sequence[str], told: Sequence[Tags | None]) -> Iterator[Finding]:
    """What headers say that a user should know."""
    there = [(path, tags) for path, tags in zip(paths, told, strict=True) if tags is not None]
    derived = [path for path, tags in there if is_derived(tags)]
    if derived:
        message = f"{len(derived)} DICOM files are secondary captures or derived images, not values of a detector"
        yield Finding("derived-image", _paths(derived), message, "check that they are not all of one class")
    lying = [path for path, tags in there if shape_contradicts(tags)]
    if lying:
        message = (
            f"in {len(lying)} DICOM files PresentationLUTShape contradicts PhotometricInterpretation, which is used"
        )
        yield Finding(
            "polarity-contradiction", _paths(lying), message, "check some of these images: balance scan DATA --deep"
        )
    burned = [path for path, tags in there if tags.values.get("BurnedInAnnotation", "").upper() == "YES"]
    if burned:
        message = f"{len(burned)} DICOM headers declare burned-in annotations, possibly a patient's name"
        yield Finding("burned-in", _paths(burned), message, "cover the text, or remove the images from the collection")
    several = [path for path, tags in there if _frames(tags) > 1]
    if several:
        message = f"{len(several)} DICOM files have several frames: only the first is read"
        yield Finding("several-frames", _paths(several), message, "export the frame you need as a file of its own")


def _no_pixels(others: Sequence[str], tags: Places) -> Finding:
    kinds = [found.kind for path in others if (found := tags[path]) is not None]
    some = ", ".join(f"{kinds.count(kind)} {kind or 'unnamed'}" for kind in sorted(set(kinds))[:_NAMED])
    message = f"{len(others)} DICOM files contain no image and are not read: {some}"
    return Finding("no-pixels", _paths(others), message, "none needed: files such as reports have no pixels")


def _frames(tags: Tags) -> int:
    text = tags.values.get("NumberOfFrames", "1")
    return int(text) if text.isascii() and text.isdigit() else 1


def _paths(names: Sequence[str]) -> tuple[PurePosixPath, ...]:
    return tuple(map(PurePosixPath, names))
