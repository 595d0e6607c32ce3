"""Which file goes where in a balanced folder; nothing is read but sizes, nothing is written."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from balancer.collection.label_sets import findings_in
from balancer.collection.scan import Collection
from balancer.collection.walk import canonical_part
from balancer.dataset.finding_columns import FindingColumns
from balancer.dataset.labels_table import LabelsTable, labels_table
from balancer.dataset.metadata_files import Row
from balancer.errors import CollectionError, OutputError, PlanError, SplitError, StateError
from balancer.imaging.decode import EXTENSIONS
from balancer.imaging.dicom import FORMAT
from balancer.jobs import Candidate, Job, Verdict
from balancer.splits.split import Split

RECOGNISED = {
    "train",
    "training",
    "validation",
    "valid",
    "dev",
    "val",
    "test",
    "testing",
    "eval",
    "evaluation",
}
"""Folder names that `load_dataset("imagefolder")` takes for a split; "Testing" would all become training data."""


IMAGES = "images"
"""The folder of images with several findings."""
_SUFFIXES = {"png": ".png", "dicom": ".dcm"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the balanced folder: `path` in it, in the part `folder`; a copy of `source` (bytes, time).

    With another `form` than "copy" it is made from its pixels: "png", or "dicom", a secondary capture. Its bytes and
    their hash are not known beforehand then, and its time is that of the source; `original` is the hash of a real
    one's source.
    """

    path: str
    folder: str
    label: str
    source: str
    size: int
    mtime_ns: int
    patient: str | None
    sha256: str | None
    made: tuple[Candidate, Verdict] | None = None
    form: str = "copy"
    original: str | None = None

    def row(self, sha256: str) -> Row:
        """What the table beside the images says of it, once its hash is known."""
        if self.made is None:
            return Row(self.path, self.label, False, self.patient, sha256, original_sha256=self.original)
        candidate, verdict = self.made
        job = candidate.job
        row = Row(self.path, self.label, True, self.patient, sha256, verdict.decision)
        return row if job is None else replace(row, **_of_job(job))


@dataclass(frozen=True, slots=True)
class Layout:
    """All files of a balanced folder, sorted by path; `training` is its training folder ("": the folder itself).

    `root` is the collection's, `table` what its tables say, where it came as tables. Where images have several
    findings, `labels` are names of label sets, and `findings` says what each file has.
    """

    entries: tuple[Entry, ...]
    training: str
    labels: tuple[str, ...]
    root: str = ""
    table: LabelsTable | None = None
    findings: FindingColumns | None = None


def plan_layout(
    collection: Collection, split: Split | None, accepted: Iterable[tuple[Candidate, Verdict]], form: str = "png"
) -> Layout:
    """Place every image of the collection, and the accepted candidates in the class folders for training.

    Images of several findings have no folder of a class: they lie in `images`, and tables say what they show.

    `form` "png" makes PNG of DICOM files and copies all others; "dicom" makes secondary captures of everything.

    Raises:
        CollectionError: an image is gone, or has another size than when it was scanned.
        OutputError: two names would be one on some file systems.
        PlanError: a candidate is of no class of the collection.
        SplitError: the split knows not all images.
        StateError: a candidate's file is gone.
    """
    folders = _folders(collection, split)
    training = _training_folder(folders)
    originals = list(_originals(collection, folders))
    synthetic = _synthetic(accepted, training, collection)
    originals = list(_in_form(originals, collection.images["format"], form))
    synthetic = [_formed(entry, form) if form == "dicom" else entry for entry in synthetic]
    taken = {entry.path for entry in originals}
    _require_names_apart(taken)
    entries = [*originals, *(_free(entry, taken) for entry in synthetic)]
    labels = (
        tuple(sorted({entry.label for entry in entries})) if collection.is_multi_label else tuple(collection.labels)
    )
    if not (collection.by_folder or collection.is_multi_label):
        labels = tuple(sorted(labels, key=class_folder))  # as a loader of folders numbers them
        _require_folders_apart(labels)
    placed = tuple(sorted(entries, key=lambda entry: entry.path))
    root = os.fspath(collection.root)
    findings = FindingColumns.of(collection, root)
    return Layout(placed, training, labels, root, labels_table(collection, findings), findings)


def _in_form(entries: Sequence[Entry], formats: Iterable[str], form: str) -> Iterator[Entry]:
    """The originals as they are to be written; where two would have one name, both keep their suffix in it."""
    made = [
        _formed(entry, form) if format == FORMAT or form == "dicom" else entry
        for entry, format in zip(entries, formats, strict=True)
    ]
    often = Counter(entry.path for entry in made)
    for entry, new in zip(entries, made, strict=True):
        yield new if often[new.path] == 1 or new.form == "copy" else replace(new, path=entry.path + _SUFFIXES[form])


def _formed(entry: Entry, form: str) -> Entry:
    stem, dot, suffix = entry.path.rpartition(".")
    known = f"{dot}{suffix}".lower() in EXTENSIONS
    path, original = (stem if known else entry.path) + _SUFFIXES[form], None if entry.made else entry.sha256
    return replace(entry, path=path, sha256=None, form=form, original=original)


def to_convert(images: pd.DataFrame, form: str) -> list[str]:
    """The paths of a collection's images that are no copies in a balanced folder of this form."""
    return [str(path) for path in images.index[(images["format"] == FORMAT) | (form == "dicom")]]


def class_folder(label: str) -> str:
    """The folder of a class: its name, but for what no folder may be called.

    >>> class_folder("Nodule/Mass"), class_folder("..")
    ('Nodule_Mass', '_')
    """
    plain = "".join("_" if letter in '/\\:*?"<>|' or not letter.isprintable() else letter for letter in label)
    return plain.strip().lstrip(".").rstrip(". ") or "_"


def _require_folders_apart(labels: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for label in labels:
        other = first.setdefault(_folded(class_folder(label)), label)
        if other != label:
            raise OutputError(
                needed="classes whose folders stay apart on every file system",
                found=f"{other!a} and {label!a}",
                next_step=f"give one of them another name: balance scan DATA --map '{label}=NEW'",
            )


def _folders(collection: Collection, split: Split | None) -> list[str]:
    """The part folder of each image, in the collection's order."""
    if collection.has_parts:
        names = {part: _folder_name(part) for part in collection.images["part"].unique()}
        own = collection.images["part"]
        if split is None or "val" in map(canonical_part, names):
            return [names[part] for part in own]
        drawn = split.parts.reindex(own.index) == "val"  # a validation part that was drawn from the training part
        return ["val" if moved else names[part] for part, moved in zip(own, drawn, strict=True)]
    if split is None or split.origin == "none":
        return [""] * len(collection.images)
    parts = split.parts.reindex(collection.images.index)
    if parts.isna().any():
        raise SplitError(
            needed="a split for each image of the collection",
            found=f"{int(parts.isna().sum())} images without one, {parts.index[parts.isna()][0]!r} for one",
            next_step="scan it again: balance scan FOLDER",
        )
    return ["train" if part == "holdout" else str(part) for part in parts]


def _folder_name(part: str) -> str:
    return part if part in RECOGNISED else canonical_part(part) or part


def _training_folder(folders: Sequence[str]) -> str:
    return next((folder for folder in folders if canonical_part(folder) == "train"), "")


def _originals(collection: Collection, folders: Sequence[str]) -> Iterator[Entry]:
    images, root = collection.images, os.fspath(collection.root)
    columns = [images[name] for name in ("label", "patient", "size", "sha256")]
    for path, folder, below, (label, patient, size, sha256) in zip(
        images.index, folders, _below(collection), zip(*columns, strict=True), strict=True
    ):
        source = f"{root}/{path}"
        stat = _stat(source, path, size)
        target = f"{folder}/{below}" if folder else below
        yield Entry(target, folder, label, source, stat.st_size, stat.st_mtime_ns, _known(patient), _known(sha256))


def _below(collection: Collection) -> list[str]:
    """Where each image lies below its split: as it was, or in the folder of its class under a name of its own."""
    paths, images = collection.images.index.tolist(), collection.images
    if collection.by_folder:
        return [path[len(part) + 1 :] if part else path for path, part in zip(paths, images["part"], strict=True)]
    folders = [_folder_of(label, collection) for label in images["label"]]
    return [f"{folder}/{name}" for folder, name in zip(folders, _flat_names(paths), strict=True)]


def _folder_of(label: str, collection: Collection) -> str:
    """The folder of a class; of images with several findings the one for all."""
    if collection.is_multi_label:
        return IMAGES
    return label if collection.by_folder else class_folder(label)


def _flat_names(paths: Sequence[str]) -> list[str]:
    """The files' own names where all differ, else with the folders above them, in one name.

    Folders called like splits are left out, since a loader would take such a name for one of a split.
    """
    names = [path.rpartition("/")[2] for path in paths]
    if len({_folded(name) for name in names}) == len(names):
        return names
    flat = [
        "_".join([*(each for each in path.split("/")[:-1] if not canonical_part(each)), name])
        for path, name in zip(paths, names, strict=True)
    ]
    if len({_folded(name) for name in flat}) == len(flat):
        return flat
    short = (hashlib.sha256(path.encode()).hexdigest()[:8] for path in paths)
    return [f"{key}_{name}" for key, name in zip(short, flat, strict=True)]


def _stat(source: str, path: str, size: int) -> os.stat_result:
    try:
        path.encode()
        stat = os.stat(source)  # noqa: PTH116 - a million Paths are slow
    except (OSError, UnicodeEncodeError):
        raise changed(path, "no such file, or not readable") from None
    if stat.st_size != size:
        raise changed(path, f"{stat.st_size} bytes instead of {size}")
    return stat


def changed(path: str, what: str) -> CollectionError:
    """The error for an image that is not what it was when the collection was scanned."""
    return CollectionError(
        needed="the collection as it was scanned",
        found=f"{path!r} changed since it was scanned: {what}",
        next_step="scan it again: balance scan FOLDER",
    )


def _require_names_apart(paths: Iterable[str]) -> None:
    """Refuse files or folders that would be one on a file system that knows no case, or one form of Unicode alone."""
    names = set(paths)
    for path in list(names):
        while (path := path.rpartition("/")[0]) and path not in names:
            names.add(path)
    first: dict[str, str] = {}
    if len({_folded(name) for name in names}) == len(names):
        return
    for name in sorted(names, key=lambda name: (name.count("/"), name)):
        other = first.setdefault(_folded(name), name)
        if other != name:
            raise OutputError(
                needed="names that differ on every file system, also where case or Unicode form is ignored",
                found=f"{other!a} and {name!a}",
                next_step="rename or merge them in the collection, then run: balance scan FOLDER",
            )


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _synthetic(accepted: Iterable[tuple[Candidate, Verdict]], training: str, collection: Collection) -> list[Entry]:
    """One entry for each accepted image; the same image accepted twice is one."""
    entries: dict[str, Entry] = {}
    labels = collection.labels
    for candidate, verdict in accepted:
        named = findings_in(candidate.label) if collection.is_multi_label else (candidate.label,)
        if not {*named} <= {*labels}:
            raise PlanError(
                needed=f"a class of the collection: {', '.join(labels)}",
                found=f"{candidate.label!r} of a synthetic image",
                next_step="name the class folder as in the collection, then: balance merge --from FOLDER",
            )
        entry = _synthetic_entry(candidate, verdict, training, _folder_of(candidate.label, collection))
        entries.setdefault(entry.path, entry)
    return list(entries.values())


def _of_job(job: Job) -> dict[str, Any]:
    """What the table beside the images says of how one was made."""
    method = job.method
    return {
        **{"model": job.config.model.name, "prompt": job.prompt.text, "seed": job.seed, "job_id": job.id},
        "mode": method.mode,
        "source": method.source and method.source.path,
        "reference": method.reference and method.reference.path,
    }


def _synthetic_entry(candidate: Candidate, verdict: Verdict, training: str, folder: str) -> Entry:
    job = candidate.job
    name = f"syn-{candidate.id}{candidate.path.suffix}"
    path = "/".join(filter(None, (training, folder, name)))
    try:
        stat = candidate.path.stat()
    except OSError as error:
        raise lost(candidate) from error
    patient = job.method.source.patient if job and job.method.source else None
    return Entry(
        *(path, training, candidate.label, os.fspath(candidate.path), stat.st_size, stat.st_mtime_ns),
        *(patient, candidate.sha256, (candidate, verdict)),
    )


def lost(candidate: Candidate) -> StateError:
    """The error for a candidate whose file is gone or is not what was judged."""
    return StateError(
        needed="the synthetic images that were generated and screened",
        found=f"{candidate.path.name} of class {candidate.label!r} is missing or changed",
        next_step="generate it again: balance fill"
        if candidate.job
        else "import it again: balance merge --from FOLDER",
    )


def _free(entry: Entry, taken: set[str]) -> Entry:
    if entry.path not in taken:
        return entry
    raise CollectionError(
        needed="a collection without files that are named like synthetic images of balance",
        found=f"{entry.path!r}, which is also the name of an accepted synthetic image",
        next_step="remove synthetic images from the collection, then run: balance scan FOLDER",
    )


def _known(value: str | None) -> str | None:
    return None if value is None or pd.isna(value) else value
