"""What a balanced folder holds for those who judge it: real and synthetic images by class, and who belongs together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.collection.walk import canonical_part
from balancer.dataset.metadata_files import Manifest, Row, read_rows, require_manifest
from balancer.errors import OutputError


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


def read_merged(folder: Path) -> TrainingImagesByClass:
    """Read what `balance fill` wrote down about a balanced folder; a file's name says nothing here.

    Raises:
        OutputError: the folder is not ours, its tables are damaged, or it has no synthetic or no real image.
    """
    manifest = require_manifest(folder)
    if manifest.unmerging:
        raise OutputError(
            needed="a complete balanced folder",
            found="a folder from which unmerge has removed a part",
            next_step="balance fill",
        )
    rows = list(read_rows(folder, manifest).values())
    training = [row for row in rows if _is_in(row, manifest.training)]
    if not any(row.is_synthetic for row in training):
        raise OutputError(
            needed="a balanced folder with synthetic images",
            found=f"{folder}: none among its {len(training)} training images",
            next_step="balance fill --target max",
        )
    real = [row for row in training if not row.is_synthetic]
    if not real:
        raise OutputError(
            needed="real images to compare with",
            found=f"{folder}: all {len(training)} training images are synthetic",
            next_step="balance fill, which also copies the real images",
        )
    return TrainingImagesByClass(
        folder,
        manifest.labels,
        _by_label(folder, manifest.labels, real),
        _by_label(folder, manifest.labels, (row for row in training if row.is_synthetic)),
        _by_label(folder, manifest.labels, (row for row in rows if _is_validation(row, manifest))),
        all(row.patient for row in real),
        tuple(sorted({row.model for row in training if row.model})),
    )


def _is_in(row: Row, part: str) -> bool:
    return not part or row.path.startswith(f"{part}/")


def _is_validation(row: Row, manifest: Manifest) -> bool:
    return bool(manifest.training) and not row.is_synthetic and canonical_part(row.path.split("/")[0]) == "val"


def _by_label(folder: Path, labels: Iterable[str], rows: Iterable[Row]) -> dict[str, Images]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.label].append(row)
    return {
        label: Images(
            tuple(folder / row.path for row in found[label]),
            tuple(f"patient {row.patient}" if row.patient else f"image {row.path}" for row in found[label]),
        )
        for label in labels
    }
