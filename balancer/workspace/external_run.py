"""Images of another generator: screened, and with `merge` taken in."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.filling.collection_pixels import collection_pixel_hashes
from balancer.filling.external_folder import (
    DecodedFile,
    decode_all,
    list_external,
    precheck,
    real_images_among,
    refuse_real,
)
from balancer.filling.external_import import ExternalImporter, ImportResult
from balancer.filling.recipe import resolve_profile
from balancer.filling.verdicts import Judged, LabelRecords, NoScreen, load_records
from balancer.text import printable
from balancer.workspace.last_fill import FillManifest, portable

if TYPE_CHECKING:
    from balancer.collection.findings import Finding
    from balancer.filling.verdicts import ScreenSource
    from balancer.jobs import Candidate
    from balancer.progress import Progress
    from balancer.workspace.workspace import Session, Workspace

_SHOWN = 5
_DAY = 86_400  # seconds
_NO_CLASS = ("empty-class", "hidden-folder", "ignored-file", "ignored-folder")
Records = Mapping[str, LabelRecords]


@dataclass(frozen=True, slots=True)
class Import:
    """What was decided about the files of a folder, and how many of an earlier merge are gone from it."""

    images: Sequence[ImportResult]
    retracted: int
    records: Records


@dataclass(frozen=True, slots=True)
class _Checked:
    """The files of a folder, decoded, and why some are refused before anything is screened."""

    files: Sequence[DecodedFile]
    refused: Mapping[str, str]


def screen_external(
    workspace: Workspace, folder: Path, screen: ScreenSource, progress: Progress
) -> tuple[ImportResult, ...]:
    """Screen the images of a folder as `merge` would; nothing is kept. The candidates' own files are gone afterwards.

    Raises:
        CollectionError: the folder has no class folder, or is not apart from the collection.
    """
    with workspace.session(write=True, several=True) as session, _scratch(session) as own:
        profile = resolve_profile(session.collection, session.split, session.ledger, remember=False)
        known, source = load_records(session.ledger, session.collection), portable(folder, session.state)
        found = _check(session, folder, known, {}, source, progress)
        records = _with_sets(session, known, found.files)
        fitted = screen.fit(session.collection, session.split, exposed=frozenset(), elsewhere={}, progress=progress)
        nothing = {label: LabelRecords({}, {}) for label in records}
        importer = ExternalImporter(session.collection, profile, fitted, Path(own), source, nothing)
        return tuple(_import(session, importer, found, records, progress))


def import_external(
    session: Session, folder: Path, place: Path, screen: ScreenSource, records: Records, progress: Progress
) -> Import:
    """Screen the images of a folder and remember them; what came from it earlier and is gone is retracted.

    Raises:
        CollectionError: the folder has no class folder, is not apart from the collection or the balanced folder, or
            holds real images while nothing is screened.
        ScreenError: the images cannot be screened, and the user has not said that they need not be.
    """
    profile = resolve_profile(session.collection, session.split, session.ledger, remember=True)
    source = portable(folder, session.state)
    apart_from, no_screen = {"the balanced folder": place}, isinstance(screen, NoScreen)
    found = _check(session, folder, records, apart_from, source, progress, no_screen=no_screen)
    records = _with_sets(session, records, found.files)
    screen.require(session.collection, progress)
    fitted = screen.fit(session.collection, session.split, exposed=frozenset(), elsewhere={}, progress=progress)
    store = session.state.candidates
    importer = ExternalImporter(session.collection, profile, fitted, store, source, records, session.ledger)
    images = _import(session, importer, found, records, progress)
    gone = importer.retract_missing(images)
    if gone:
        where = printable(str(folder))
        progress.message(f"Removed: {len(gone)} images of an earlier merge that are no longer in {where}.")
    return Import(images, len(gone), _updated(records, images, gone))


def _check(
    session: Session,
    folder: Path,
    records: Records,
    apart_from: Mapping[str, Path],
    source: str,
    progress: Progress,
    *,
    no_screen: bool = False,
) -> _Checked:
    """Read every file; which are refused before anything is screened, and why."""
    listed, findings = list_external(
        folder, session.collection, {"the state folder": session.state.folder, **apart_from}
    )
    _say_findings(findings, progress)
    files = decode_all(listed, progress.start("Reading"))
    sizes = {each.size for each in files if not each.fault}
    comparing = progress.start("Comparing with the collection")
    whole = session.whole()  # an image that is left out of training is no synthetic image either
    real = collection_pixel_hashes(whole.collection, sizes, session.ledger, comparing)
    part_of = whole.split.parts.to_dict().__getitem__
    if no_screen:
        refuse_real(real_images_among(files, real), part_of)
    generated = [c for each in records.values() for c, _ in each.judged.values() if c.job is not None]
    external = [c for each in records.values() for c, _ in each.external_accepted]
    others = [each for each in external if each.origin is not None and each.origin.folder != source]
    return _Checked(files, precheck(files, real, part_of, [*generated, *others]))


def _with_sets(session: Session, records: Records, files: Sequence[DecodedFile]) -> Records:
    """The records, with those of label sets that nothing had so far."""
    labels = {each.given.label for each in files}
    return records if labels <= records.keys() else load_records(session.ledger, session.collection, sorted(labels))


def _import(
    session: Session, importer: ExternalImporter, found: _Checked, records: Records, progress: Progress
) -> list[ImportResult]:
    beside = _beside(session, importer.folder, found.files, records)
    return importer.run(found.files, found.refused, beside, progress=progress.start("Screening"))


def _beside(
    session: Session, folder: str, files: Sequence[DecodedFile], records: Records
) -> dict[str, list[Candidate]]:
    """What is accepted of each class beside these files: the last fill's images and those from other folders."""
    last, given = FillManifest.load(session.ledger, session.collection), {each.id for each in files}
    accepted = {} if last is None else last.accepted(records)
    found = {label: [candidate for candidate, _ in judged] for label, judged in accepted.items()}
    for label, each in records.items():
        others = [c for c, _ in each.external_accepted if c.origin is not None and c.origin.folder != folder]
        found.setdefault(label, []).extend(c for c in others if c.id not in given)
    return found


def _updated(records: Records, images: Sequence[ImportResult], retracted: Sequence[Judged]) -> dict[str, LabelRecords]:
    """The records after the import, as the database would give them."""
    judged = [*((each.candidate, each.verdict) for each in images if each.candidate is not None), *retracted]
    return {label: each.with_judged(one for one in judged if one[0].label == label) for label, each in records.items()}


def _say_findings(findings: Sequence[Finding], progress: Progress) -> None:
    for finding in findings:
        if finding.kind in _NO_CLASS:
            names = ", ".join(printable(str(path)) for path in finding.paths[:_SHOWN])
            more = f" and {len(finding.paths) - _SHOWN} more" if len(finding.paths) > _SHOWN else ""
            progress.message(f"Not read: {names}{more} ({finding.message.removeprefix('not read: ')})")


def _scratch(session: Session) -> tempfile.TemporaryDirectory[str]:
    """A folder for what is only looked at; those that a kill left behind a day ago are removed."""
    for left in session.state.folder.glob("screen-*"):
        if time.time() - left.stat().st_mtime > _DAY:
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(dir=session.state.folder, prefix="screen-")
