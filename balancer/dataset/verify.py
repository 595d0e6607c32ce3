"""What a balanced folder knows of its files: `verify` checks all of them, `explain` tells of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from balancer.collection.findings import Finding
from balancer.collection.scan import Progress
from balancer.collection.walk import is_image_name
from balancer.dataset.metadata_files import (
    MANIFEST,
    ORIGINALS,
    TABLE,
    Manifest,
    Row,
    changed_tables,
    read_manifest,
    read_table,
    require_manifest,
)
from balancer.dataset.provenance import provenance_rows, read_provenance_row
from balancer.dataset.staging import files_below, folders_below
from balancer.dataset.xmp import read_provenance
from balancer.errors import ImageError, OutputError
from balancer.files import sha256_if_there
from balancer.imaging.pixel_hash import digest_of
from balancer.parallel import in_threads

LOADED = ("metadata.csv", "metadata.jsonl", TABLE)
"""Names of tables that `load_dataset("imagefolder")` reads, in whatever folder they are."""
_AGAIN = "make the folder again: balance merge"
_WITHOUT_MARK = (".bmp",)  # the format has no room for one


@dataclass(frozen=True, slots=True)
class _State:
    """What a file is now: its hash, and whether it calls itself synthetic."""

    sha256: str | None
    marked: bool


def verify(folder: Path, progress: Progress = lambda done, total: None) -> tuple[Finding, ...]:
    """Compare every image of a balanced folder with the tables beside it; nothing found means all is well.

    Kinds: half-unmerged, changed-table, foreign-table, foreign-folder, missing-file, orphan-file, changed,
    synthetic-outside-train, synthetic-not-recorded, unmarked.

    Raises:
        OutputError: the folder is not ours.
    """
    manifest = require_manifest(folder)
    if manifest.unmerging:
        message = "balance unmerge was stopped before its end"
        return (Finding("half-unmerged", (PurePosixPath(MANIFEST),), message, "finish it: balance unmerge FOLDER"),)
    rows, tables = _rows(folder, manifest)
    files = list(files_below(folder))
    states = _inspect(folder, sorted(filter(is_image_name, files)), progress)
    foreign = _foreign(folder, manifest, files, rows)
    return (*tables, *foreign, *_compare(rows, states), *_misplaced(rows, states, manifest.training))


def explain(path: Path, balanced: Path | None = None) -> dict[str, str]:
    """Where one image comes from: from the balanced folder around it, or `balanced`, else from what it says itself.

    A synthetic image that was saved again under another name is found there by its grey values.

    Raises:
        ImageError: the file is no readable image.
        OutputError: there is no such file, or nothing is known of it.
    """
    if not path.is_file():
        raise OutputError(
            needed="an image file",
            found=f"{path}: {'a folder' if path.is_dir() else 'no such file'}",
            next_step="balance explain FILE",
        )
    folder = next((above for above in path.resolve().parents if read_manifest(above) is not None), None)
    row = None if folder is None else _find_row(folder, path.resolve().relative_to(folder).as_posix())
    if folder is not None and row is not None:
        return _from_tables(folder, row)
    places = [place for place in (folder, balanced) if place is not None and read_manifest(place) is not None]
    same = (found for place in places for found in _same_pixels(place, path))
    return next(same, None) or _from_itself(path)


def _rows(folder: Path, manifest: Manifest) -> tuple[dict[str, Row], list[Finding]]:
    """The rows of all tables that can be read, and a finding for what is not as it was written."""
    rows: dict[str, Row] = {}
    for part in manifest.tables:
        try:
            rows |= {row.path: row for row in read_table(folder, part, manifest)}
        except OutputError:
            continue  # its hash is not as it was written, and that is found below
    message = "the table of synthetic images is missing or changed"
    return rows, list(_finding("changed-table", changed_tables(folder, manifest), message, _AGAIN))


def _foreign(folder: Path, manifest: Manifest, files: Iterable[str], rows: Iterable[str]) -> Iterator[Finding]:
    """What is not ours and changes how the folder is loaded."""
    tables = [path for path in files if PurePosixPath(path).name in LOADED and path not in manifest.files]
    message = "a table that balance did not write, and that load_dataset reads instead of its own"
    yield from _finding("foreign-table", tables, message, "move it to another folder")
    ours = {str(above) for path in (*rows, *manifest.files) for above in PurePosixPath(path).parents}
    message = "a folder that balance did not make, and that ImageFolder reads as a class"
    yield from _finding("foreign-folder", set(folders_below(folder)) - ours, message, "move it to another folder")


def _inspect(folder: Path, paths: list[str], progress: Progress) -> dict[str, _State]:
    def look(path: str) -> _State:
        return _State(sha256_if_there(folder / path), _is_marked(folder / path))

    return dict(zip(paths, in_threads(look, paths, progress), strict=True))


def _is_marked(path: Path) -> bool:
    try:
        return read_provenance(path) is not None
    except ImageError:
        return False


def _compare(rows: Mapping[str, Row], states: Mapping[str, _State]) -> Iterator[Finding]:
    missing = [path for path in rows if path not in states]
    orphans = [path for path in states if path not in rows]
    changed = [path for path, row in rows.items() if path in states and states[path].sha256 != row.sha256]
    yield from _finding("missing-file", missing, "a row of a table without its file", _AGAIN)
    yield from _finding("orphan-file", orphans, "an image without a row in a table", "remove it from the folder")
    yield from _finding("changed", changed, "changed since it was merged", _AGAIN)


def _misplaced(rows: Mapping[str, Row], states: Mapping[str, _State], training: str) -> Iterator[Finding]:
    synthetic = {path for path, row in rows.items() if row.is_synthetic}
    marked = {path for path, state in states.items() if state.marked}
    outside = {path for path in synthetic | marked if training and not path.startswith(f"{training}/")}
    recorded = marked & rows.keys()
    unmarked = [path for path in synthetic & states.keys() - marked if not path.lower().endswith(_WITHOUT_MARK)]
    message = "a synthetic image outside the training folder: results on these images are not valid"
    yield from _finding("synthetic-outside-train", outside, message, "remove it from the folder")
    message = "marked as synthetic in the file, but as an original in the table"
    yield from _finding(
        "synthetic-not-recorded", recorded - synthetic - outside, message, "remove it from the collection"
    )
    message = "a synthetic image without its mark (no XMP)"
    yield from _finding("unmarked", unmarked, message, _AGAIN)


def _finding(kind: str, paths: Iterable[str], message: str, fix: str) -> Iterator[Finding]:
    found = tuple(map(PurePosixPath, sorted(paths)))
    if found:
        yield Finding(kind, found, message, fix)


def _find_row(folder: Path, path: str) -> Row | None:
    manifest = require_manifest(folder)
    for part in manifest.tables:
        if not part or path.startswith(f"{part}/"):
            return next(read_table(folder, part, manifest, path[len(part) + 1 :] if part else path), None)
    return None


def _same_pixels(folder: Path, path: Path) -> Iterator[dict[str, str]]:
    """What is known of a synthetic image of a balanced folder that has the grey values of a file."""
    digest = digest_of(path)
    for known in provenance_rows(folder) if digest else ():
        row = _find_row(folder, known.get("file", "")) if known.get("pixels_sha256") == digest else None
        if row is not None:
            source = f"its grey values, which are the same as those of {known['file']} in the balanced folder"
            yield {"file": path.name, "known from": source, **{**_from_tables(folder, row), "file": path.name}}


def _from_tables(folder: Path, row: Row) -> dict[str, str]:
    same = sha256_if_there(folder / row.path) == row.sha256
    original = require_manifest(folder).facts.get(ORIGINALS, "copied byte for byte from the collection")
    facts = {
        "file": row.path,
        "what": "synthetic" if row.is_synthetic else f"original, {original}",
        "label": row.label,
        "patient": row.patient or "unknown",
        "sha256": row.sha256,
        "state": "unchanged since it was merged" if same else "CHANGED since it was merged",
    }
    if not row.is_synthetic:
        return facts
    recorded = {"decision": row.decision, "model": row.model, "prompt": row.prompt, "job_id": row.job_id}
    known = {name: value for name, value in recorded.items() if value}
    more = {name: value for name, value in read_provenance_row(folder, row.path).items() if value and name not in facts}
    return {**facts, **known, **more}


def _from_itself(path: Path) -> dict[str, str]:
    found = read_provenance(path)
    if found is None:
        raise OutputError(
            needed="an image of a balanced folder, or one that is marked as synthetic",
            found=f"{path}: neither. This does not prove that it is an original",
            next_step="name an image of the balanced folder: balance explain FILE",
        )
    source = "the file itself (XMP); it is in no balanced folder, so nothing is verified"
    return {"file": path.name, "what": "synthetic", "known from": source, **found}
