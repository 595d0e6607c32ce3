"""What an arm may add to the real training images: which files they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.data.balanced_folder import BalancedFolder
from balancer.collection.findings import Finding
from balancer.collection.label_sets import GIVEN, UNKNOWN
from balancer.collection.scan import Collection
from balancer.collection.sources.folders import labelled_files
from balancer.dataset.finding_columns import FindingColumns
from balancer.errors import ComparisonError
from balancer.files import sha256_if_there, sha256_of
from balancer.jobs import Candidate
from balancer.store.database import Ledger
from balancer.workspace.last_fill import FillManifest

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Pool:
    """Files that belong together: `names` are what a reader knows them by, `hashes` their contents.

    `labels` are classes, or label sets where images have several findings: then `marks` has those of each file.
    """

    files: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    marks: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def some(self, places: Sequence[int]) -> Pool:
        """Only those at the given places."""
        columns = (self.files, self.names, self.labels, self.hashes, self.marks)
        return Pool(*(tuple(column[place] for place in places) if column else () for column in columns))  # type: ignore[arg-type]  # each column keeps its own type


def synthetic_pool(balanced: BalancedFolder | None, findings: Sequence[str] = ()) -> tuple[Pool, list[str]]:
    """The synthetic training images of a balanced folder, and what is to be said of those that are left out.

    `findings` are those of the collection, where images have several.
    """
    rows = () if balanced is None else balanced.synthetic
    if balanced is None or not rows:
        return Pool(), ["There are no synthetic images: only arms without synthetic images can be compared."]
    here = [row for row in rows if sha256_if_there(balanced.folder / row.path) == row.sha256]
    notes = [] if len(here) == len(rows) else [_changed(len(rows) - len(here))]
    files = tuple(balanced.folder / row.path for row in here)
    paths, labels, hashes = (
        zip(*((row.path, row.label, row.sha256) for row in here), strict=True) if here else ((),) * 3
    )
    marks = tuple(map(tuple, balanced.marks(findings, paths))) if findings else ()
    return Pool(files, paths, labels, hashes, marks), notes


def unscreened_pool(collection: Collection, ledger: Ledger, counts: Mapping[str, int]) -> Pool:
    """As many candidates of each class as `counts` says, in the order in which they were drawn, whatever the verdict.

    Those of the last fill come first, then images that were made elsewhere.
    """
    last = FillManifest.load(ledger, collection)
    columns = FindingColumns.of(collection, str(collection.root))
    found: list[Candidate] = []
    for label, count in sorted(counts.items()):
        known = ledger.candidates(collection, label)
        ids = () if last is None else last.jobs.get(label, ())
        drawn = [known[each][0] for each in ids if each in known] or _of_jobs(each for each, _ in known.values())
        elsewhere = [candidate for candidate, _ in known.values() if candidate.job is None]
        usable = [each for each in (*drawn, *elsewhere) if sha256_if_there(each.path) == each.sha256]
        found += usable[:count]
    return Pool(
        tuple(each.path for each in found),
        tuple(each.path.name for each in found),
        tuple(each.label for each in found),
        tuple(each.sha256 for each in found),
        () if columns is None else tuple(_marks(each, columns, collection.labels) for each in found),
    )


def findings_of(collection: Collection) -> Sequence[str]:
    """The findings that are compared; none where each image has one class."""
    return collection.labels if collection.is_multi_label else ()


def extra_pool(name: str, folder: Path, classes: Sequence[str], *, several: bool = False) -> Pool:
    """The images in the class folders of a folder of the user's own; of `several` findings only that one is known.

    Raises:
        ComparisonError: no images, or a folder that is no class of the collection.
    """
    findings: list[Finding] = []
    if not folder.is_dir():
        raise _unusable(name, f"{folder}: no such folder", classes)
    paths, labels = labelled_files(folder, findings)
    unknown = sorted(set(labels) - set(classes))
    if unknown or not paths:
        found = f"{folder}: " + (", ".join(map(repr, unknown[:_NAMED])) if unknown else "no class folder with an image")
        raise _unusable(name, found, classes)
    places = tuple(folder / path for path in paths)
    hashes = tuple(sha256_of(place) for place in places)
    marks = tuple(tuple(GIVEN if each == label else UNKNOWN for each in classes) for label in labels if several)
    return Pool(places, tuple(paths), tuple(labels), hashes, marks)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A candidate that lies in no balanced folder, for what its tables would tell of it."""

    label: str
    made: tuple[Candidate]
    source: str = ""


def _marks(candidate: Candidate, columns: FindingColumns, findings: Sequence[str]) -> tuple[int, ...]:
    told = dict(zip(columns.findings, columns.told(_Drawn(candidate.label, (candidate,))), strict=True))
    return tuple(told[name] for name in findings)


def _of_jobs(candidates: Iterable[Candidate]) -> list[Candidate]:
    made = [(each.job.index, each) for each in candidates if each.job is not None]
    return [each for _, each in sorted(made, key=lambda pair: (pair[0], pair[1].id))]


def _changed(count: int) -> str:
    return f"Left out: {count} synthetic images that are missing or changed since the merge. See: balance verify FOLDER"


def _unusable(name: str, found: str, classes: Sequence[str]) -> ComparisonError:
    return ComparisonError(
        needed=f"a folder of images for each class, with the names of the collection's classes: {', '.join(classes)}",
        found=found,
        next_step=f"rename the class folders, then: balance compare --extra {name}=FOLDER; without --extra "
        "all other arms can be compared",
    )
