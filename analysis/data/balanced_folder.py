"""What a balanced folder holds for those who judge it: its images by split and class, and where each comes from."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.collection.label_sets import findings_in
from balancer.collection.walk import canonical_part
from balancer.dataset.metadata_files import (
    Manifest,
    Row,
    changed_tables,
    findings_of_folder,
    read_marks,
    read_rows,
    require_manifest,
)
from balancer.dataset.provenance import provenance_rows
from balancer.errors import OutputError


@dataclass(frozen=True, slots=True)
class BalancedFolder:
    """What `balance fill` recorded about a folder: one row an image, by path; a file's name says nothing here.

    `provenance` is by path, of its synthetic images alone.
    """

    folder: Path
    manifest: Manifest
    rows: tuple[Row, ...]
    provenance: Mapping[str, Mapping[str, str]]

    @property
    def synthetic(self) -> tuple[Row, ...]:
        """The synthetic training images, by path."""
        return tuple(row for row in self.rows if row.is_synthetic and self.part_of(row.path) == "train")

    @property
    def originals(self) -> tuple[Row, ...]:
        """The real images, by path."""
        return tuple(row for row in self.rows if not row.is_synthetic)

    @property
    def split_sha256(self) -> str:
        """The hash of the split that it was merged by; "" where the folder does not say."""
        return self.manifest.facts.get("split", "").rpartition("sha256 ")[2]

    def part_of(self, path: str) -> str:
        """train, val or test, by the folder that a file lies in.

        A folder that was merged without parts is training data as a whole.
        """
        training = self.manifest.training
        if not training or path.startswith(f"{training}/"):
            return "train"
        return canonical_part(path.partition("/")[0]) or "train"

    def scores(self) -> dict[str, Mapping[str, float | str]]:
        """What the screen found in each synthetic training image, by path."""
        return {row.path: _scores(self.provenance.get(row.path, {}).get("scores")) for row in self.synthetic}

    def marks(self, findings: Sequence[str], paths: Sequence[str]) -> list[list[int]]:
        """1, 0 or -1 (unknown) of each finding for each of the files; all are unknown where the folder tells nothing.

        Raises:
            OutputError: a table is missing or damaged.
        """
        named, found = read_marks(self.folder, self.manifest)
        places = {name: place for place, name in enumerate(named)}
        told = [[found[path][places[name]] if name in places else None for name in findings] for path in paths]
        return [[-1 if mark is None else mark for mark in row] for row in told]

    def require_unchanged(self) -> None:
        """Check that its tables are as they were written.

        Raises:
            OutputError: one is missing or changed.
        """
        if changed := changed_tables(self.folder, self.manifest):
            found = f"{self.folder / changed[0]} is missing or changed"
            raise OutputError(needed="unchanged tables of synthetic images", found=found, next_step="balance merge")


def read_balanced(folder: Path) -> BalancedFolder:
    """Read a balanced folder's own tables.

    Raises:
        OutputError: the folder is not ours, partly unmerged, or its tables are damaged.
    """
    manifest = require_manifest(folder)
    if manifest.unmerging:
        raise OutputError(
            needed="a complete balanced folder",
            found=f"{folder}, from which unmerge has removed a part",
            next_step="make it again: balance merge",
        )
    rows = tuple(row for _, row in sorted(read_rows(folder, manifest).items()))
    provenance = {row["file"]: row for row in provenance_rows(folder) if row.get("file")}
    return BalancedFolder(folder, manifest, rows, provenance)


@dataclass(frozen=True, slots=True)
class Images:
    """Files of one class, real or synthetic; `groups` names each one's patient, or the image itself."""

    paths: tuple[Path, ...] = ()
    groups: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def some(self, places: Sequence[int]) -> Images:
        """Only those at the given places."""
        return Images(tuple(self.paths[p] for p in places), tuple(self.groups[p] for p in places))


@dataclass(frozen=True, slots=True)
class TrainingImagesByClass:
    """The training part by class, and the real images of the validation part; the test part stays closed.

    A synthetic image that was made from a real one belongs to that one's patient.
    """

    folder: Path
    labels: tuple[str, ...]
    real: Mapping[str, Images]
    synthetic: Mapping[str, Images]
    validation: Mapping[str, Images]
    patients_known: bool
    models: tuple[str, ...]

    @property
    def filled(self) -> tuple[str, ...]:
        """The classes that have synthetic images."""
        return tuple(label for label in self.labels if len(self.synthetic[label]))

    @property
    def largest(self) -> str:
        """The class with most real images."""
        return max(self.labels, key=lambda label: len(self.real[label]))


def read_training_images(folder: Path) -> TrainingImagesByClass:
    """The images of a balanced folder by class; an image of several findings is there for each of them.

    Raises:
        OutputError: the folder is not ours, its tables are damaged, or it has no synthetic or no real image.
    """
    balanced = read_balanced(folder)
    real = [row for row in balanced.originals if balanced.part_of(row.path) == "train"]
    count = len(real) + len(balanced.synthetic)
    if not balanced.synthetic:
        raise OutputError(
            needed="a balanced folder with synthetic images",
            found=f"{folder}: none among its {count} training images",
            next_step="balance fill --target max",
        )
    if not real:
        raise OutputError(
            needed="real images to compare with",
            found=f"{folder}: all {count} training images are synthetic",
            next_step="balance fill, which also copies the real images",
        )
    findings = findings_of_folder(folder, balanced.manifest)
    labels = balanced.manifest.labels if findings is None else findings
    validation = [row for row in balanced.originals if balanced.part_of(row.path) == "val"]
    return TrainingImagesByClass(
        folder,
        labels,
        _by_label(folder, labels, real, findings),
        _by_label(folder, labels, balanced.synthetic, findings),
        _by_label(folder, labels, validation, findings),
        all(row.patient for row in real),
        tuple(sorted({row.model for row in balanced.synthetic if row.model})),
    )


def _by_label(
    folder: Path, labels: Iterable[str], rows: Iterable[Row], findings: Sequence[str] | None
) -> dict[str, Images]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for label in (row.label,) if findings is None else findings_in(row.label):
            found[label].append(row)
    return {
        label: Images(
            tuple(folder / row.path for row in found[label]),
            tuple(f"patient {row.patient}" if row.patient else f"image {row.path}" for row in found[label]),
        )
        for label in labels
    }


def _scores(written: str | None) -> Mapping[str, float | str]:
    try:
        found = json.loads(written or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
