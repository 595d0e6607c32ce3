"""Originals and accepted candidates to the balanced folder, and back."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from balancer.collection.scan import Collection, Progress, with_hashes
from balancer.dataset import staging
from balancer.dataset.conversion import converted
from balancer.dataset.dataset_card import make_card
from balancer.dataset.labels_table import labels_file
from balancer.dataset.layout import Entry, Layout, changed, lost, plan_layout, to_convert
from balancer.dataset.metadata_files import (
    CARD,
    MANIFEST,
    ORIGINALS,
    TABLE,
    Manifest,
    Row,
    read_manifest,
    read_rows,
    require_manifest,
    table_bytes,
)
from balancer.dataset.out_folder import refused, require_apart, require_writable
from balancer.dataset.provenance import PROVENANCE, provenance_bytes
from balancer.errors import ImageError, OutputError
from balancer.files import sha256_if_there, sha256_of, write_whole
from balancer.imaging.pixel_hash import digest_of
from balancer.jobs import Candidate, Verdict
from balancer.parallel import cores, in_threads
from balancer.splits.split import Split

_DESKTOP_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}
_NAMED = 5


@dataclass(frozen=True, slots=True)
class MergeReport:
    """A balanced folder: `training` is the folder to train from, `synthetic` counts its synthetic images by class.

    `rebuilt` is false when the folder already was what it should be. `dicom` is the same as DICOM, beside it.
    """

    folder: Path
    training: Path
    originals: int
    synthetic: Mapping[str, int]
    rebuilt: bool
    dicom: Path | None = None


@dataclass(frozen=True, slots=True)
class _Existing:
    """A balanced folder that is there already."""

    manifest: Manifest
    rows: Mapping[str, Row]


def default_out(collection_root: Path) -> Path:
    """The balanced folder's usual place: beside the collection.

    >>> default_out(Path("/data/xrays")).as_posix()
    '/data/xrays-balanced'
    """
    root = collection_root.resolve()
    return root.with_name(f"{root.name}-balanced")


def check_out(out: Path, collection_root: Path, state: Path) -> None:
    """Refuse a place for the balanced folder before any work goes into it.

    Raises:
        OutputError: it lies within the collection or the state folder or around them, it holds anything that is not
            ours, or it cannot be written.
    """
    require_apart(out, collection_root, "the collection")
    require_apart(out, state, "the state folder")
    require_writable(out)
    _existing(out.resolve())


def synthetic_counts(out: Path) -> dict[str, int]:
    """How many synthetic images of each class a balanced folder holds; nothing where there is none."""
    manifest = read_manifest(out)
    found: Counter[str] = Counter()
    for counts in () if manifest is None else manifest.counts.values():
        found.update({label: synthetic for label, (_, synthetic) in counts.items()})
    return dict(found)


def merge(
    collection: Collection,
    split: Split | None,
    accepted: Sequence[tuple[Candidate, Verdict]],
    out: Path,
    *,
    facts: Mapping[str, str],
    form: str = "png",
    progress: Progress = lambda done, total: None,
) -> MergeReport:
    """Build the balanced folder beside `out` and put it there in one step.

    It has one folder for each part, unless the collection has none and `split` is `None`. `facts` go into the card
    and the manifest: nothing that changes from run to run belongs there. `form` "png" makes PNG of DICOM files and
    copies all others, "dicom" makes secondary captures of everything. A killed merge, called again, takes over what
    it finds; a folder that is as it should be is left alone.

    Raises:
        CollectionError: an image changed since it was scanned.
        OutputError: `out` lies in the collection, holds anything that is not ours, or cannot be written.
        PlanError: a candidate is of no class of the collection.
        SplitError: the split knows not all images.
        StateError: a candidate's file is gone or changed.
    """
    require_apart(out, collection.root, "the collection")
    out = out.resolve()
    collection = with_hashes(collection, to_convert(collection.images, form))  # by which they are known again
    layout = plan_layout(collection, split, _with_pixels(accepted), form)
    facts = {**facts, **_of_originals(layout)}
    try:
        staging.recover(out)
        rebuilt = _build(layout, out, collection.root.resolve().name, facts, progress)
    except OSError as error:
        raise OutputError(
            needed=f"free space and permission to write {out}",
            found=error.strerror or str(error),
            next_step="correct this, then run the same command again, such as balance merge: it continues from here",
        ) from error
    made = Counter(entry.label for entry in layout.entries if entry.made)
    counts = {label: made[label] for label in layout.labels}
    return MergeReport(out, out / layout.training, len(layout.entries) - made.total(), counts, rebuilt)


def _with_pixels(accepted: Sequence[tuple[Candidate, Verdict]]) -> list[tuple[Candidate, Verdict]]:
    """The accepted images, with hashes of grey values added where they are missing."""

    def complete(each: tuple[Candidate, Verdict]) -> tuple[Candidate, Verdict]:
        candidate, verdict = each
        if candidate.pixels or not candidate.path.is_file():  # what is gone is told of by its name
            return each
        return replace(candidate, pixels=digest_of(candidate.path)), verdict

    if all(candidate.pixels for candidate, _ in accepted):  # a million calls that do nothing take half a minute
        return list(accepted)
    return list(in_threads(complete, accepted))


def _of_originals(layout: Layout) -> dict[str, str]:
    """What the card says of real images that are no copies of their files."""
    forms = Counter(entry.form for entry in layout.entries if entry.made is None)
    changed = {form: count for form, count in forms.items() if form != "copy"}
    if not changed:
        return {}
    words = {"png": "as PNG of 8 bits", "dicom": "as DICOM secondary captures"}
    some = " and ".join(words[form] for form in changed)
    share = "" if forms.total() == sum(changed.values()) else f"{sum(changed.values())} of {forms.total()}: "
    return {ORIGINALS: f"{share}its pixels alone, {some}; the file with its header stays in the collection"}


def unmerge(folder: Path) -> int:
    """Take all that is not an original out of a balanced folder; how many synthetic images that were.

    Killed, it can be called again.

    Raises:
        OutputError: the folder is not ours, or its tables are not as they were written.
    """
    manifest = require_manifest(folder)
    here = set(staging.files_below(folder))  # follows no link: nothing outside the folder is ever removed
    if not manifest.unmerging:
        _require_tables(folder, manifest)
        synthetic = _synthetic_here(folder, manifest, here)
        for path in synthetic:
            (folder / path).unlink()
        staging.sync(folder)
        write_whole(folder / MANIFEST, replace(manifest, unmerging=True).to_json())
    else:
        synthetic = []
    for path, sha256 in manifest.files.items():
        if path in here and sha256_of(folder / path) == sha256:  # a card that its reader has edited is theirs
            (folder / path).unlink()
    (folder / MANIFEST).unlink()
    return len(synthetic)


def _build(layout: Layout, out: Path, name: str, facts: Mapping[str, str], progress: Progress) -> bool:
    existing = _existing(out)
    reusable = {} if existing is None else _reusable(layout.entries, out, existing.rows)
    if existing and len(reusable) == len(layout.entries) == len(existing.rows):
        _, manifest = _sidecars(layout, reusable, name, facts)
        if manifest == existing.manifest and all((out / path).exists() for path in manifest.files):
            progress(len(layout.entries), len(layout.entries))
            staging.clear_staging(out)
            return False
    fresh = staging.open_staging(out)
    staging.prune(fresh, {entry.path for entry in layout.entries})
    hashes = _collect(layout.entries, fresh, out, reusable, progress)
    sidecars, manifest = _sidecars(layout, hashes, name, facts)
    for path, content in [*sidecars.items(), (MANIFEST, manifest.to_json())]:
        write_whole(fresh / path, content)
    _existing(out)  # once more: copying took its time, and somebody may have put a file there
    staging.publish(out)
    return True


def _reusable(entries: Sequence[Entry], out: Path, rows: Mapping[str, Row]) -> dict[str, str]:
    """Hashes of the files that are already in the balanced folder as they should be, by size and time."""
    found: dict[str, str] = {}
    for entry in entries:
        row = rows.get(entry.path)
        known = row is not None and entry.sha256 in (None, row.sha256) and entry.original in (None, row.original_sha256)
        if row and known and _matches(f"{out}/{entry.path}", entry):
            found[entry.path] = row.sha256
    return found


def _matches(path: str, entry: Entry) -> bool:
    try:
        stat = os.lstat(path)
    except OSError:
        return False
    return stat.st_mtime_ns == entry.mtime_ns and (entry.form != "copy" or stat.st_size == entry.size)


def _collect(
    entries: Sequence[Entry], staging: Path, out: Path, reusable: Mapping[str, str], progress: Progress
) -> dict[str, str]:
    """Bring every file into the staging folder; their hashes by path."""
    for folder in sorted({entry.path.rpartition("/")[0] for entry in entries}):
        (staging / folder).mkdir(parents=True, exist_ok=True)

    def bring(entry: Entry) -> str:
        known = reusable.get(entry.path)
        return _bring(entry, staging, out if known else None, known)

    hashes = in_threads(bring, entries, progress, threads=min(8, 2 * cores()))
    return {entry.path: sha256 for entry, sha256 in zip(entries, hashes, strict=True)}


def _bring(entry: Entry, staging: Path, out: Path | None, known: str | None) -> str:
    """One file into the staging folder: what a killed merge left, the earlier balanced folder's, or a copy."""
    target = staging / entry.path
    if _matches(os.fspath(target), entry):
        found = sha256_if_there(target)
        if found and found == (known or entry.sha256 or found):
            return found
    target.unlink(missing_ok=True)
    if out and known and _link(out / entry.path, target):
        return known
    if entry.form != "copy":
        return _convert(entry, target, staging)
    return _copy(entry, target, staging)


def _link(source: Path, target: Path) -> bool:
    """Link our own earlier copy, never a file of the collection."""
    try:
        target.hardlink_to(source)
    except OSError:
        return False
    return True


def _copy(entry: Entry, target: Path, scratch: Path) -> str:
    try:
        sha256 = staging.copy(entry.source, target, scratch)
    except OSError as error:
        if error.filename == entry.source:
            raise _not_as_it_was(entry, error.strerror or "it cannot be read") from error
        raise
    if target.stat().st_size == entry.size and sha256 == (entry.sha256 or sha256):
        return sha256
    target.unlink()
    raise _not_as_it_was(entry, "its content has changed")


def _convert(entry: Entry, target: Path, scratch: Path) -> str:
    """A file made from another one's pixels, under its time, so that it appears whole."""
    try:
        content = converted(entry)
    except ImageError as error:
        raise _not_as_it_was(entry, error.found) from error
    staging.write(content, entry.mtime_ns, target, scratch)
    return hashlib.sha256(content).hexdigest()


def _not_as_it_was(entry: Entry, what: str) -> Exception:
    return changed(entry.source, what) if entry.made is None else lost(entry.made[0])


def _sidecars(
    layout: Layout, hashes: Mapping[str, str], name: str, facts: Mapping[str, str]
) -> tuple[dict[str, bytes], Manifest]:
    """The content of the files beside the images, and the manifest that vouches for them."""
    folders: dict[str, list[Row]] = {}
    entries: dict[str, list[Entry]] = {}
    for entry in layout.entries:
        folders.setdefault(entry.folder, []).append(entry.row(hashes[entry.path]))
        entries.setdefault(entry.folder, []).append(entry)
    several = layout.findings
    counts = {folder: _counts(rows, layout.labels) for folder, rows in folders.items()}
    made = [(entry.path, hashes[entry.path], *entry.made) for entry in layout.entries if entry.made]
    files = {
        f"{folder}/{TABLE}" if folder else TABLE: table_bytes(
            rows, folder, layout.labels, None if several is None else list(map(several.marks_of, entries[folder]))
        )
        for folder, rows in folders.items()
    }
    files[PROVENANCE] = provenance_bytes(made, None if several is None else several.unknown_of)
    files |= labels_file(layout.table, layout.entries, hashes, layout.root)
    shown = counts if several is None else {folder: several.counts(some) for folder, some in entries.items()}
    files[CARD] = make_card(name, shown, [candidate for _, _, candidate, _ in made], facts, several=several is not None)
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    return files, Manifest(layout.training, layout.labels, counts, dict(facts), digests)


def _counts(rows: Iterable[Row], labels: Sequence[str]) -> dict[str, tuple[int, int]]:
    found = Counter((row.label, row.is_synthetic) for row in rows)
    return {label: (found[label, False], found[label, True]) for label in labels}


def _existing(out: Path) -> _Existing | None:
    """What is at `out`, if it is ours and nothing else is in it.

    Raises:
        OutputError: it is not ours, or holds files that we did not write.
    """
    if not os.path.lexists(out):
        return None
    manifest = read_manifest(out) if out.is_dir() else None
    if manifest is None:
        raise refused(
            "a folder that balance made, or a new one",
            f"{out} exists and was not made by balance, or balance unmerge has left only originals in it",
            "move it to another folder; or: ",
        )
    if manifest.unmerging:
        raise refused(
            "a complete balanced folder",
            f"{out}, from which balance unmerge has removed a part",
            "balance unmerge FOLDER, or: ",
        )
    rows = read_rows(out, manifest)
    foreign = sorted(_foreign(out, manifest, rows))
    if foreign:
        some = ", ".join(foreign[:_NAMED]) + (f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else "")
        raise refused(
            "a balanced folder that contains only files of balance",
            f"{out} also contains {some}",
            "move them to another folder, or: ",
        )
    return _Existing(manifest, rows)


def _foreign(out: Path, manifest: Manifest, rows: Mapping[str, Row]) -> Iterator[str]:
    """Files that we did not write, and files beside the images that are not as we wrote them."""
    for path in staging.files_below(out):
        if path in rows or path == MANIFEST or path.rpartition("/")[2] in _DESKTOP_FILES:
            continue
        if manifest.files.get(path) is None or sha256_if_there(out / path) != manifest.files[path]:
            yield path


def _synthetic_here(folder: Path, manifest: Manifest, here: set[str]) -> list[str]:
    synthetic = [path for path, row in read_rows(folder, manifest).items() if row.is_synthetic]
    beyond = [path for path in synthetic if path not in here and os.path.lexists(folder / path)]
    if not beyond:
        return [path for path in synthetic if path in here]
    raise OutputError(
        needed="a balanced folder without links to other folders: files outside the folder are never removed",
        found=f"{folder / beyond[0]}, which is behind a link",
        next_step="replace the link by the folder itself, then: balance unmerge FOLDER",
    )


def _require_tables(folder: Path, manifest: Manifest) -> None:
    for path, sha256 in manifest.files.items():
        if path.endswith(TABLE) and sha256_if_there(folder / path) != sha256:
            raise OutputError(
                needed=f"the {path} that balance fill wrote: it lists what to remove",
                found=f"{folder / path} is missing or changed",
                next_step="move the folder aside, then make it again: balance fill",
            )
