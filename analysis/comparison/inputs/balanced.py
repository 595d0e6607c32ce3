"""The balanced folder as a comparison reads it: what was merged, by which split, and where each image comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from balancer.collection.scan import Collection
from balancer.collection.walk import canonical_part
from balancer.dataset.metadata_files import CARD, Manifest, Row, read_rows, require_manifest
from balancer.dataset.provenance import provenance_rows
from balancer.errors import ComparisonError, OutputError
from balancer.files import sha256_if_there


@dataclass(frozen=True, slots=True)
class BalancedFolder:
    """What `balance fill` wrote down about a folder; `provenance` is by path, of its synthetic images alone."""

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

    def scores_of(self, path: str) -> Mapping[str, float | str]:
        """What the screen found in a synthetic image."""
        try:
            found = json.loads(self.provenance.get(path, {}).get("scores") or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def read_balanced(folder: Path, collection: Collection) -> BalancedFolder:
    """Read a balanced folder's own tables, and see that they are as they were written.

    The hashes of `collection` must be known.

    Raises:
        OutputError: the folder is not ours, partly unmerged, or its tables were changed.
        ComparisonError: it was merged from another collection.
    """
    manifest = require_manifest(folder)
    if manifest.unmerging:
        raise _unusable(
            "a complete balanced folder",
            f"{folder}, from which unmerge has removed a part",
            "make it again: balance merge",
        )
    changed = [path for path, sha in manifest.files.items() if path != CARD and sha256_if_there(folder / path) != sha]
    if changed:
        found = f"{folder / changed[0]} is missing or changed"
        raise _unusable("unchanged tables of synthetic images", found, "balance merge")
    rows = tuple(row for _, row in sorted(read_rows(folder, manifest).items()))
    provenance = {row["file"]: row for row in provenance_rows(folder) if row.get("file")}
    balanced = BalancedFolder(folder, manifest, rows, provenance)
    _require_same_collection(balanced, collection)
    return balanced


def _require_same_collection(balanced: BalancedFolder, collection: Collection) -> None:
    hashes, originals = set(collection.images["sha256"].dropna()), balanced.originals
    known = sum(row.collection_sha256 in hashes for row in originals)
    if list(balanced.manifest.labels) == collection.labels and known * 2 > len(originals):
        return
    raise ComparisonError(
        needed=f"a balanced folder made from the scanned collection, {collection.root}",
        found=f"{balanced.folder}: {known} of its {len(originals)} real images are in that collection, so "
        "nothing can be concluded about it",
        next_step="name the folder that belongs to it, or scan the collection it was made from: balance scan FOLDER",
    )


def _unusable(needed: str, found: str, next_step: str) -> OutputError:
    return OutputError(needed=needed, found=found, next_step=next_step)
